"""What mappings have been used for, as the kernel counts it: packets and bytes.

Rules of the nat table, and maps it looks into, see the first packet of a connection and no other.
"""

from __future__ import annotations

from mesos_cni_port_mapper.portmap.attachment import tag_of
from mesos_cni_port_mapper.portmap.elements import plan_contents
from mesos_cni_port_mapper.portmap.listing import comment_of
from mesos_cni_port_mapper.portmap.nft_agreement import claim_of
from mesos_cni_port_mapper.portmap.plan import host
from mesos_cni_port_mapper.portmap.scope import scope_of
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mesos_cni_port_mapper.netfilter.record import Record
    from mesos_cni_port_mapper.portmap.mapping import PortRun
    from mesos_cni_port_mapper.portmap.nft_listing import NftListing


class Count(Value):
    """Packets and bytes of ports from ``first`` to ``last``; ``destination`` "" is any address."""

    protocol: str
    destination: str
    first: int
    last: int
    packets: int
    bytes: int


def parse_rules(rules: Iterable[tuple[int, int, str, str]]) -> dict[str, list[Count]]:
    """Return what rules that forward have counted, by tag."""
    found: dict[str, list[Count]] = {}
    for packets, size, _, text in rules:
        if "-j DNAT" not in text or "--comment" not in text:
            continue
        scope = scope_of(text)
        found.setdefault(comment_of(text), []).extend(
            Count(
                protocol=scope.protocol,
                destination=scope.destination,
                first=first,
                last=last,
                packets=packets,
                bytes=size,
            )
            for first, last in scope.ports
        )
    return found


def count_elements(listing: NftListing, record: Record, family: int) -> list[Count]:
    """Return what the elements of a record have counted; a port that needs rules is not counted."""
    found = []
    for content in plan_contents(record.wish()):
        for element in content.elements if content.family == family else ():
            held = listing.containers.get(element.container, {}).get(element.key)
            if held is None or held.counted is None:
                continue
            claim = claim_of(element.container, element.key)
            address = claim.scope[2]
            found.append(
                Count(
                    protocol=claim.scope[1],
                    destination=host(address) if address else "",
                    first=claim.first,
                    last=claim.last,
                    packets=held.counted[0],
                    bytes=held.counted[1],
                )
            )
    return found


def sum_of(run: PortRun, counts: Iterable[Count]) -> tuple[int, int] | None:
    """Return packets and bytes of a run of ports, or nothing where none of it is counted."""
    destination = host(run.host_address) if run.host_address else ""
    own = [
        each
        for each in counts
        if each.protocol == run.protocol
        and each.destination == destination
        and run.host_port <= each.first
        and each.last < run.host_port + run.count
    ]
    if not own:
        return None
    return sum(each.packets for each in own), sum(each.bytes for each in own)


def counts_of(record: Record, by_tag: dict[str, list[Count]]) -> Sequence[Count]:
    """Return what rules of a record's tag have counted."""
    return by_tag.get(tag_of(record.attachment), ())
