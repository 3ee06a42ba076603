"""Netfilter rules as values, without a word of any tool's syntax."""

from __future__ import annotations

from mesos_cni_port_mapper.value import Value

IPV4 = 4
IPV6 = 6

NAT = "nat"
RAW = "raw"


class Dnat(Value):
    """Rewrite the destination to ``address``; the ports of a run keep their order.

    ``first_port`` 0 leaves the port as it is.
    """

    address: str
    first_port: int = 0
    count: int = 1
    matched_from: int = 0


class Jump(Value):
    """Continue in another chain, and come back at its end."""

    chain: str


class Return(Value):
    """Leave the chain without a decision."""


class Masquerade(Value):
    """Give the packet the address of the interface by which it leaves."""


class Mark(Value):
    """Set bits of the packet's mark and leave the others."""

    bits: int


class Drop(Value):
    """Throw the packet away."""


class Rule(Value):
    """One rule: every match must hold for ``target`` to be taken.

    ``host_port`` 0 matches any port, "" any protocol, device or address, ``marked`` 0 any mark.
    ``translated`` asks for a connection whose destination was rewritten. ``conditions`` are further
    matches in iptables' own words. ``tag`` is the comment that says whose rule it is; jumps are
    everybody's and bear none.
    """

    target: Dnat | Jump | Return | Masquerade | Mark | Drop
    in_device: str = ""
    not_in_device: str = ""
    source: str = ""
    destination: str = ""
    not_destination: str = ""
    to_local_address: bool = False
    protocol: str = ""
    host_port: int = 0
    port_count: int = 1
    translated: bool = False
    marked: int = 0
    conditions: tuple[str, ...] = ()
    tag: str = ""


class Entry(Value):
    """A jump from a built-in chain; ``first`` is one that must stand before others' rules."""

    built_in: str
    rule: Rule
    first: bool = False


class Chain(Value):
    """A chain with an attachment's rules in it, in their order.

    ``entries`` lead into it: shared by all who use it, made with the first rule and gone with the
    last.
    """

    name: str
    rules: tuple[Rule, ...] = ()
    entries: tuple[Entry, ...] = ()


class Plan(Value):
    """Everything one attachment should have in one table of one family.

    No other rules bear ``tag``; without rules the attachment leaves the table. ``old_tags`` are
    spellings of the tag that earlier programs used, in ``chains`` only.
    """

    family: int
    table: str
    tag: str
    chains: tuple[Chain, ...] = ()
    old_tags: tuple[str, ...] = ()
