"""Port mappings: which host port leads to which container port.

Mesos puts them into ``args["org.apache.mesos"].network_info.port_mappings``, as the JSON form of
its ``NetworkInfo.PortMapping``: ``host_port``, ``container_port`` and, where the framework set it,
``protocol`` in whatever letter case the framework chose.
"""

from __future__ import annotations

from mesos_cni_port_mapper.cni.errors import UNSUPPORTED_VALUE
from mesos_cni_port_mapper.cni.fields import Section, refuse, shown
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

MESOS_ARGS = "org.apache.mesos"
PROTOCOLS = ("tcp", "udp", "sctp")
HIGHEST_PORT = 65535


class PortMapping(Value):
    """One host port that leads to one container port.

    ``host_address`` "" stands for every address of the host.
    """

    protocol: str
    host_port: int
    container_port: int
    host_address: str = ""


class PortRun(Value):
    """``count`` mappings whose host ports and container ports both follow one another."""

    protocol: str
    host_address: str
    host_port: int
    container_port: int
    count: int


def parse_mesos_mappings(netconf: dict[str, Any]) -> tuple[PortMapping, ...]:
    """Return the mappings Mesos asked for; configurations without its ``args`` ask for none."""
    network_info = (
        Section(netconf)
        .optional_section("args")
        .optional_section(MESOS_ARGS)
        .optional_section("network_info")
    )
    path = network_info.path_of("port_mappings")
    mappings = []
    taken: dict[tuple[str, int], str] = {}
    for index, item in enumerate(network_info.array("port_mappings")):
        own_path = f"{path}[{index}]"
        if not isinstance(item, dict):
            refuse(own_path, f"must be an object, not {shown(item)}")
        mapping = _parse_mapping(Section(item, own_path))
        first = taken.setdefault((mapping.protocol, mapping.host_port), own_path)
        if first != own_path:
            refuse(own_path, f"{mapping.protocol} port {mapping.host_port} is mapped by {first}")
        mappings.append(mapping)
    return tuple(mappings)


def _parse_mapping(section: Section) -> PortMapping:
    protocol = section.string("protocol", "tcp")
    if protocol.lower() not in PROTOCOLS:
        refuse(
            section.path_of("protocol"),
            f"{shown(protocol)} is none of {', '.join(PROTOCOLS)}",
            UNSUPPORTED_VALUE,
        )
    return PortMapping(
        protocol=protocol.lower(),
        host_port=section.integer("host_port", 1, HIGHEST_PORT),
        container_port=section.integer("container_port", 1, HIGHEST_PORT),
    )


def runs_of(mappings: Iterable[PortMapping]) -> tuple[PortRun, ...]:
    """Return the fewest runs that hold the same mappings, in order of protocol and host port."""
    members = [
        (item.protocol, item.host_address, item.host_port, item.container_port) for item in mappings
    ]
    # A port of one address must be looked at before the same port of all: "" comes last.
    ordered = sorted(members, key=lambda member: (member[0], not member[1], *member[1:]))
    runs: list[list[Any]] = []
    for protocol, host_address, host_port, container_port in ordered:
        if runs:
            last = runs[-1]
            end = (last[0], last[1], last[2] + last[4], last[3] + last[4])
            if end == (protocol, host_address, host_port, container_port):
                last[4] += 1
                continue
        runs.append([protocol, host_address, host_port, container_port, 1])
    return tuple(
        [
            PortRun(
                protocol=run[0],
                host_address=run[1],
                host_port=run[2],
                container_port=run[3],
                count=run[4],
            )
            for run in runs
        ]
    )
