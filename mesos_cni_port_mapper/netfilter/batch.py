"""Transactions for iptables-restore, decided here and committed elsewhere.

Each function returns the lines between ``*TABLE`` and ``COMMIT``. A batch is atomic: one line that
cannot be carried out and none of them is. ``:CHAIN`` lines are never used, because declaring a
chain empties it, and other containers' rules are in it.
"""

from __future__ import annotations

from mesos_cni_port_mapper.portmap.listing import bears_tag, jump_target, split_words
from mesos_cni_port_mapper.portmap.plan import entries_into
from mesos_cni_port_mapper.portmap.render import render_rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from mesos_cni_port_mapper.netfilter.ruleset import Count
    from mesos_cni_port_mapper.portmap.listing import Listing
    from mesos_cni_port_mapper.portmap.rule import Chain, Entry, Plan

    Table = dict[str, list[str]]


def plan_insertion(plan: Plan, existing: Collection[str]) -> list[str]:
    """Insert a plan's rules; refused unless just the ``existing`` ones of its chains are there.

    A chain that is there must have its entries, one that is not has none.
    """
    lines = []
    for chain in plan.chains:
        if chain.name in existing:
            lines += [f"-C {each.built_in} {render_rule(each.rule)}" for each in chain.entries]
        else:
            lines.append(f"-N {chain.name}")
            lines += [_enter(each) for each in chain.entries]
        lines += _insertions(chain)
    return lines


def is_as_planned(plan: Plan, chains: Mapping[str, Count]) -> bool:
    """Tell whether, of the rules that may bear a plan's tag, there are just the plan's own."""
    borne = {name: len(handles) for name, (_, handles) in chains.items() if handles}
    return borne == {chain.name: len(chain.rules) for chain in plan.chains}


def find_emptied(plan: Plan, chains: Mapping[str, Count]) -> list[Chain]:
    """Return the chains of a plan in which there are no other rules."""
    return [chain for chain in plan.chains if chains[chain.name][0] == len(chain.rules)]


def plan_removal(plan: Plan, emptied: Sequence[Chain]) -> list[str]:
    """Remove a plan's rules, and the chains that are ``emptied`` by it.

    Refused if a rule is another than planned, or if somebody else leads to a chain that is to go.
    """
    lines = [
        f"-D {chain.name} {render_rule(rule)}" for chain in plan.chains for rule in chain.rules
    ]
    for chain in emptied:
        lines += [f"-D {each.built_in} {render_rule(each.rule)}" for each in chain.entries]
        lines.append(f"-X {chain.name}")
    return lines


def plan_agreement(
    listing: Listing, plans: Sequence[Plan], raised: Collection[str] = ()
) -> list[str]:
    """Make a table agree with plans for it, whatever state it is in; no lines if it does already.

    Rules of a plan's tag are looked for in every chain, so that a chain renamed in the
    configuration leaves nothing behind. Those that are there in their order stay where they are;
    otherwise they are put in again before all others, the last plan's first. Rules for a single
    host address that bear a ``raised`` tag come to stand before everything in the plans' chains.
    """
    table: Table = {chain: list(rules) for chain, rules in listing.chains.items()}
    touched = {chain.name for plan in plans for chain in plan.chains if chain.name in table}
    lines = []
    for plan in plans:
        kept = _find_kept(table, plan)
        lines += _remove_tagged(table, plan, kept, touched)
        lines += [] if kept else _insert(table, plan, touched)
    lines += _raise_specific(table, plans, raised)
    lines += _join(table, plans)
    # Sets have no order of their own, and a batch should not differ between two runs.
    for name in sorted(touched - listing.built_in):
        lines += _dissolve_if_empty(table, name, plans[0])
    return lines


def _enter(entry: Entry) -> str:
    return f"{'-I' if entry.first else '-A'} {entry.built_in} {render_rule(entry.rule)}"


def _insertions(chain: Chain) -> list[str]:
    # Each insertion pushes the one before it down: backwards is how they come to stand in order,
    # and at the head is where the newest mapping of a port must be to win.
    return [f"-I {chain.name} {render_rule(rule)}" for rule in reversed(chain.rules)]


def _find_kept(table: Table, plan: Plan) -> set[tuple[str, str]]:
    """Return a plan's rules, each with its chain, if they are all there in their order."""
    kept = set()
    for chain in plan.chains:
        wanted = [render_rule(rule) for rule in chain.rules]
        kept |= {(chain.name, rule) for rule in wanted}
        places = frozenset(wanted)
        if [rule for rule in table.get(chain.name, ()) if rule in places] != wanted:
            return set()
    return kept


def _is_of(plan: Plan, chain: str, rule: str) -> bool:
    return bears_tag(rule, plan.tag) or (
        bool(plan.old_tags)
        and chain in [each.name for each in plan.chains]
        and any(bears_tag(rule, tag) for tag in plan.old_tags)
    )


def _remove_tagged(
    table: Table, plan: Plan, kept: Collection[tuple[str, str]], touched: set[str]
) -> list[str]:
    lines = []
    for chain, rules in table.items():
        own = [rule for rule in rules if _is_of(plan, chain, rule) and (chain, rule) not in kept]
        for rule in own:
            rules.remove(rule)
            lines.append(f"-D {chain} {rule}")
            touched.add(chain)
    return lines


def _insert(table: Table, plan: Plan, touched: set[str]) -> list[str]:
    lines = []
    for chain in plan.chains:
        if chain.rules:
            lines += [] if chain.name in table else [f"-N {chain.name}"]
            table.setdefault(chain.name, [])[:0] = [render_rule(rule) for rule in chain.rules]
            touched.add(chain.name)
            lines += _insertions(chain)
    return lines


def _raise_specific(table: Table, plans: Sequence[Plan], tags: Collection[str]) -> list[str]:
    lines = []
    for name in dict.fromkeys([chain.name for plan in plans for chain in plan.chains]):
        rules = table.get(name, [])
        raised = [rule for tag in tags for rule in rules if _is_specific(rule, tag)]
        if rules[: len(raised)] != raised:
            for rule in raised:
                rules.remove(rule)
                lines.append(f"-D {name} {rule}")
            rules[:0] = raised
            lines += [f"-I {name} {rule}" for rule in reversed(raised)]
    return lines


def _is_specific(rule: str, tag: str) -> bool:
    """Tell whether a rule of a tag is for a port of a single host address."""
    words = split_words(rule) if bears_tag(rule, tag) else []
    return "--dport" in words and "-d" in words and words[words.index("-d") - 1] != "!"


def _join(table: Table, plans: Sequence[Plan]) -> list[str]:
    """Have exactly one entry of each kind to every chain that is in use."""
    lines = []
    for chain in _in_use(plans):
        for entry in chain.entries:
            text = render_rule(entry.rule)
            present = table.setdefault(entry.built_in, [])
            if not present.count(text):
                present.insert(0 if entry.first else len(present), text)
                lines.append(_enter(entry))
            for _ in range(present.count(text) - 1):
                present.remove(text)
                lines.append(f"-D {entry.built_in} {text}")
    return lines


def _in_use(plans: Iterable[Plan]) -> list[Chain]:
    chains = {chain.name: chain for plan in plans for chain in plan.chains if chain.rules}
    return list(chains.values())


def _dissolve_if_empty(table: Table, name: str, plan: Plan) -> list[str]:
    """Remove a chain without rules, and its entries, unless somebody else leads there too."""
    if table.get(name) != []:
        return []
    entries = entries_into(name, plan.family, plan.table)
    own = [(entry.built_in, render_rule(entry.rule)) for entry in entries]
    leading = [
        (other, rule)
        for other, rules in table.items()
        for rule in rules
        if name in rule and jump_target(rule) == name
    ]
    if not set(leading) <= set(own):
        return []
    del table[name]
    for other, rule in leading:
        table[other].remove(rule)
    return [f"-D {other} {rule}" for other, rule in leading] + [f"-X {name}"]


def find_chains_gone(listing: Listing, plans: Sequence[Plan], lines: Sequence[str]) -> list[str]:
    """Return the chains, of those a batch was about, that do not exist once it is committed."""
    dissolved = set(find_dissolved(lines))
    used = {chain.name for chain in _in_use(plans)}
    about = {chain.name for plan in plans for chain in plan.chains} - used
    return sorted(dissolved | (about - listing.chains.keys()))


def find_dissolved(lines: Sequence[str]) -> list[str]:
    """Return the chains that a batch removes."""
    return [line.removeprefix("-X ") for line in lines if line.startswith("-X ")]
