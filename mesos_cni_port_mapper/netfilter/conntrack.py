"""Have the kernel forget flows whose packets would bypass the rules as they are now.

A rule of the nat table decides about a flow's first packet only. What follows goes where conntrack
remembers, so a UDP client that keeps sending would reach a container that is gone.

There are two ways, and both remove the same entries (nf_conntrack_netlink.c):

* One request to delete with ``CTA_FILTER`` for each address and port, from Linux 6.12. Every kernel
  before refuses it, because its tuple is incomplete. The kernel compares the ports of TCP and UDP
  alone, and takes IPv6 addresses for equal when they differ (still so in 6.18): for IPv4 only.
* A dump, and a request for each entry found in it that names the entry by its number. The kernel
  locks bucket after bucket for it, 12 ms for the 262,144 of a usual server, where the other way
  takes 0.5 for a thousand entries.
"""

from __future__ import annotations

import errno
import os
import sys

from mesos_cni_port_mapper.cni.address import packed
from mesos_cni_port_mapper.linux import files
from mesos_cni_port_mapper.linux.netlink import (
    DUMP,
    NESTED,
    NETFILTER,
    NETFILTER_HEADER,
    Netlink,
    decode_attributes,
    encode_attribute,
    encode_netfilter_header,
    local_addresses,
)
from mesos_cni_port_mapper.portmap.mapping import PROTOCOL_NUMBERS
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Group = tuple[int, str]
    """A family and a protocol."""

    Targets = dict[tuple[int, int], set[bytes]]
    """Packed addresses by direction and port, 0 for any: what to forget within a group."""

ORIGINAL, REPLY = 1, 2
"""Which of an entry's two tuples is looked at, and the number of its attribute."""

_FILTERED = ("tcp", "udp")
"""Protocols whose ports the kernel's filter compares."""

_GET, _DELETE = 0x101, 0x102
_ZONE, _FILTER, _ID = 18, 25, 12
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_PROTO_NUMBER, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 3
_IP_ATTRIBUTES = {(4, REPLY): 1, (4, ORIGINAL): 2, (6, REPLY): 3, (6, ORIGINAL): 4}
_PORT_ATTRIBUTES = {ORIGINAL: _DESTINATION_PORT, REPLY: _SOURCE_PORT}
_IP_FLAGS = {ORIGINAL: 1 << 1, REPLY: 1 << 0}
_PORT_FLAGS = {ORIGINAL: 1 << 5, REPLY: 1 << 4}
_PROTO_FLAG = 1 << 3

_COUNT = "/proc/sys/net/netfilter/nf_conntrack_count"
_GUESS = 1000
"""How many entries there may be where the kernel does not say (it may hide that from users)."""

_DUMP_COST = 20_000
"""How many entries a request with a filter goes through in the time that a dump takes at least."""

_READING_COST = 10
"""How many entries the kernel skips in the time it takes to send us one and look at it here."""


class Flush(Value):
    """Entries to forget.

    ``ORIGINAL``: those whose first packet went to ``address``, "" being every address of this
    host's interfaces, and to one of ``count`` ports from ``port`` on. ``REPLY``: those answered
    from ``address``, a container's, and from that port; 0 is any port.
    """

    family: int
    protocol: str
    direction: int
    address: str = ""
    port: int = 0
    count: int = 1


def apply(
    flushes: Iterable[Flush], seconds: float = 10, connect: Callable[..., Netlink] = Netlink
) -> None:
    """Forget the entries of ``flushes``, and no others; none being there is fine.

    Where the kernel tracks no connections there is nothing to do. Raises ``OSError`` with what the
    kernel says: some entries may be left then.
    """
    wanted = list(flushes)
    entries = _count_entries() if wanted else 0
    if entries == 0:
        return
    groups = plan_targets(wanted, _own_addresses(wanted))
    try:
        with connect(NETFILTER, seconds) as netlink:
            for (family, protocol), targets in groups.items():
                requests = plan_requests(family, protocol, targets, entries or _GUESS)
                # A kernel that refuses one has touched nothing for any.
                if not requests or any(netlink.tell(requests)):
                    _forget_one_by_one(netlink, family, protocol, targets)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EPROTONOSUPPORT):
            raise
        # So the kernel answers to whom it does not know at all.
        if entries:
            raise OSError(
                errno.EOPNOTSUPP, "this kernel cannot be asked to forget connections"
            ) from error


def plan_targets(flushes: Iterable[Flush], own: Mapping[int, set[bytes]]) -> dict[Group, Targets]:
    """Return what to forget, by family and protocol; ``own`` are this host's addresses.

    Raises ``ValueError`` for what no mapping can mean: an original port or a container missing.
    """
    groups: dict[Group, Targets] = {}
    for flush in flushes:
        if not (flush.port if flush.direction == ORIGINAL else flush.address):
            raise ValueError(f"{flush!r} says too little: others' entries would go")
        addresses = {packed(flush.address)} if flush.address else own[flush.family]
        if not addresses:
            continue
        targets = groups.setdefault((flush.family, flush.protocol), {})
        for port in range(flush.port, flush.port + flush.count):
            targets.setdefault((flush.direction, port), set()).update(addresses)
    return groups


def plan_requests(
    family: int, protocol: str, targets: Targets, entries: int
) -> list[tuple[int, bytes]]:
    """Return requests with a filter, or none where a dump is right or cheaper.

    Each of them goes through all ``entries``; a dump does so once, at a higher price.
    """
    if family != 4 or protocol not in _FILTERED:
        return []
    number = sum(len(addresses) for addresses in targets.values())
    reading = 1 if _only_port(targets) else _READING_COST
    if number * entries > _DUMP_COST + reading * entries:
        return []
    return [
        (_DELETE, encode_selection(family, protocol, direction, port, address))
        for (direction, port), addresses in targets.items()
        for address in sorted(addresses)
    ]


def encode_selection(
    family: int, protocol: str, direction: int = ORIGINAL, port: int = 0, address: bytes = b""
) -> bytes:
    """Return what selects the entries of a protocol, with one port and one address if given."""
    flags = _PROTO_FLAG
    parts = b""
    if address:
        flags |= _IP_FLAGS[direction]
        ip = encode_attribute(_IP_ATTRIBUTES[family, direction], address)
        parts += encode_attribute(_TUPLE_IP | NESTED, ip)
    proto = encode_attribute(_PROTO_NUMBER, bytes((PROTOCOL_NUMBERS[protocol],)))
    if port:
        flags |= _PORT_FLAGS[direction]
        proto += encode_attribute(_PORT_ATTRIBUTES[direction], port.to_bytes(2, "big"))
    parts += encode_attribute(_TUPLE_PROTO | NESTED, proto)
    # Within the filter a direction has the number of its tuple too.
    compared = encode_attribute(direction, flags.to_bytes(4, sys.byteorder))
    return (
        encode_netfilter_header(family)
        + encode_attribute(direction | NESTED, parts)
        + encode_attribute(_FILTER | NESTED, compared)
    )


def encode_deletion(family: int, entry: Mapping[int, bytes]) -> bytes:
    """Return what names one entry, given its attributes: not one that has taken its place since."""
    named = encode_attribute(ORIGINAL | NESTED, entry[ORIGINAL])
    for kind in (_ZONE, _ID):
        if kind in entry:
            named += encode_attribute(kind, entry[kind])
    return encode_netfilter_header(family) + named


def is_target(family: int, protocol: str, targets: Targets, entry: Mapping[int, bytes]) -> bool:
    """Tell whether an entry, given its attributes, is to be forgotten."""
    for direction in (ORIGINAL, REPLY):
        parts = decode_attributes(entry[direction])
        proto = decode_attributes(parts[_TUPLE_PROTO])
        # A kernel that does not know the filter sends everything.
        if proto[_PROTO_NUMBER][0] != PROTOCOL_NUMBERS[protocol]:
            return False
        port = int.from_bytes(proto.get(_PORT_ATTRIBUTES[direction], b""), "big")
        address = decode_attributes(parts[_TUPLE_IP]).get(_IP_ATTRIBUTES[family, direction])
        if address in targets.get((direction, port), ()):
            return True
        if direction == REPLY and address in targets.get((REPLY, 0), ()):
            return True
    return False


def _forget_one_by_one(netlink: Netlink, family: int, protocol: str, targets: Targets) -> None:
    selection = encode_selection(family, protocol, port=_only_port(targets))
    found = []
    for answer in netlink.ask(_GET, selection, DUMP):
        entry = decode_attributes(answer[NETFILTER_HEADER:])
        if is_target(family, protocol, targets, entry):
            found.append((_DELETE, encode_deletion(family, entry)))
    for outcome in netlink.tell(found):
        # An entry may have ended by itself meanwhile.
        if outcome not in (0, errno.ENOENT):
            raise OSError(outcome, os.strerror(outcome))


def _only_port(targets: Targets) -> int:
    """Return the original port that all targets have, 0 when there is no such port."""
    (direction, port), *others = targets
    return port if direction == ORIGINAL and not others else 0


def _own_addresses(flushes: Iterable[Flush]) -> dict[int, set[bytes]]:
    families = {flush.family for flush in flushes if not flush.address}
    return {family: local_addresses(family) for family in families}


def _count_entries() -> int | None:
    """Return how many entries there are, or nothing where the kernel does not say."""
    text = files.read(_COUNT)
    return None if text is None else int(text)
