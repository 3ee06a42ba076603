"""In which ways a table is not what a plan says: what CHECK reports."""

from __future__ import annotations

from mesos_cni_port_mapper.portmap.attachment import is_of_container
from mesos_cni_port_mapper.portmap.listing import bears_tag, comment_of, split_words
from mesos_cni_port_mapper.portmap.render import render_rule
from mesos_cni_port_mapper.portmap.rule import IPV4, IPV6, NAT
from mesos_cni_port_mapper.portmap.scope import scope_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesos_cni_port_mapper.portmap.listing import Listing
    from mesos_cni_port_mapper.portmap.rule import Chain, Plan, Rule
    from mesos_cni_port_mapper.portmap.scope import Scope

_ENDING_TARGETS = ("ACCEPT", "DNAT", "DROP", "NETMAP", "REDIRECT", "RETURN")


def name_differences(listing: Listing, plan: Plan) -> list[str]:
    """Return a line for everything in which a table is not what a plan for it says.

    A line begins with the table's name, unless it is the one that comes to mind first.
    """
    tool = "ip6tables" if plan.family == IPV6 else "iptables"
    where = "" if (plan.family, plan.table) == (IPV4, NAT) else f"{tool} {plan.table}: "
    differences = []
    for chain in plan.chains:
        differences += _compare_entries(listing, chain)
        differences += _compare_rules(listing.chains.get(chain.name, ()), chain, plan.tag)
        differences += _find_shadows(listing.chains.get(chain.name, ()), chain, plan.tag)
    return [where + each for each in differences]


def _compare_entries(listing: Listing, chain: Chain) -> list[str]:
    differences = []
    for entry in chain.entries:
        text = render_rule(entry.rule)
        present = [_words(rule) for rule in listing.chains.get(entry.built_in, ())]
        count = present.count(_words(text))
        if count != 1:
            differences.append(f"{count} times instead of once: -A {entry.built_in} {text}")
    return differences


def _compare_rules(rules: Sequence[str], chain: Chain, tag: str) -> list[str]:
    differences = []
    wanted = [_Wanted(rule) for rule in chain.rules]
    present = [rule for rule in rules if bears_tag(rule, tag)]
    differences += [
        f"missing: -A {chain.name} {each.text}"
        for each in wanted
        if not any(each.is_like(rule) for rule in present)
    ]
    differences += [
        f"unexpected: -A {chain.name} {rule}"
        for rule in present
        if not any(each.is_like(rule) for each in wanted)
    ]
    if differences or len(present) != len(wanted):
        differences += [
            f"{count} times instead of once: -A {chain.name} {each.text}"
            for each in wanted
            for count in [sum(each.is_like(rule) for rule in present)]
            if count > 1
        ]
    elif not all(each.is_like(rule) for each, rule in zip(wanted, present, strict=True)):
        differences.append(f"out of order in {chain.name}: {'; '.join(present)}")
    return differences


class _Wanted:
    """A rule as it should be, to be compared with what a version of iptables printed.

    Versions print options in different orders, and conditions of the operator's own in their own
    spelling, what goes without saying left out: of those it must have some words.
    """

    def __init__(self, rule: Rule) -> None:
        self.text = render_rule(rule)
        self._words = _words(render_rule(rule.but(conditions=())))
        self._is_conditional = bool(rule.conditions)

    def is_like(self, rule: str) -> bool:
        rest = split_words(rule)
        for word in self._words:
            if word not in rest:
                return False
            rest.remove(word)
        return bool(rest) == self._is_conditional


def _find_shadows(rules: Sequence[str], chain: Chain, tag: str) -> list[str]:
    """Name the rules of others that stand before one of the plan's and take its packets.

    By another interface of the same container they get there all the same.
    """
    shadows: list[str] = []
    others = [
        (rule, None if bears_tag(rule, tag) else scope_of(rule))
        for rule in rules
        if bears_tag(rule, tag) or not is_of_container(comment_of(rule), tag)
    ]
    for rule in chain.rules:
        if not rule.host_port:
            continue
        wanted = _Wanted(rule)
        for text, scope in others:
            if scope is None:
                if wanted.is_like(text):
                    break
            elif _takes_port(scope, rule):
                shadows.append(f"shadowed by: -A {chain.name} {text}")
    return list(dict.fromkeys(shadows))


def _takes_port(scope: Scope, wanted: Rule) -> bool:
    """Tell whether a rule ends the way of packets for one of the ports, whatever else they are."""
    return (
        scope.target in _ENDING_TARGETS
        and not scope.narrowed
        and scope.destination in ("", wanted.destination)
        and scope.has_port_of(wanted)
    )


def _words(rule: str) -> list[str]:
    # Versions of iptables print the same options in different orders.
    return sorted(split_words(rule))
