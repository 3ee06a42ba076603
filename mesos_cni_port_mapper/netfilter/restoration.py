"""What it takes for the kernel to hold again what is on record, after a flush or a mishap.

Attachments are looked at together, table by table: what it costs in programs does not depend on how
many there are. Records come in the order in which their attachments came, so that the newest of
those who share a port is put in last, and stands first.
"""

from __future__ import annotations

from mesos_cni_port_mapper.netfilter.differences import name_differences
from mesos_cni_port_mapper.netfilter.sides import Side
from mesos_cni_port_mapper.portmap import nft_agreement, nft_script
from mesos_cni_port_mapper.portmap.attachment import tag_of
from mesos_cni_port_mapper.portmap.elements import plan_contents
from mesos_cni_port_mapper.portmap.mapping import ports_of, without_ports
from mesos_cni_port_mapper.portmap.plan import plan_absence, plan_forwarding
from mesos_cni_port_mapper.portmap.rule import IPV4, IPV6
from mesos_cni_port_mapper.portmap.traffic import NFTABLES
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from mesos_cni_port_mapper.netfilter.record import Record
    from mesos_cni_port_mapper.portmap.listing import Listing
    from mesos_cni_port_mapper.portmap.mapping import Port
    from mesos_cni_port_mapper.portmap.nft_listing import NftListing
    from mesos_cni_port_mapper.portmap.rule import Plan

    Wanted = Sequence[tuple[Record, Plan]]


class Return(Value):
    """A batch for nft(8), the identities of whom it brings back, and the tables that it removes."""

    lines: tuple[str, ...]
    amiss: frozenset[str]
    dissolved: tuple[int, ...]


def find_raised(records: Sequence[Record]) -> tuple[str, ...]:
    """Return the tags of who asks for one address where others ask for all, the newest first."""
    everywhere: dict[Port, set[str]] = {}
    for record in records:
        for port in _ports_of(record):
            if not port[3]:
                everywhere.setdefault(port, set()).add(tag_of(record.attachment))
    return tuple(
        [
            tag
            for record in reversed(records)
            for tag in [tag_of(record.attachment)]
            if any(
                port[3] and everywhere.get((*port[:3], ""), set()) - {tag}
                for port in _ports_of(record)
            )
        ]
    )


def without_rivals(records: Sequence[Record]) -> list[Record]:
    """Return records such that no two have one key in a map; the newest keeps it.

    A takeover that was cut short leaves a port with two records. Rules of iptables may share it.
    """
    taken: set[Port] = set()
    found = []
    for record in reversed(records):
        rivals = _ports_of(record) if record.backend == NFTABLES else set()
        mappings = without_ports(record.mappings, taken & rivals)
        found.append(record.but(mappings=tuple(mappings)))
        taken |= rivals
    return found[::-1]


def plan_wanted(records: Sequence[Record], table: tuple[int, str]) -> Wanted:
    """Return the records that have rules in a table, each with the plan for it."""
    return [
        (record, plan)
        for record in records
        for plan in plan_forwarding(record.wish())
        if (plan.family, plan.table) == table
    ]


def find_lacking(listing: Listing, wanted: Wanted) -> list[Record]:
    """Return the records of which a table does not hold what it should, in whatever order."""
    return [record for record, plan in wanted if _lacks(name_differences(listing, plan))]


def find_sunken(listing: Listing, wanted: Wanted, raised: Collection[str]) -> list[Record]:
    """Return the records with raised tags that lack nothing but their place above others."""
    return [
        record
        for record, plan in wanted
        if plan.tag in raised
        for differences in [name_differences(listing, plan)]
        if differences and not _lacks(differences)
    ]


def _lacks(differences: Sequence[str]) -> bool:
    # Who shares a port with a newer one stands below, and that is as it should be.
    return any("shadowed by: " not in each for each in differences)


def plan_order(wanted: Wanted, lacking: Collection[Record]) -> list[Plan]:
    """Plan for those who lack something, and for the newer ones who must stay above them."""
    moved: set[Port] = set()
    above, plans = [], []
    for record, plan in wanted:
        ports = _ports_of(record)
        if record in lacking:
            moved |= ports
            plans.append(plan)
        elif moved & ports:
            moved |= ports
            above.append(plan)
            plans.append(plan)
    # What is there in its order stays where it is, unless it is gone before.
    gone = [plan.but(chains=tuple([each.but(rules=()) for each in plan.chains])) for plan in above]
    return [*gone, *plans]


def plan_sweep(strays: Sequence[str], table: tuple[int, str]) -> list[Plan]:
    """Plan for no rules with tags, in whatever chain."""
    return [plan.but(chains=()) for tag in strays for plan in plan_absence(tag, "", [table])]


def plan_sides(records: Sequence[Record], strays: Sequence[str]) -> list[Side]:
    """Return what is to be in the table of each family, and whose identities are not."""
    sides = []
    for family in (IPV4, IPV6):
        own = [
            (record.attachment, content)
            for record in records
            for content in plan_contents(record.wish())
            if content.family == family
        ]
        if own or strays:
            sides.append(
                Side(
                    family=family,
                    after=tuple([content for _, content in own]),
                    staying=tuple([attachment for attachment, _ in own]),
                    strays=tuple(strays),
                )
            )
    return sides


def plan_return(sides: Sequence[Side], listings: Mapping[int, NftListing | None]) -> Return:
    """Plan one batch over both families; without lines if everything is as it should be."""
    lines: list[str] = []
    amiss: set[str] = set()
    dissolved = []
    for side in sides:
        listing = listings[side.family]
        if listing is None:
            amiss |= {each.identity for each in side.after}
            lines += _plan_anew(side)
            dissolved += [] if side.after else [side.family]
            continue
        lacking = [each for each in side.after if nft_agreement.find_nft_differences(listing, each)]
        amiss |= {each.identity for each in lacking}
        exchange = nft_agreement.plan_departure(
            listing, [*[each.identity for each in lacking], *side.strays], lacking
        )
        if exchange.is_emptied:
            dissolved.append(side.family)
            lines += nft_script.plan_dissolution(side.family)
            continue
        changes = nft_script.plan_exchange(side.family, exchange.elements, lacking, exchange.chains)
        parts = dict.fromkeys([part for each in lacking for part in each.parts])
        lines += nft_script.plan_repair(side.family, parts) if lacking else []
        lines += changes
    return Return(lines=tuple(lines), amiss=frozenset(amiss), dissolved=tuple(dissolved))


def _plan_anew(side: Side) -> list[str]:
    if not side.after:
        return []
    return [
        *nft_script.plan_parts(side.family, side.parts(), ()),
        *nft_script.plan_transition(side.family, (), side.after),
    ]


def _ports_of(record: Record) -> set[Port]:
    return {port for item in record.mappings for port in ports_of(item)}
