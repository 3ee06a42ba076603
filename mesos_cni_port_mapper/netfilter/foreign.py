"""Rules of others that take a port: what a listing tells and no record does."""

from __future__ import annotations

from mesos_cni_port_mapper.cni.errors import PORT_TAKEN
from mesos_cni_port_mapper.netfilter.outcome import RulesUntouchedError
from mesos_cni_port_mapper.portmap.attachment import is_tag
from mesos_cni_port_mapper.portmap.listing import comment_of
from mesos_cni_port_mapper.portmap.nft_scope import find_scopes
from mesos_cni_port_mapper.portmap.nft_table import NAME
from mesos_cni_port_mapper.portmap.rule import Dnat
from mesos_cni_port_mapper.portmap.scope import scope_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from mesos_cni_port_mapper.portmap.listing import Listing
    from mesos_cni_port_mapper.portmap.rule import Plan, Rule
    from mesos_cni_port_mapper.portmap.scope import Scope

_REWRITING = ("DNAT", "REDIRECT", "NETMAP", "TPROXY")


def refuse_taken(listing: Listing, plan: Plan, known: frozenset[str], *, strict: bool) -> None:
    """Raise ``RulesUntouchedError`` where a rule of somebody else takes one of a plan's ports.

    Owners with ``known`` tags are on record, and it has been decided about them. Other tags of ours
    were made by somebody whose record was lost; what bears none is foreign, and counts when
    ``strict``.
    """
    others = [
        (f"-A {chain} {rule}", tag, scope_of(rule))
        for chain, rules in listing.chains.items()
        for rule in rules
        for tag in [comment_of(rule)]
        if tag != plan.tag and tag not in known and (strict or is_tag(tag))
    ]
    for wanted in _forwarding(plan):
        for text, tag, scope in others:
            if takes_port(scope, wanted, exactly=is_tag(tag)):
                owner = tag if is_tag(tag) else "a rule that is not ours"
                raise RulesUntouchedError(
                    PORT_TAKEN, f"{wanted.protocol} {wanted.host_port} is taken by {owner}", text
                )


def refuse_rewritten(ruleset: Any, plans: Iterable[Plan]) -> None:
    """Raise ``RulesUntouchedError`` where a rule of nf_tables takes one of the plans' ports.

    ``ruleset`` is what ``nft -j list ruleset`` says. Raises ``ValueError`` if it says it otherwise.
    """
    for plan in plans:
        others = find_scopes(ruleset, plan.family, NAME)
        for wanted in _forwarding(plan):
            for place, scope in others:
                if takes_port(scope, wanted):
                    raise RulesUntouchedError(
                        PORT_TAKEN,
                        f"{wanted.protocol} {wanted.host_port} is taken by a rule that is not ours",
                        place,
                    )


def takes_port(scope: Scope, wanted: Rule, *, exactly: bool = False) -> bool:
    """Tell whether a rule may rewrite the destination of packets that a wanted rule is for.

    ``exactly`` asks for the same host address: ours for one address and for all go together.
    """
    if scope.target not in _REWRITING or not scope.has_port_of(wanted):
        return False
    if scope.destination == wanted.destination:
        return True
    return not exactly and not (scope.destination and wanted.destination)


def _forwarding(plan: Plan) -> list[Rule]:
    return [rule for chain in plan.chains for rule in chain.rules if isinstance(rule.target, Dnat)]
