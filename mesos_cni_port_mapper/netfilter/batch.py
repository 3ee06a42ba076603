"""Transactions for iptables-restore, decided here and committed elsewhere.

Each function returns the lines between ``*nat`` and ``COMMIT``. A batch is atomic: one line that
cannot be carried out and none of them is. ``:CHAIN`` lines are never used, because declaring a
chain empties it, and other containers' rules are in it.
"""

from __future__ import annotations

from mesos_cni_port_mapper.portmap.listing import bears_tag, jump_target
from mesos_cni_port_mapper.portmap.plan import plan_jumps
from mesos_cni_port_mapper.portmap.render import render_rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesos_cni_port_mapper.portmap.listing import Listing
    from mesos_cni_port_mapper.portmap.rule import Plan

    Table = dict[str, list[str]]


def plan_insertion(plan: Plan) -> list[str]:
    """Insert a plan's rules where its chain and jumps exist; refused where they do not."""
    return [
        *[f"-C {built_in} {render_rule(jump)}" for built_in, jump in plan.jumps],
        *_insertions(plan),
    ]


def plan_first_insertion(plan: Plan) -> list[str]:
    """Make a plan's chain and jumps as well; refused where the chain exists."""
    return [
        f"-N {plan.chain}",
        *[f"-A {built_in} {render_rule(jump)}" for built_in, jump in plan.jumps],
        *_insertions(plan),
    ]


def plan_agreement(listing: Listing, plans: Sequence[Plan]) -> list[str]:
    """Make the table agree with plans, whatever state it is in; no lines if it does already.

    Rules of a plan's tag are looked for in every chain, so that a chain renamed in the
    configuration leaves nothing behind. Later plans come to stand before earlier ones.
    """
    table: Table = {chain: list(rules) for chain, rules in listing.chains.items()}
    touched = {plan.chain for plan in plans if plan.chain in table}
    lines = []
    for plan in plans:
        if not _agrees(table, plan):
            lines += _remove_tagged(table, plan, touched)
            lines += _insert(table, plan, touched)
    lines += _join(table, plans)
    # Sets have no order of their own, and a batch should not differ between two runs.
    for chain in sorted(touched - listing.built_in):
        lines += _dissolve_if_empty(table, chain)
    return lines


def _insertions(plan: Plan) -> list[str]:
    # Each insertion pushes the one before it down: backwards is how they come to stand in order,
    # and at the head is where the newest mapping of a port must be to win.
    return [f"-I {plan.chain} {render_rule(rule)}" for rule in reversed(plan.rules)]


def _agrees(table: Table, plan: Plan) -> bool:
    present = [
        (chain, rule)
        for chain, rules in table.items()
        for rule in rules
        if _is_of(plan, chain, rule)
    ]
    return present == [(plan.chain, render_rule(rule)) for rule in plan.rules]


def _is_of(plan: Plan, chain: str, rule: str) -> bool:
    return bears_tag(rule, plan.tag) or (
        chain == plan.chain and any(bears_tag(rule, tag) for tag in plan.old_tags)
    )


def _remove_tagged(table: Table, plan: Plan, touched: set[str]) -> list[str]:
    lines = []
    for chain, rules in table.items():
        own = [rule for rule in rules if _is_of(plan, chain, rule)]
        for rule in own:
            rules.remove(rule)
            lines.append(f"-D {chain} {rule}")
            touched.add(chain)
    return lines


def _insert(table: Table, plan: Plan, touched: set[str]) -> list[str]:
    if not plan.rules:
        return []
    created = [] if plan.chain in table else [f"-N {plan.chain}"]
    table.setdefault(plan.chain, [])[:0] = [render_rule(rule) for rule in plan.rules]
    touched.add(plan.chain)
    return created + _insertions(plan)


def _join(table: Table, plans: Sequence[Plan]) -> list[str]:
    """Have exactly one jump of each kind to every chain that is in use."""
    lines = []
    for chain in dict.fromkeys([plan.chain for plan in plans if plan.rules]):
        for built_in, jump in plan_jumps(chain):
            text = render_rule(jump)
            count = table.setdefault(built_in, []).count(text)
            if not count:
                table[built_in].append(text)
                lines.append(f"-A {built_in} {text}")
            for _ in range(count - 1):
                table[built_in].remove(text)
                lines.append(f"-D {built_in} {text}")
    return lines


def _dissolve_if_empty(table: Table, chain: str) -> list[str]:
    """Remove a chain without rules, and the jumps to it, unless somebody else leads there too."""
    if table.get(chain) != []:
        return []
    own = [(built_in, render_rule(jump)) for built_in, jump in plan_jumps(chain)]
    leading = [
        (other, rule)
        for other, rules in table.items()
        for rule in rules
        if chain in rule and jump_target(rule) == chain
    ]
    if not set(leading) <= set(own):
        return []
    del table[chain]
    for other, rule in leading:
        table[other].remove(rule)
    return [f"-D {other} {rule}" for other, rule in leading] + [f"-X {chain}"]


def find_chains_gone(listing: Listing, plans: Sequence[Plan], lines: Sequence[str]) -> list[str]:
    """Return the chains, of those a batch was about, that do not exist once it is committed."""
    dissolved = {line.removeprefix("-X ") for line in lines if line.startswith("-X ")}
    never_there = {plan.chain for plan in plans if not plan.rules} - listing.chains.keys()
    return sorted(dissolved | never_there)
