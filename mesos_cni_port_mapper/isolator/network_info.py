"""Mesos' NetworkInfo: a network a container asks for, or is on.

Read as Mesos reads it (unknown fields ignored, ``null`` is unset, a number may be a string), but
what cannot be meant is refused instead of being bent into shape. It is written in two forms: for a
plugin, as protobuf has it, and for the ``state`` endpoint, where labels are a flat array.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mesos_cni_port_mapper.cni.address import family_of
from mesos_cni_port_mapper.cni.fields import Section, refuse, shown

_PROTOCOLS = {4: "IPv4", 6: "IPv6"}
_HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class IpAddress:
    """An address without prefix, wanted or assigned; a request may name the protocol alone."""

    ip_address: str | None
    protocol: str = "IPv4"


@dataclass(frozen=True, slots=True)
class Label:
    """A word for plugins, and perhaps its value."""

    key: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class PortMapping:
    """A host port and the container's port it leads to; the protocol as the framework wrote it."""

    host_port: int
    container_port: int
    protocol: str | None = None


@dataclass(frozen=True, slots=True)
class NetworkInfo:
    """One network of a container. Without a name it is no CNI network and is skipped."""

    name: str | None = None
    ip_addresses: tuple[IpAddress, ...] = ()
    groups: tuple[str, ...] = ()
    labels: tuple[Label, ...] = ()
    port_mappings: tuple[PortMapping, ...] = ()


def assigned(address: str) -> IpAddress:
    """Return the address of a result, which has been checked."""
    return IpAddress(address, _PROTOCOLS[family_of(address)])


def parse_network_info(document: object, path: str) -> NetworkInfo:
    """Read a NetworkInfo; a ``CniError`` names the field, from ``path`` on."""
    section = _section(document, path)
    labels = section.optional_section("labels")
    name = section.string("name", "")
    return NetworkInfo(
        name=name if section.has("name") else None,
        ip_addresses=tuple(_ip_address(item) for item in _sections(section, "ip_addresses")),
        groups=section.strings("groups"),
        labels=tuple(_label(item) for item in _sections(labels, "labels")),
        port_mappings=tuple(_port_mapping(item) for item in _sections(section, "port_mappings")),
    )


def encode_for_args(info: NetworkInfo) -> dict[str, Any]:
    """Return the form that plugins find in ``args["org.apache.mesos"].network_info``."""
    document = _encode(info)
    if info.labels:
        document["labels"] = {"labels": document["labels"]}
    return document


def encode_for_state(info: NetworkInfo) -> dict[str, Any]:
    """Return the form of the ``state`` endpoint."""
    return _encode(info)


def _section(document: object, path: str) -> Section:
    if not isinstance(document, dict):
        refuse(path, f"must be an object, not {shown(document)}")
    return Section(document, path)


def _sections(section: Section, key: str) -> list[Section]:
    path = section.path_of(key)
    return [_section(item, f"{path}[{index}]") for index, item in enumerate(section.array(key))]


def _ip_address(section: Section) -> IpAddress:
    address = section.string("ip_address", "")
    family = family_of(address)
    if address and not family:
        refuse(section.path_of("ip_address"), f"must be an IP address, not {shown(address)}")
    meant = _PROTOCOLS.get(family, "IPv4")
    protocol = section.string("protocol", meant)
    if protocol not in _PROTOCOLS.values():
        refuse(section.path_of("protocol"), f"must be IPv4 or IPv6, not {shown(protocol)}")
    if address and protocol != meant:
        refuse(section.path_of("protocol"), f"is {protocol}, and {address} is not")
    return IpAddress(address or None, protocol)


def _label(section: Section) -> Label:
    value = section.string("value", "")
    return Label(section.string("key"), value if section.has("value") else None)


def _port_mapping(section: Section) -> PortMapping:
    protocol = section.string("protocol", "")
    return PortMapping(
        host_port=_port(section, "host_port"),
        container_port=_port(section, "container_port"),
        protocol=protocol if section.has("protocol") else None,
    )


def _port(section: Section, key: str) -> int:
    value: Any = section.document.get(key)
    # Mesos reads a number that came as a string, and one that came with a decimal point.
    is_digits = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 5
    if is_digits or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    return Section({key: value}, section.path).integer(key, 0, _HIGHEST_PORT)


def _encode(info: NetworkInfo) -> dict[str, Any]:
    parts = {
        "groups": list(info.groups),
        "ip_addresses": [
            _set(ip_address=address.ip_address, protocol=address.protocol)
            for address in info.ip_addresses
        ],
        "labels": [_set(key=label.key, value=label.value) for label in info.labels],
        "name": info.name,
        "port_mappings": [
            _set(
                container_port=mapping.container_port,
                host_port=mapping.host_port,
                protocol=mapping.protocol,
            )
            for mapping in info.port_mappings
        ],
    }
    return {key: part for key, part in parts.items() if part not in (None, [])}


def _set(**fields: object) -> dict[str, object]:
    return {key: value for key, value in fields.items() if value is not None}
