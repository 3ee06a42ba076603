"""Decide who gets which address, and which are given back. Nothing here touches the system.

Addresses are pairs of family and number. A container's interface gets one address from each set of
ranges; the ranges of a set are one pool, gone through in order, starting after the address that
was given last, so that an address just freed is the last to be given again.
"""

from __future__ import annotations

from mesos_cni_port_mapper.cni.address import text_of
from mesos_cni_port_mapper.cni.errors import INTERNAL, CniError
from mesos_cni_port_mapper.cni.names import is_name
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Address = tuple[int, int]
    RangeSet = tuple["Range", ...]

_SEPARATOR = "\r\n"


class Range(Value):
    """Addresses of one family from ``start`` to ``end``, both included, of a subnet."""

    family: int
    start: int
    end: int
    prefix: int
    gateway: Address

    def holds(self, address: Address) -> bool:
        family, number = address
        return family == self.family and self.start <= number <= self.end

    def overlaps(self, other: Range) -> bool:
        return self.family == other.family and self.start <= other.end and other.start <= self.end

    def __str__(self) -> str:
        return f"{text_of(self.family, self.start)}-{text_of(self.family, self.end)}"


class Lease(Value):
    """An address file: its name, the address, and the words in it that say whose it is.

    Without words it is nobody's. Files are written under the lock, so one that is empty then was
    left by a writer that died, and no container ever heard of the address.
    """

    name: str
    address: Address
    holder: str


class Grant(Value):
    """An address to be given from the set number ``index``."""

    index: int
    address: Address
    source: Range


def render_holder(container_id: str, ifname: str) -> str:
    """Return what is written into the file of an address."""
    return f"{container_id}{_SEPARATOR}{ifname}"


def held_by(leases: Iterable[Lease], container_id: str, ifname: str) -> list[Lease]:
    """Return what an attachment holds.

    Files written before there were several interfaces have the ID alone. They may be another
    interface's, so they count only for one that has none of its own.
    """
    listed = list(leases)
    holder = render_holder(container_id, ifname)
    own = [lease for lease in listed if lease.holder == holder]
    return own or [lease for lease in listed if lease.holder == container_id]


def left_over(leases: Iterable[Lease], valid: Iterable[tuple[str, str]]) -> list[Lease]:
    """Return what containers hold that are none of the valid (ID, interface) any more."""
    attachments = list(valid)
    holders = {render_holder(*each) for each in attachments}
    # Written before there were several interfaces: it may be any of them.
    holders |= {container_id for container_id, _ in attachments}
    return [
        lease
        for lease in leases
        if lease.holder not in holders and is_name(lease.holder.partition(_SEPARATOR)[0])
    ]


def plan_grants(
    sets: Sequence[RangeSet],
    leases: Sequence[Lease],
    last: Sequence[Address | None],
    requested: Sequence[Address],
    container_id: str,
    ifname: str,
) -> list[Grant]:
    """Choose an address from every set, a requested one where there is one, or raise (code 999).

    ``last`` holds for each set which address was given last.
    """
    taken = {lease.address: lease for lease in leases if lease.holder}
    own = held_by(taken.values(), container_id, ifname)
    open_requests = list(dict.fromkeys(requested))
    grants = []
    for index, ranges in enumerate(sets):
        wanted = [address for address in open_requests if _hold(ranges, address)]
        if wanted:
            open_requests.remove(wanted[0])
            address = _requested(ranges, taken, wanted[0])
        else:
            _refuse_second(ranges, own, ifname)
            address = _next(ranges, taken, last[index])
        source = next(candidate for candidate in ranges if candidate.holds(address))
        grants.append(Grant(index=index, address=address, source=source))
    if open_requests:
        words = ", ".join([text_of(*address) for address in open_requests])
        raise CniError(
            INTERNAL,
            f"requested {words}: in no range that has one left to give",
            "; ".join(map(_listed, sets)),
        )
    return grants


def _hold(ranges: RangeSet, address: Address) -> bool:
    return any(candidate.holds(address) for candidate in ranges)


def _requested(ranges: RangeSet, taken: dict[Address, Lease], address: Address) -> Address:
    if address in _gateways(ranges):
        raise CniError(INTERNAL, f"requested address {text_of(*address)} is its subnet's gateway")
    if address in taken:
        raise CniError(
            INTERNAL,
            f"requested address {text_of(*address)} is taken",
            _described(taken[address]),
        )
    return address


def _refuse_second(ranges: RangeSet, own: Sequence[Lease], ifname: str) -> None:
    for lease in own:
        if _hold(ranges, lease.address):
            raise CniError(
                INTERNAL,
                f"{ifname} has {lease.name} of {_listed(ranges)} already; DEL gives it back",
            )


def _next(ranges: RangeSet, taken: dict[Address, Lease], last: Address | None) -> Address:
    gateways = _gateways(ranges)
    for address in _in_turn(ranges, last):
        if address not in taken and address not in gateways:
            return address
    # Words that name no container may be an operator's, so the address is not given away.
    corrupt = [
        _described(lease)
        for lease in taken.values()
        if _hold(ranges, lease.address) and not _names_container(lease)
    ]
    raise CniError(INTERNAL, f"no address is free in {_listed(ranges)}", "; ".join(corrupt))


def _in_turn(ranges: RangeSet, last: Address | None) -> Iterator[Address]:
    """Yield every address of a set once, the one after ``last`` first."""
    begin, first = 0, ranges[0].start
    for index, candidate in enumerate(ranges):
        if last is not None and candidate.holds(last):
            begin, first = index, last[1] + 1
    here = ranges[begin]
    turns = [(here, first, here.end)]
    turns += [(other, other.start, other.end) for other in (*ranges[begin + 1 :], *ranges[:begin])]
    turns.append((here, here.start, first - 1))
    for source, start, end in turns:
        for number in range(start, end + 1):
            yield source.family, number


def _gateways(ranges: RangeSet) -> set[Address]:
    return {candidate.gateway for candidate in ranges}


def _listed(ranges: RangeSet) -> str:
    return ", ".join(map(str, ranges))


def _names_container(lease: Lease) -> bool:
    return is_name(lease.holder.partition(_SEPARATOR)[0])


def _described(lease: Lease) -> str:
    if not _names_container(lease):
        return f"the file {lease.name} names no container"
    container_id, _, ifname = lease.holder.partition(_SEPARATOR)
    return f"{lease.name} is held by container {container_id}" + (f" ({ifname})" if ifname else "")
