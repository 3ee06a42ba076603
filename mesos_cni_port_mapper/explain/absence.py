"""Why a port that a container asked for does not lead there for a packet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mesos_cni_port_mapper.explain.journey import Journey
from mesos_cni_port_mapper.explain.model import RETURN, End, Go, Match, Rule, Table, Translate
from mesos_cni_port_mapper.explain.owners import Known, owner_of
from mesos_cni_port_mapper.explain.packet import HOST, Surroundings
from mesos_cni_port_mapper.explain.walk import Walk
from mesos_cni_port_mapper.portmap import loopback
from mesos_cni_port_mapper.portmap.mapping import ANY, PortMapping, families_of
from mesos_cni_port_mapper.portmap.nft_table import NAME
from mesos_cni_port_mapper.portmap.plan import endpoints_of
from mesos_cni_port_mapper.portmap.scope import scope_of
from mesos_cni_port_mapper.portmap.traffic import NFTABLES

_BASES = {"prerouting": "PREROUTING", "output": "OUTPUT"}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why things are as they are: a word for programs and a sentence for people."""

    code: str
    text: str


def mappings_for(known: Known, protocol: str, port: int) -> list[PortMapping]:
    """Return what an attachment asked for at a port."""
    return [
        item
        for item in known.record.mappings
        if (item.protocol, item.host_port) == (protocol, port)
    ]


def why_not(
    known: Known,
    journey: Journey,
    tables: Sequence[Table],
    host: Surroundings,
    owners: Sequence[Known],
) -> Reason | None:
    """Return why a packet does not reach an attachment that has its port, nothing if not known."""
    asked = journey.asked
    destination, family = asked.destination, asked.family
    mappings = mappings_for(known, asked.protocol, asked.port)
    reason = _not_asked_for(known, mappings, destination, family)
    if reason or journey.over:
        return reason
    if not host.is_local(destination):
        return Reason(
            "not-local",
            f"{destination} is no address of this host, and {known} has the port of those alone",
        )
    if journey.untracked:
        return Reason("untracked", "the packet is exempt from connection tracking (notrack)")
    hook = "output" if journey.origin == HOST else "prerouting"
    if known.record.backend == NFTABLES:
        return _why_not_in_maps(known, journey, hook, family, owners)
    return _why_not_in_chains(known, journey, hook, tables, owners)


def _not_asked_for(
    known: Known, mappings: Sequence[PortMapping], destination: str, family: int
) -> Reason | None:
    """Return why the attachment itself does not want the packet."""
    served = {endpoint.family for endpoint in endpoints_of(known.record.addresses)}
    if not [item for item in mappings if family in families_of(item)] or family not in served:
        return Reason("wrong-family", f"{known} has the port, but not for IPv{family}")
    if loopback.is_loopback(destination) or destination == "::1":
        if any(loopback.is_asked_for(item, known.record.traffic) for item in mappings):
            return None if family == 4 else Reason("loopback", "::1 is never forwarded")
        return Reason(
            "loopback",
            f"{known} has the port, but not at loopback: localhost is not asked for",
        )
    suited = ("", destination, ANY[family])
    if not [item for item in mappings if item.host_address in suited]:
        addresses = ", ".join(dict.fromkeys(item.host_address for item in mappings))
        return Reason("wrong-address", f"{known} has the port, but of {addresses} alone")
    return None


def _why_not_in_maps(
    known: Known, journey: Journey, hook: str, family: int, owners: Sequence[Known]
) -> Reason | None:
    walks = [each for at, each in journey.walks if at == hook and each.table.name == NAME]
    if not walks:
        return Reason("no-rules", f"{known} is on record, but there is no table for IPv{family}")
    for met in walks:
        for event in met.events:
            if isinstance(event.effect, Translate) and event.effect.tag in known.tags:
                shadow = event.shadow or journey.translator
                return _shadowed(known, shadow, owners)
            if event.effect == End(RETURN) and event.is_certain:
                return _excluded(known, event.rule.text)
    if not any("ports" in met.entered or "loopback" in met.entered for met in walks):
        return Reason("no-jump", f"nothing leads packets to the ports in table {NAME}")
    return Reason("no-rules", f"{known} is on record, but its elements are not in the kernel")


def _why_not_in_chains(
    known: Known,
    journey: Journey,
    hook: str,
    tables: Sequence[Table],
    owners: Sequence[Known],
) -> Reason | None:
    packet = journey.asked
    found = list(_rules_for(known, tables, packet.family, packet.protocol, packet.port))
    wanted = [
        (table, rule)
        for table, rule in found
        if rule.chain.startswith(loopback.PREFIX) == loopback.is_loopback(packet.destination)
    ]
    if not wanted and any(each.opaque and each.serves(packet.family) for each in tables):
        return Reason("unreadable", f"whether rules of {known} are there cannot be told")
    if not wanted:
        return Reason(
            "no-rules", f"{known} is on record, but its rules are not in the kernel any more"
        )
    table, rule = wanted[0]
    walks = [each for at, each in journey.walks if at == hook and each.table is table]
    for met in walks:
        reason = _why_in(known, journey, met, rule, owners)
        if reason:
            return reason
    return _why_not_entered(table, rule.chain, walks, hook)


def _rules_for(
    known: Known, tables: Sequence[Table], family: int, protocol: str, port: int
) -> Iterator[tuple[Table, Rule]]:
    for table in tables:
        if table.name != "nat" or not table.serves(family):
            continue
        for rules in table.chains.values():
            for rule in rules:
                if rule.comment in known.tags:
                    scope = scope_of(rule.text)
                    ports = any(first <= port <= last for first, last in scope.ports)
                    if scope.target == "DNAT" and scope.protocol == protocol and ports:
                        yield table, rule


def _why_in(
    known: Known, journey: Journey, met: Walk, rule: Rule, owners: Sequence[Known]
) -> Reason | None:
    """Return what happened to the packet at the rule itself, nothing where it did not come by."""
    for event in met.events:
        if event.rule is not rule:
            continue
        if event.doubts:
            return Reason("conditional", f"{known} gets it if {' and '.join(event.doubts)}")
        shadow = event.shadow or journey.translator
        return _shadowed(known, shadow, owners)
    for miss in met.misses:
        if miss.rule is rule:
            return _missed(known, miss.match)
    return None


def _missed(known: Known, match: Match) -> Reason:
    if match.device:
        return _excluded(known, match.text)
    return Reason("condition", f"{known} has the port only for packets with {match.text}")


def _excluded(known: Known, words: str) -> Reason:
    return Reason("excluded-device", f"{known} excludes the device it comes by: {words}")


def _shadowed(known: Known, shadow: Rule | None, owners: Sequence[Known]) -> Reason | None:
    if shadow is None:
        return None
    returns = any(part == End(RETURN) for part in shadow.parts)
    if returns and (shadow.comment in known.tags or shadow.place.endswith(f" {NAME}")):
        return _excluded(known, shadow.text)
    owner = owner_of(shadow, End(RETURN), owners)
    return Reason(
        "shadowed", f"{known} has the port too, behind a rule of {owner}: {described(shadow)}"
    )


def _why_not_entered(table: Table, chain: str, walks: Sequence[Walk], hook: str) -> Reason:
    base = _BASES[hook]
    jumps = [
        rule
        for rule in table.chains.get(base, ())
        if any(isinstance(part, Go) and part.chain == chain for part in rule.parts)
    ]
    if not jumps:
        return Reason("no-jump", f"no rule of {base} in {table.place} leads into chain {chain}")
    for met in walks:
        for miss in met.misses:
            if miss.rule in jumps:
                return Reason(
                    "not-reached", f"the jump into {chain} is not taken: {miss.match.text}"
                )
    return Reason("not-reached", f"the jump into {chain} is not reached")


def described(rule: Rule) -> str:
    """Return a rule with its place."""
    return f"{rule.place} chain {rule.chain}: {rule.text}"
