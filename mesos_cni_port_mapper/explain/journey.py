"""A new connection's way through this host: hook after hook, each chain in the kernel's order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from mesos_cni_port_mapper.explain.model import (
    ACCEPT,
    DROP,
    LEGACY,
    REDIRECT,
    REJECT,
    RETURN,
    Base,
    End,
    Hide,
    Rule,
    Table,
    Translate,
)
from mesos_cni_port_mapper.explain.packet import HOST, Packet, Surroundings
from mesos_cni_port_mapper.explain.walk import Event, Walk, walk

_DESTINATION_NAT, _SOURCE_NAT = -100, 100


@dataclass(slots=True)
class Journey:
    """What was met, in order.

    ``asked`` is the packet as it was sent, ``arrived`` as its destination was decided, ``packet``
    as it leaves. ``translation`` is what rewrote the destination, ``hidden`` what rewrote the
    source, ``stopped`` what ended the packet; each nothing if nothing did. ``policy`` is a chain
    whose policy ended it. ``device`` is where it leaves, "lo" for the host itself, "" for nowhere.
    """

    asked: Packet
    packet: Packet
    arrived: Packet
    origin: str
    walks: list[tuple[str, Walk]] = field(default_factory=list)
    translation: Event | None = None
    stopped: Event | None = None
    policy: str = ""
    stopped_at: str = ""
    hidden: Event | None = None
    untracked: bool = False
    device: str = ""
    ambiguous: bool = False

    @property
    def translator(self) -> Rule | None:
        """Return the rule that rewrote the destination."""
        return self.translation.rule if self.translation else None

    def events(self, *hooks: str) -> Iterator[Event]:
        """Return everything that was met at some hooks."""
        for hook, each in self.walks:
            if hook in hooks:
                yield from each.events

    @property
    def over(self) -> bool:
        """Tell whether the packet was stopped by a rule or a policy."""
        return self.stopped is not None or bool(self.policy)


def travel(tables: Sequence[Table], packet: Packet, origin: str, host: Surroundings) -> Journey:
    """Send a packet on its way; ``origin`` is where it begins."""
    served = [table for table in tables if table.serves(packet.family)]
    journey = Journey(asked=packet, packet=packet, arrived=packet, origin=origin)
    _Traveller(journey, served, host).go()
    return journey


class _Traveller:
    def __init__(self, journey: Journey, tables: Sequence[Table], host: Surroundings) -> None:
        self._journey = journey
        self._tables = tables
        self._host = host

    def go(self) -> None:
        journey = self._journey
        if journey.origin == HOST:
            self._pass("output")
        else:
            self._pass("prerouting")
        journey.arrived = journey.packet
        if journey.over:
            return
        journey.device = self._way()
        if not journey.device:
            return
        if journey.origin == HOST:
            journey.packet = journey.packet.but(out_device=journey.device)
            self._pass("postrouting")
            if journey.device == "lo" and not journey.over:
                journey.packet = journey.packet.but(in_device="lo", out_device="")
                # What is translated has been, for a connection has one translation.
                self._pass("prerouting", translates=False)
                self._pass("input", translates=False)
        elif journey.device == "lo":
            self._pass("input", translates=False)
        else:
            journey.packet = journey.packet.but(out_device=journey.device)
            self._pass("forward")
            self._pass("postrouting")

    def _way(self) -> str:
        destination = self._journey.packet.destination
        return "lo" if self._host.is_local(destination) else self._host.route(destination)

    def _pass(self, hook: str, *, translates: bool = True) -> None:
        journey = self._journey
        for table, chain, base in self._chains(hook):
            if journey.over:
                return
            is_nat = base.kind == "nat"
            if is_nat and (journey.untracked or not translates):
                continue
            met = walk(table, chain, journey.packet, self._host)
            journey.walks.append((hook, met))
            journey.packet = replace(journey.packet, mark=met.packet.mark)
            journey.untracked = journey.untracked or met.untracked
            self._decide(hook, met, base, chain)
        self._translate()

    def _decide(self, hook: str, met: Walk, base: Base, chain: str) -> None:
        journey = self._journey
        decision = met.decision
        effect = decision.effect if decision else None
        if isinstance(effect, Translate) and journey.translation is None:
            journey.translation = decision
        elif isinstance(effect, Hide) and journey.hidden is None:
            journey.hidden = decision
        elif effect in (End(DROP), End(REJECT)):
            journey.stopped, journey.stopped_at = decision, hook
        elif decision is None and base.policy != ACCEPT:
            journey.policy, journey.stopped_at = f"chain {chain} of {met.table.place}", hook

    def _translate(self) -> None:
        """Give the packet its new destination, once all chains of the hook were asked."""
        journey = self._journey
        event = journey.translation
        if event is None or journey.packet.translated or not isinstance(event.effect, Translate):
            return
        address, port = event.effect.address, event.effect.port
        if event.effect.kind == REDIRECT:
            address = self._redirected()
        packet = journey.packet.but(destination=address or journey.packet.destination, port=port)
        journey.packet = replace(packet, translated=True)

    def _redirected(self) -> str:
        packet = self._journey.packet
        if self._journey.origin == HOST:
            return {4: "127.0.0.1", 6: "::1"}[packet.family]
        return self._host.address_of(packet.in_device, packet.family)

    def _chains(self, hook: str) -> list[tuple[Table, str, Base]]:
        found = [
            (table, chain, base)
            for table in self._tables
            for chain, base in table.bases.items()
            if base.hook == hook
        ]
        self._journey.ambiguous = self._journey.ambiguous or _is_ambiguous(found)
        return sorted(found, key=lambda each: _rank(each[2]))


def _rank(base: Base) -> tuple[int, int, int]:
    """Return the place of a base chain: all translation has one, and an order within it."""
    if base.kind == "nat":
        place = _SOURCE_NAT if base.hook in ("postrouting", "input") else _DESTINATION_NAT
        return place, base.priority, base.order
    return base.priority, 0, base.order


def _is_ambiguous(found: Sequence[tuple[Table, str, Base]]) -> bool:
    """Tell whether both worlds translate at one priority: which goes first is not listed."""
    worlds: dict[int, set[bool]] = {}
    for table, chain, base in found:
        if base.kind == "nat" and table.chains.get(chain):
            worlds.setdefault(base.priority, set()).add(table.world == LEGACY)
    return any(len(each) > 1 for each in worlds.values())


def doubtful(journey: Journey) -> list[tuple[str, Event]]:
    """Return what may happen before what is said to happen, each with its hook."""
    found = []
    for hook, met in journey.walks:
        for event in met.events:
            if event.is_certain and event.decides:
                break
            if event.doubts and event.shadow is None and not _is_harmless(event):
                found.append((hook, event))
    return found


def _is_harmless(event: Event) -> bool:
    return isinstance(event.effect, End) and event.effect.kind in (ACCEPT, RETURN)


def rules_of(tables: Sequence[Table]) -> Iterator[tuple[Table, Rule]]:
    """Return every rule, with its table."""
    for table in tables:
        for rules in table.chains.values():
            for rule in rules:
                yield table, rule
