"""An explanation, and what it is made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mesos_cni_port_mapper.explain.absence import Reason
from mesos_cni_port_mapper.explain.model import Rule, Table
from mesos_cni_port_mapper.explain.owners import Known, Owner
from mesos_cni_port_mapper.explain.packet import Packet, Surroundings
from mesos_cni_port_mapper.netfilter.listeners import Listener

FORWARDED, LOCAL, DROPPED, LOST, ELSEWHERE = "forwarded", "host", "dropped", "lost", "elsewhere"
ANSWERED, REFUSED, SILENCE, NOT_KNOWN = "answered", "refused", "silence", "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What was found on a host.

    ``listeners_in`` returns a container's sockets for a protocol, nothing where they cannot be
    seen. ``unseen`` says what could not be looked at.
    """

    tables: Sequence[Table]
    surroundings: Surroundings
    known: Sequence[Known]
    listeners: Sequence[Listener]
    listeners_in: Callable[[Known, str], Sequence[Listener] | None]
    unseen: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Winner:
    """The rule that rewrote the destination, whose it is, and where to."""

    rule: Rule
    owner: Owner
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Shadowed:
    """A rule that would have rewritten it otherwise, and the one before it."""

    rule: Rule
    owner: Owner
    by: Rule | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The verdict, who answers and how, and everything that led to it.

    ``hidden`` says whether the client's address is, nothing where that is not known.
    ``conditions`` are what may happen instead, in words.
    """

    asked: Packet
    origin: str
    verdict: str
    outcome: str
    answerer: str
    winner: Winner | None
    hidden: bool | None
    hidden_by: Rule | None
    shadowed: tuple[Shadowed, ...]
    reasons: tuple[Reason, ...]
    conditions: tuple[str, ...]
    listeners: tuple[Listener, ...]
    steps: tuple[str, ...]
    unseen: tuple[str, ...]
