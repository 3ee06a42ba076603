"""Rules as both worlds have them: matches, and what is done when all of them hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from mesos_cni_port_mapper.explain.packet import Packet, Surroundings, Tri

ACCEPT, DROP, REJECT, RETURN = "accept", "drop", "reject", "return"
DNAT, REDIRECT = "dnat", "redirect"
LEGACY, NFT = "iptables-legacy", "nf_tables"
"""The kernel's two worlds of tables."""

Test: TypeAlias = Callable[[Packet, Surroundings], Tri]


@dataclass(frozen=True, slots=True)
class Match:
    """A question to a packet, in the words of whoever asked; ``device`` says it is for one."""

    text: str
    test: Test
    device: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """Decide: accept, drop, reject, or return to where the chain was entered from."""

    kind: str


@dataclass(frozen=True, slots=True)
class Go:
    """Continue in another chain, and unless it ``stays`` there, come back at its end."""

    chain: str
    stays: bool = False


@dataclass(frozen=True, slots=True)
class Translate:
    """Rewrite the destination.

    ``address`` "" is one of the host's own, ``port`` 0 one that the kernel chooses. ``tag`` says
    whose it is where the rule does not.
    """

    kind: str
    address: str
    port: int
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Hide:
    """Rewrite the source: masquerade, or snat to an address."""

    kind: str


@dataclass(frozen=True, slots=True)
class SetMark:
    """Change the mark; ``change`` returns None where it is not known."""

    change: Callable[[Packet], int | None]


@dataclass(frozen=True, slots=True)
class Untrack:
    """Have conntrack, and so all translation, pass the packet over."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something that is not understood here."""

    text: str


Effect: TypeAlias = End | Go | Translate | Hide | SetMark | Untrack | Unknown


@dataclass(frozen=True, slots=True)
class Lookup:
    """An effect that depends on the packet: none when nothing is found."""

    find: Callable[[Packet, Surroundings], Effect | None]


Part: TypeAlias = Match | Lookup | End | Go | Translate | Hide | SetMark | Untrack | Unknown


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A rule as it was printed, where it stands, and its parts in order."""

    place: str
    chain: str
    text: str
    comment: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Base:
    """Where the kernel enters a chain.

    ``order`` is the place within a world among those of one priority, the first asked first.
    """

    hook: str
    kind: str
    priority: int
    order: int
    policy: str = ACCEPT


@dataclass(frozen=True, slots=True)
class Table:
    """A table of one world and family: its chains, and which of them the kernel enters.

    ``opaque`` says that it holds rules of iptables of which nft does not tell what they match.
    """

    world: str
    family: str
    name: str
    chains: Mapping[str, tuple[Rule, ...]]
    bases: Mapping[str, Base] = field(default_factory=dict)
    opaque: bool = False

    @property
    def place(self) -> str:
        """Return what it is called in words."""
        return f"{self.world} table {self.family} {self.name}"

    def serves(self, family: int) -> bool:
        """Tell whether packets of a family (4 or 6) meet it."""
        return self.family in {4: ("ip", "inet"), 6: ("ip6", "inet")}[family]
