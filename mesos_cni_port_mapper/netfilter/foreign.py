"""Rules of others that take a port: what a listing tells and no record does."""

from __future__ import annotations

from mesos_cni_port_mapper.cni.errors import PORT_TAKEN
from mesos_cni_port_mapper.netfilter.outcome import RulesUntouchedError
from mesos_cni_port_mapper.portmap.attachment import is_tag
from mesos_cni_port_mapper.portmap.listing import comment_of, split_words
from mesos_cni_port_mapper.portmap.mapping import HIGHEST_PORT
from mesos_cni_port_mapper.portmap.rule import Dnat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mesos_cni_port_mapper.portmap.listing import Listing
    from mesos_cni_port_mapper.portmap.rule import Plan, Rule

_REWRITING = ("DNAT", "REDIRECT", "NETMAP", "TPROXY")


def refuse_taken(listing: Listing, plan: Plan, known: frozenset[str], *, strict: bool) -> None:
    """Raise ``RulesUntouchedError`` where a rule of somebody else takes one of a plan's ports.

    Owners with ``known`` tags are on record, and it has been decided about them. Other tags of ours
    were made by somebody whose record was lost; what bears none is foreign, and counts when
    ``strict``.
    """
    for wanted in _forwarding(plan):
        for chain, rules in listing.chains.items():
            for rule in rules:
                tag = comment_of(rule)
                if tag == plan.tag or tag in known or not (strict or is_tag(tag)):
                    continue
                if takes_port(rule, wanted, exactly=is_tag(tag)):
                    owner = tag if is_tag(tag) else "a rule that is not ours"
                    raise RulesUntouchedError(
                        PORT_TAKEN,
                        f"{wanted.protocol} {wanted.host_port} is taken by {owner}",
                        f"-A {chain} {rule}",
                    )


def takes_port(rule: str, wanted: Rule, *, exactly: bool = False) -> bool:
    """Tell whether a rule rewrites the destination of packets that a wanted rule is for.

    ``exactly`` asks for the same host address: ours for one address and for all go together.
    """
    words = split_words(rule)
    options = {word: words[index] for index, word in enumerate(words[:-1], 1)}
    if options.get("-j") not in _REWRITING or options.get("-p", wanted.protocol) != wanted.protocol:
        return False
    destination = "" if _is_negated(words, "-d") else options.get("-d", "")
    if destination != wanted.destination and (exactly or (destination and wanted.destination)):
        return False
    ports = options.get("--dport") or options.get("--dports") or f"1:{HIGHEST_PORT}"
    return any(
        first < wanted.host_port + wanted.port_count and wanted.host_port <= last
        for first, last in [_range(part) for part in ports.split(",")]
    )


def _forwarding(plan: Plan) -> list[Rule]:
    return [rule for chain in plan.chains for rule in chain.rules if isinstance(rule.target, Dnat)]


def _is_negated(words: list[str], option: str) -> bool:
    return words[words.index(option) - 1] == "!" if option in words else False


def _range(text: str) -> tuple[int, int]:
    first, _, last = text.partition(":")
    return int(first or 0), int(last or first or HIGHEST_PORT)
