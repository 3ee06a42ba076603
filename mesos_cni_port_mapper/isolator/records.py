"""What is remembered of a container on networks of its own: all that Mesos would be told again.

The record is checkpointed before anything is done for the container. It holds the order of the
networks and what was asked of each, which the directories alone do not tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mesos_cni_port_mapper.cni.fields import Section, refuse, shown
from mesos_cni_port_mapper.cni.names import is_interface_name
from mesos_cni_port_mapper.isolator.names import (
    default_hostname,
    hostname_fault,
    network_name_fault,
)
from mesos_cni_port_mapper.isolator.network_info import (
    NetworkInfo,
    encode_for_args,
    parse_network_info,
)
from mesos_cni_port_mapper.isolator.paths import interface_name


@dataclass(frozen=True, slots=True)
class ContainerRequest:
    """What a container asks for. A container ID with a dot in it is nested in another."""

    container_id: str
    networks: tuple[NetworkInfo, ...] = ()
    hostname: str | None = None
    rootfs: Path | None = None
    debug: bool = False

    @property
    def named(self) -> tuple[NetworkInfo, ...]:
        """Return the CNI networks among those asked for."""
        return tuple(info for info in self.networks if info.name is not None)

    @property
    def is_nested(self) -> bool:
        """Tell whether the container is in another one."""
        return "." in self.container_id


@dataclass(frozen=True, slots=True)
class Attachment:
    """One network of a container, and the interface by which it is on it."""

    info: NetworkInfo
    ifname: str

    @property
    def network(self) -> str:
        """Return the network's name."""
        return self.info.name or ""


@dataclass(frozen=True, slots=True)
class Record:
    """A container on networks of its own."""

    container_id: str
    hostname: str
    attachments: tuple[Attachment, ...]
    rootfs: Path | None = None


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a container's launcher must do before the isolator can go on.

    ``namespaces`` are those to make ("net", "mnt", "uts"), ``joins`` is the container whose network
    and UTS namespaces to enter instead.
    """

    namespaces: frozenset[str] = frozenset()
    joins: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def record_of(request: ContainerRequest) -> Record:
    """Return the record of a container with networks of its own."""
    attachments = [
        Attachment(info, interface_name(index)) for index, info in enumerate(request.named)
    ]
    hostname = request.hostname or default_hostname(request.container_id)
    return Record(request.container_id, hostname, tuple(attachments), request.rootfs)


def encode_record(record: Record) -> dict[str, Any]:
    """Return the record as it is checkpointed."""
    document: dict[str, Any] = {
        "container_id": record.container_id,
        "hostname": record.hostname,
        "networks": [
            {"ifname": attachment.ifname, "network_info": encode_for_args(attachment.info)}
            for attachment in record.attachments
        ],
    }
    if record.rootfs is not None:
        document["rootfs"] = str(record.rootfs)
    return document


def decode_record(document: object, container_id: str) -> Record:
    """Read a checkpointed record; a ``CniError`` names what is wrong in it."""
    if not isinstance(document, dict):
        refuse("the record", f"is {shown(document)}, not an object")
    section = Section(document)
    if section.string("container_id") != container_id:
        refuse("container_id", f"is {shown(document['container_id'])}")
    hostname = section.string("hostname")
    fault = hostname_fault(hostname)
    if fault:
        refuse("hostname", f"{shown(hostname)} {fault}")
    rootfs = section.string("rootfs", "")
    attachments = [
        _attachment(item, f"networks[{index}]")
        for index, item in enumerate(section.array("networks"))
    ]
    return Record(
        container_id, hostname, tuple(attachments), Path(rootfs) if section.has("rootfs") else None
    )


def _attachment(document: object, path: str) -> Attachment:
    if not isinstance(document, dict):
        refuse(path, f"must be an object, not {shown(document)}")
    section = Section(document, path)
    ifname = section.string("ifname")
    if not is_interface_name(ifname):
        refuse(section.path_of("ifname"), f"{shown(ifname)} is no interface name")
    info = parse_network_info(document.get("network_info"), section.path_of("network_info"))
    fault = network_name_fault(info.name or "")
    if fault:
        refuse(section.path_of("network_info.name"), f"{shown(info.name)} {fault}")
    return Attachment(info, ifname)


def record_from_directories(container_id: str, networks: Mapping[str, Iterable[str]]) -> Record:
    """Return as much of a lost record as directories tell: names of networks, and interfaces."""
    attachments = [
        Attachment(NetworkInfo(name), ifname)
        for name, ifnames in networks.items()
        for ifname in ifnames
    ]
    # eth10 comes after eth9.
    attachments.sort(key=lambda each: (len(each.ifname), each.ifname, each.network))
    return Record(container_id, default_hostname(container_id), tuple(attachments))
