"""Where port mappings come from, read into one form.

===========  =====================================================================================
runtimes     ``runtimeConfig.portMappings``, the CNI convention: ``hostPort``, ``containerPort``,
             ``protocol``, ``hostIP``. Go programs match names in any letter case, so that some
             send ``HostPort``.
Mesos        ``args["org.apache.mesos"].network_info.port_mappings``, the JSON form of its
             ``NetworkInfo.PortMapping``: ``host_port``, ``container_port``, ``protocol`` in
             whatever letter case the framework chose.
===========  =====================================================================================
"""

from __future__ import annotations

from mesos_cni_port_mapper.cni.address import canonical
from mesos_cni_port_mapper.cni.errors import UNSUPPORTED_VALUE
from mesos_cni_port_mapper.cni.fields import Section, refuse, shown
from mesos_cni_port_mapper.portmap.mapping import (
    HIGHEST_PORT,
    PROTOCOLS,
    PortMapping,
    ports_of,
)
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


MESOS_ARGS = "org.apache.mesos"

_LOOPBACK_V6 = "::1"
_FIELDS = {name.lower(): name for name in ("hostPort", "containerPort", "protocol", "hostIP")}


class Wanted(Value):
    """The mappings a runtime asks for, and whether it is one of those that use Mesos' ``args``."""

    mappings: tuple[PortMapping, ...]
    by_mesos: bool


def parse_mappings(netconf: dict[str, Any]) -> Wanted:
    """Return the mappings that are asked for; ``runtimeConfig`` and ``args`` must not contradict.

    Configurations with neither ask for none.
    """
    runtime = _parse_runtime_mappings(netconf)
    mesos = _parse_mesos_mappings(netconf)
    if runtime and mesos and set(runtime) != set(mesos):
        refuse(
            "runtimeConfig.portMappings",
            f'differ from args["{MESOS_ARGS}"].network_info.port_mappings; give one of them',
        )
    return Wanted(mappings=runtime or mesos, by_mesos=bool(mesos and not runtime))


def find_oddities(netconf: dict[str, Any]) -> tuple[str, ...]:
    """Return what is legal about a configuration's mappings, and hardly what was meant."""
    section = _runtime_section(netconf)
    oddities = _find_unknown_fields(section)
    capabilities = netconf.get("capabilities")
    # Who declares none may have a runtime that keeps capabilities to itself, and Mesos knows none.
    if (
        isinstance(capabilities, dict)
        and capabilities.get("portMappings") is None
        and not section.has("portmappings")
        and not Section(netconf).optional_section("args").has(MESOS_ARGS)
    ):
        oddities.append('capabilities: without "portMappings": true no runtime passes any')
    return tuple(oddities)


def _find_unknown_fields(section: Section) -> list[str]:
    """Return the fields that may have been meant to narrow a mapping down, each name once."""
    path = section.path_of("portmappings")
    unknown: dict[str, int] = {}
    for index, item in enumerate(section.array("portmappings")):
        for name, value in item.items():
            if name.lower() not in _FIELDS and value is not None:
                unknown.setdefault(name, index)
    known = ", ".join(_FIELDS.values())
    return [
        f"{path}[{index}]: {shown(name)} is ignored; a mapping has {known}"
        for name, index in unknown.items()
    ]


def _parse_runtime_mappings(netconf: dict[str, Any]) -> tuple[PortMapping, ...]:
    return _parse_list(_runtime_section(netconf), "portmappings", _parse_runtime_mapping)


def _runtime_section(netconf: dict[str, Any]) -> Section:
    return _folded(Section(netconf).optional_section("runtimeConfig"))


def _parse_mesos_mappings(netconf: dict[str, Any]) -> tuple[PortMapping, ...]:
    network_info = (
        Section(netconf)
        .optional_section("args")
        .optional_section(MESOS_ARGS)
        .optional_section("network_info")
    )
    return _parse_list(network_info, "port_mappings", _parse_mesos_mapping)


def _parse_list(
    section: Section, key: str, parse: Callable[[Section], PortMapping]
) -> tuple[PortMapping, ...]:
    """Parse an array of mappings; one said twice is one, a port for two targets is refused."""
    path = section.path_of(key)
    mappings = {}
    taken: dict[tuple[str, int, int, str], tuple[int, str]] = {}
    for index, item in enumerate(section.array(key)):
        own_path = f"{path}[{index}]"
        if not isinstance(item, dict):
            refuse(own_path, f"must be an object, not {shown(item)}")
        mapping = parse(Section(item, own_path))
        for port in ports_of(mapping):
            target, where = taken.setdefault(port, (mapping.container_port, own_path))
            if target != mapping.container_port:
                taken_by = f"{mapping.protocol} port {mapping.host_port} is mapped by {where}"
                refuse(own_path, taken_by)
        said = (mapping.protocol, mapping.host_port, mapping.host_address)
        mappings[said] = mapping
    return tuple(mappings.values())


def _parse_runtime_mapping(item: Section) -> PortMapping:
    section = _folded(item)
    return PortMapping(
        protocol=_parse_protocol(section, section.string("protocol", "") or "tcp"),
        host_port=section.integer("hostport", 1, HIGHEST_PORT),
        container_port=section.integer("containerport", 1, HIGHEST_PORT),
        host_address=_parse_address(section, "hostip"),
    )


def _parse_mesos_mapping(section: Section) -> PortMapping:
    return PortMapping(
        protocol=_parse_protocol(section, section.string("protocol", "tcp")),
        host_port=section.integer("host_port", 1, HIGHEST_PORT),
        container_port=section.integer("container_port", 1, HIGHEST_PORT),
    )


def _parse_protocol(section: Section, protocol: str) -> str:
    if protocol.lower() not in PROTOCOLS:
        refuse(
            section.path_of("protocol"),
            f"{shown(protocol)} is none of {', '.join(PROTOCOLS)}",
            UNSUPPORTED_VALUE,
        )
    return protocol.lower()


def _parse_address(section: Section, key: str) -> str:
    """Return an address in its one spelling, "" for every address there is."""
    text = section.string(key, "")
    if not text:
        return ""
    try:
        address = canonical(text)
    except ValueError:
        refuse(section.path_of(key), f"{shown(text)} is no IP address")
    if address == _LOOPBACK_V6:
        refuse(
            section.path_of(key),
            f"{shown(text)} cannot be forwarded: the kernel has no route_localnet for IPv6",
            UNSUPPORTED_VALUE,
        )
    return address


class _Folded(Section):
    """An object whose fields are found in any letter case, and named as they were spelt."""

    __slots__ = ("spelt",)

    def __init__(self, document: dict[str, Any], path: str) -> None:
        super().__init__({name.lower(): value for name, value in document.items()}, path)
        self.spelt = {name.lower(): name for name in document}

    def path_of(self, key: str) -> str:
        return super().path_of(self.spelt.get(key, _FIELDS.get(key, key)))


def _folded(section: Section) -> Section:
    return _Folded(section.document, section.path)
