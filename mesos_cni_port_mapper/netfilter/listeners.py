"""Programs of the host that listen on a forwarded port: worth a word, and no more.

A socket is not in a mapping's way: packets get another destination before any socket is looked for,
so that its program waits in vain. That may be meant. Podman listens on every port it has forwarded
to keep others from it.
"""

from __future__ import annotations

import sys

from mesos_cni_port_mapper.cni.address import canonical, text_of
from mesos_cni_port_mapper.linux import sockets, stderr
from mesos_cni_port_mapper.portmap import loopback
from mesos_cni_port_mapper.portmap.mapping import ANY, of_family
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mesos_cni_port_mapper.portmap.mapping import PortMapping
    from mesos_cni_port_mapper.portmap.plan import Wish
    from mesos_cni_port_mapper.portmap.traffic import Traffic

_WAITING = {"tcp": "0A", "udp": "07"}
"""The states in which a socket takes what comes from anybody: LISTEN, and without a peer."""

_SCTP_LISTENING = "10"
_LOOPBACK_V6 = "::1"


class Listener(Value):
    """A socket that waits for packets at an address of the host, or at all of them (``ANY``)."""

    protocol: str
    address: str
    port: int
    inode: int


def report_listeners(wish: Wish) -> None:
    """Tell of the sockets that get nothing because of a wish; this fails in no case.

    Whose they are is looked for only where there are any.
    """
    listeners = [
        listener
        for protocol in dict.fromkeys([item.protocol for item in wish.mappings])
        for table in sockets.read_tables(protocol)
        for listener in parse_sockets(protocol, table)
    ]
    found = find_unreached(wish, listeners)
    if found:
        holders = sockets.find_holders({listener.inode for listener in found})
        for notice in render_notices(found, holders):
            stderr.say(notice)


def parse_sockets(protocol: str, table: bytes) -> list[Listener]:
    """Return the sockets of a table of /proc/net that wait for packets."""
    parse = _parse_sctp if protocol == "sctp" else _parse_line
    listeners = []
    for line in table.decode(errors="replace").splitlines()[1:]:
        try:
            listeners += parse(protocol, line.split())
        except (IndexError, ValueError):  # Not a line as kernels have printed them so far.
            continue
    return listeners


def find_unreached(wish: Wish, listeners: Iterable[Listener]) -> list[Listener]:
    """Return the listeners to whose addresses and ports packets come that a wish has forwarded."""
    forwarded: dict[tuple[str, int], list[tuple[int, PortMapping]]] = {}
    for endpoint in wish.endpoints:
        for item in of_family(wish.mappings, endpoint.family):
            port = (item.protocol, item.host_port)
            forwarded.setdefault(port, []).append((endpoint.family, item))
    return [
        listener
        for listener in listeners
        if any(
            _shares_address(listener.address, family, item, wish.traffic)
            for family, item in forwarded.get((listener.protocol, listener.port), ())
        )
    ]


def render_notices(listeners: Sequence[Listener], holders: Mapping[int, str]) -> list[str]:
    """Return a line for each program, protocol and address, with all the ports."""
    ports: dict[tuple[str, str, str], set[int]] = {}
    for each in listeners:
        holder = holders.get(each.inode, "a process that /proc does not show")
        ports.setdefault((each.protocol, each.address, holder), set()).add(each.port)
    return [
        f"{protocol} {_render_ports(sorted(found))} of {address} "
        f"{'is' if len(found) == 1 else 'are'} also listened on by {holder}; "
        "forwarded packets never reach it"
        for (protocol, address, holder), found in ports.items()
    ]


def _shares_address(address: str, family: int, item: PortMapping, traffic: Traffic) -> bool:
    """Tell whether a mapping takes packets of a family that are for a listener's address.

    A socket of ``::`` counts for IPv4 too: it is so unless its program asked for IPv6 alone, of
    which /proc does not tell.
    """
    if address in ANY.values():
        return address == ANY[6] or family == 4
    if (":" in address) != (family == 6):
        return False
    if item.host_address:
        return item.host_address == address
    if loopback.is_loopback(address):
        return loopback.is_asked_for(item, traffic)
    return address != _LOOPBACK_V6


def _parse_line(protocol: str, words: Sequence[str]) -> list[Listener]:
    """Parse "0: 0100007F:1F90 00000000:0000 0A ... INODE ...", of TCP or UDP."""
    if words[3] != _WAITING[protocol]:
        return []
    address, _, port = words[1].partition(":")
    return [
        Listener(
            protocol=protocol,
            address=_parse_address(address),
            port=int(port, 16),
            inode=int(words[9]),
        )
    ]


def _parse_sctp(protocol: str, words: Sequence[str]) -> list[Listener]:
    """Parse "ENDPT SOCK STY SST HBKT LPORT UID INODE LADDRS...", of SCTP's endpoints."""
    if words[3] != _SCTP_LISTENING:
        return []
    return [
        Listener(
            protocol=protocol, address=canonical(address), port=int(words[5]), inode=int(words[7])
        )
        for address in words[8:]
    ]


def _parse_address(text: str) -> str:
    # Words of 32 bits in the order of the network, printed as numbers of this machine.
    words = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
    packed = b"".join([word.to_bytes(4, sys.byteorder) for word in words])
    return canonical(text_of(4 if len(packed) == 4 else 6, int.from_bytes(packed, "big")))


def _render_ports(ports: Sequence[int]) -> str:
    runs: list[list[int]] = []
    for port in ports:
        if runs and runs[-1][1] + 1 == port:
            runs[-1][1] = port
        else:
            runs.append([port, port])
    return ", ".join([str(first) if first == last else f"{first}-{last}" for first, last in runs])
