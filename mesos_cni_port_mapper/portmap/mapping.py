"""Port mappings as values: which host port leads to which container port, and runs of them."""

from __future__ import annotations

from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    Port = tuple[str, int, int, str]

PROTOCOL_NUMBERS = {"tcp": 6, "udp": 17, "sctp": 132}
"""The protocols that have ports, as packets have them."""

PROTOCOLS = tuple(PROTOCOL_NUMBERS)
HIGHEST_PORT = 65535
ANY = {4: "0.0.0.0", 6: "::"}  # noqa: S104 - nothing is bound to them
"""How the addresses of one family together are written as a host address."""


class PortMapping(Value):
    """One host port that leads to one container port.

    ``host_address`` "" stands for every address of the host, ``ANY`` for those of one family.
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


def families_of(mapping: PortMapping) -> tuple[int, ...]:
    """Return the families (4, 6) that a mapping is for."""
    if not mapping.host_address:
        return (4, 6)
    return (6,) if ":" in mapping.host_address else (4,)


def ports_of(mapping: PortMapping) -> list[Port]:
    """Return what a mapping takes: protocol, port, family and the host's address, "" for any."""
    address = "" if mapping.host_address in ANY.values() else mapping.host_address
    return [
        (mapping.protocol, mapping.host_port, family, address) for family in families_of(mapping)
    ]


def without_ports(mappings: Iterable[PortMapping], taken: Iterable[Port]) -> list[PortMapping]:
    """Return what is left of mappings; of one for all addresses that may be one family's."""
    gone = set(taken)
    left: list[PortMapping] = []
    for item in mappings:
        ports = ports_of(item)
        free = [port for port in ports if port not in gone]
        if len(free) == len(ports):
            left.append(item)
        else:
            left += [item.but(host_address=port[3] or ANY[port[2]]) for port in free]
    return left


def of_family(mappings: Iterable[PortMapping], family: int) -> tuple[PortMapping, ...]:
    """Return the mappings that a family has a part in, "" standing for all its addresses."""
    found = [item for item in mappings if family in families_of(item)]
    if not any(item.host_address == ANY[family] for item in found):
        return tuple(found)
    # What is asked for on all addresses may be asked for on all of the family as well.
    return tuple(
        dict.fromkeys(
            [
                item.but(host_address="") if item.host_address == ANY[family] else item
                for item in found
            ]
        )
    )


def runs_of(mappings: Iterable[PortMapping]) -> tuple[PortRun, ...]:
    """Return the fewest runs that hold the same mappings, in order of protocol and host port.

    A port of one address must be looked at before the same port of all, whoever asks for that:
    those for one address come first, so that they can be raised above others' in their order.
    """
    members = [
        (item.protocol, item.host_address, item.host_port, item.container_port) for item in mappings
    ]
    ordered = sorted(members, key=lambda member: (not member[1], *member))
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
