"""A packet's way through the chains of one table, with everything that is met on it.

The walk goes on behind the rule that decides, in its shadow: what stands there and would have taken
the packet is what is shadowed. A match whose answer is not known puts what follows from it in doubt
and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from mesos_cni_port_mapper.explain.model import (
    RETURN,
    Effect,
    End,
    Go,
    Lookup,
    Match,
    Rule,
    SetMark,
    Table,
    Translate,
    Unknown,
    Untrack,
)
from mesos_cni_port_mapper.explain.packet import Packet, Surroundings, Tri, is_address

_ODD = (ValueError, TypeError, KeyError, AttributeError, IndexError)
"""What reading a rule may raise that no tool has printed so far: it is not known, and no more."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something a rule does to the packet, would do, or may do.

    ``doubts`` are what it depends on, in words; ``shadow`` is the rule before it that keeps the
    packet from it, where there is one.
    """

    rule: Rule
    effect: Effect
    doubts: tuple[str, ...] = ()
    shadow: Rule | None = None

    @property
    def is_certain(self) -> bool:
        """Tell whether it happens."""
        return not self.doubts and self.shadow is None

    @property
    def decides(self) -> bool:
        """Tell whether it would end the walk: to return to another chain does not."""
        return self.effect != End(RETURN)


@dataclass(frozen=True, slots=True)
class Miss:
    """A rule that passes the packet over, and the match because of which it does."""

    rule: Rule
    match: Match


@dataclass(slots=True)
class Walk:
    """What was met on the way through a table."""

    table: Table
    packet: Packet
    events: list[Event] = field(default_factory=list)
    misses: list[Miss] = field(default_factory=list)
    entered: dict[str, Rule | None] = field(default_factory=dict)
    untracked: bool = False

    @property
    def decision(self) -> Event | None:
        """Return what surely decides about the packet here, nothing where the policy does."""
        return next((each for each in self.events if each.is_certain and each.decides), None)


@dataclass(frozen=True, slots=True)
class _Way:
    """How the packet came to where it is, and by which chains."""

    doubts: tuple[str, ...] = ()
    shadow: Rule | None = None
    chains: tuple[str, ...] = ()

    @property
    def is_sure(self) -> bool:
        """Tell whether the packet surely came here."""
        return not self.doubts and self.shadow is None


def walk(table: Table, chain: str, packet: Packet, host: Surroundings) -> Walk:
    """Follow a packet from a base chain on."""
    found = Walk(table, packet)
    _Walker(found, host).follow(chain, _Way())
    return found


class _Walker:
    def __init__(self, found: Walk, host: Surroundings) -> None:
        self._found = found
        self._host = host

    def follow(self, chain: str, way: _Way) -> Rule | None:
        """Go through a chain and return the rule that decided, in whose shadow the rest is."""
        self._found.entered.setdefault(chain, way.shadow)
        if chain in way.chains:
            # The kernel takes no rules that lead in a circle; two of them would be endless ways.
            return None
        way = replace(way, chains=(*way.chains, chain))
        decided: Rule | None = None
        left: Rule | None = None
        for rule in self._found.table.chains.get(chain, ()):
            effect, doubts = self._ask(rule)
            if effect is None:
                continue
            shadow = way.shadow or decided or left
            here = replace(way, doubts=(*way.doubts, *doubts), shadow=shadow)
            if isinstance(effect, Go):
                inner = self._enter(rule, effect, here)
                decided, left = inner if here.is_sure else (decided, left)
                continue
            self._found.events.append(Event(rule, effect, here.doubts, here.shadow))
            if not here.is_sure and effect == End(RETURN):
                way = replace(way, doubts=(*way.doubts, f"unless {' and '.join(doubts)}"))
            elif here.is_sure and effect == End(RETURN):
                left = rule
            elif here.is_sure:
                decided = rule
        return decided

    def _enter(self, rule: Rule, effect: Go, way: _Way) -> tuple[Rule | None, Rule | None]:
        """Go through another chain; return the rule that decided there, and what ends this one."""
        if effect.chain not in self._found.table.chains:
            unknown = Unknown(f"jump to {effect.chain}, which is no chain here")
            self._found.events.append(Event(rule, unknown, (*way.doubts, rule.text), way.shadow))
            return None, None
        inner = self.follow(effect.chain, way)
        return inner, rule if effect.stays else None

    def _ask(self, rule: Rule) -> tuple[Effect | None, tuple[str, ...]]:
        """Return what a rule does to the packet in the end, and what that depends on."""
        doubts: list[str] = []
        effect: Effect | None = None
        for part in rule.parts:
            if isinstance(part, Match):
                answer = self._answer(part)
                if answer is False:
                    self._found.misses.append(Miss(rule, part))
                    return None, ()
                if answer is None:
                    doubts.append(part.text)
                continue
            found = self._look_up(part, rule) if isinstance(part, Lookup) else part
            if found is None:
                return None, ()
            if isinstance(found, Unknown):
                doubts.append(found.text)
            effect = self._do(found, tuple(doubts)) or effect
        return effect, tuple(doubts)

    def _answer(self, match: Match) -> Tri:
        try:
            return match.test(self._found.packet, self._host)
        except _ODD:
            return None

    def _look_up(self, lookup: Lookup, rule: Rule) -> Effect | None:
        try:
            found = lookup.find(self._found.packet, self._host)
        except _ODD:
            return Unknown(rule.text)
        if isinstance(found, Translate) and found.address and not self._is_address(found.address):
            # A range, or what has no meaning here.
            return Unknown(rule.text)
        return found

    def _is_address(self, text: str) -> bool:
        return is_address(text, self._found.packet.family)

    def _changed(self, effect: SetMark) -> int | None:
        try:
            return effect.change(self._found.packet)
        except _ODD:
            return None

    def _do(self, effect: Effect, doubts: tuple[str, ...]) -> Effect | None:
        """Carry out what changes the packet and goes on; return what ends a rule."""
        found = self._found
        if isinstance(effect, SetMark):
            mark = None if doubts else self._changed(effect)
            found.packet = replace(found.packet, mark=mark)
            return None
        if isinstance(effect, Untrack):
            found.untracked = found.untracked or not doubts
            return None
        return effect
