"""Netfilter rules as values, without a word of any tool's syntax."""

from __future__ import annotations

from mesos_cni_port_mapper.value import Value

IPV4 = 4


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


class Rule(Value):
    """One rule: every match must hold for ``target`` to be taken.

    ``host_port`` 0 matches any port, "" any protocol, device or address. ``tag`` is the comment
    that says whose rule it is; jumps are everybody's and bear none.
    """

    target: Dnat | Jump | Return
    in_device: str = ""
    not_in_device: str = ""
    destination: str = ""
    not_destination: str = ""
    to_local_address: bool = False
    protocol: str = ""
    host_port: int = 0
    port_count: int = 1
    tag: str = ""


class Plan(Value):
    """Everything one attachment should have in the nat table of one family.

    ``rules`` stand in ``chain`` in this order, and no others bear ``tag``; without rules the
    attachment leaves the table. ``jumps`` lead from a built-in chain into ``chain``: shared by all
    who use it, made with the first rule and gone with the last. ``old_tags`` are spellings of the
    tag, in ``chain`` only, that earlier programs used.
    """

    family: int
    chain: str
    tag: str
    rules: tuple[Rule, ...] = ()
    jumps: tuple[tuple[str, Rule], ...] = ()
    old_tags: tuple[str, ...] = ()
