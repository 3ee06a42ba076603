"""In which ways the nat table is not what a plan says: what CHECK reports."""

from __future__ import annotations

from mesos_cni_port_mapper.portmap.listing import bears_tag, split_words
from mesos_cni_port_mapper.portmap.mapping import HIGHEST_PORT
from mesos_cni_port_mapper.portmap.render import render_rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesos_cni_port_mapper.portmap.listing import Listing
    from mesos_cni_port_mapper.portmap.rule import Plan

_ENDING_TARGETS = ("ACCEPT", "DNAT", "DROP", "NETMAP", "REDIRECT", "RETURN")
_PORT_OPTIONS = frozenset(("-p", "-m", "--dport", "--comment"))


def find_differences(listing: Listing, plan: Plan) -> list[str]:
    """Name everything in which the table differs from a plan."""
    rules = listing.chains.get(plan.chain, ())
    differences = []
    for built_in, jump in plan.jumps:
        text = render_rule(jump)
        count = [_words(rule) for rule in listing.chains.get(built_in, ())].count(_words(text))
        if count != 1:
            differences.append(f"{count} times instead of once: -A {built_in} {text}")
    wanted = [render_rule(rule) for rule in plan.rules]
    present = [rule for rule in rules if bears_tag(rule, plan.tag)]
    wanted_words = [_words(rule) for rule in wanted]
    present_words = [_words(rule) for rule in present]
    differences += [
        f"missing: -A {plan.chain} {rule}" for rule in wanted if _words(rule) not in present_words
    ]
    differences += [
        f"unexpected: -A {plan.chain} {rule}"
        for rule in present
        if _words(rule) not in wanted_words
    ]
    if sorted(present_words) == sorted(wanted_words):
        if present_words != wanted_words:
            differences.append(f"out of order in {plan.chain}: {'; '.join(present)}")
    else:
        differences += [
            f"{present_words.count(words)} times instead of once: -A {plan.chain} {rule}"
            for rule, words in zip(wanted, wanted_words, strict=True)
            if present_words.count(words) > 1
        ]
    return differences + _find_shadows(rules, plan)


def _find_shadows(rules: Sequence[str], plan: Plan) -> list[str]:
    """Name the rules of others that stand before one of the plan's and take its packets."""
    shadows: list[str] = []
    for rule in plan.rules:
        words = _words(render_rule(rule))
        for other in rules:
            if bears_tag(other, plan.tag):
                if _words(other) == words:
                    break
            elif _takes_port(other, rule.protocol, rule.host_port, rule.port_count):
                shadows.append(f"shadowed by: -A {plan.chain} {other}")
    return list(dict.fromkeys(shadows))


def _takes_port(rule: str, protocol: str, host_port: int, count: int) -> bool:
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
    if options.get("-p", protocol) != protocol:
        return False
    first, _, last = options.get("--dport", f"1:{HIGHEST_PORT}").partition(":")
    return int(first) < host_port + count and host_port <= int(last or first)


def _words(rule: str) -> list[str]:
    # Versions of iptables print the same options in different orders.
    return sorted(split_words(rule))
