"""In which ways a table is not what a plan says: what CHECK reports."""

from __future__ import annotations

from mesos_cni_port_mapper.portmap.listing import bears_tag, split_words
from mesos_cni_port_mapper.portmap.mapping import HIGHEST_PORT
from mesos_cni_port_mapper.portmap.render import render_rule
from mesos_cni_port_mapper.portmap.rule import IPV4, IPV6, NAT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesos_cni_port_mapper.portmap.listing import Listing
    from mesos_cni_port_mapper.portmap.rule import Chain, Plan, Rule

_ENDING_TARGETS = ("ACCEPT", "DNAT", "DROP", "NETMAP", "REDIRECT", "RETURN")
_PORT_OPTIONS = frozenset(("-d", "-p", "-m", "--dport", "--comment"))


def name_differences(listing: Listing, plan: Plan) -> list[str]:
    """Name the differences, and the table unless it is the one that comes to mind first."""
    tool = "ip6tables" if plan.family == IPV6 else "iptables"
    where = "" if (plan.family, plan.table) == (IPV4, NAT) else f"{tool} {plan.table}: "
    return [where + each for each in find_differences(listing, plan)]


def find_differences(listing: Listing, plan: Plan) -> list[str]:
    """Name everything in which a table differs from a plan for it."""
    differences = []
    for chain in plan.chains:
        for entry in chain.entries:
            text = render_rule(entry.rule)
            present = [_words(rule) for rule in listing.chains.get(entry.built_in, ())]
            count = present.count(_words(text))
            if count != 1:
                differences.append(f"{count} times instead of once: -A {entry.built_in} {text}")
        differences += _compare_chain(listing.chains.get(chain.name, ()), chain, plan.tag)
    return differences


def _compare_chain(rules: Sequence[str], chain: Chain, tag: str) -> list[str]:
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
    return differences + _find_shadows(rules, chain, tag)


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
    """Name the rules of others that stand before one of the plan's and take its packets."""
    shadows: list[str] = []
    for rule in chain.rules:
        if not rule.host_port:
            continue
        wanted = _Wanted(rule)
        for other in rules:
            if bears_tag(other, tag):
                if wanted.is_like(other):
                    break
            elif _takes_port(other, rule):
                shadows.append(f"shadowed by: -A {chain.name} {other}")
    return list(dict.fromkeys(shadows))


def _takes_port(rule: str, wanted: Rule) -> bool:
    """Tell whether a rule ends the way of packets for one of the ports, whatever else they are."""
    words = split_words(rule)
    # To exclude a device, as the original's rules do, leaves all the others.
    if words[:2] == ["!", "-i"]:
        words = words[3:]
    # Up to the target such a rule is pairs of an option and its value.
    options = dict(zip(words[::2], words[1::2], strict=False))
    conditions = list(options)[: list(options).index("-j")] if "-j" in options else []
    if options.get("-j") not in _ENDING_TARGETS or not _PORT_OPTIONS.issuperset(conditions):
        return False
    if options.get("-p", wanted.protocol) != wanted.protocol:
        return False
    if options.get("-d", wanted.destination) != wanted.destination:
        return False
    first, _, last = options.get("--dport", f"1:{HIGHEST_PORT}").partition(":")
    return int(first) < wanted.host_port + wanted.port_count and wanted.host_port <= int(
        last or first
    )


def _words(rule: str) -> list[str]:
    # Versions of iptables print the same options in different orders.
    return sorted(split_words(rule))
