"""Whose address is hidden: traffic that would be answered past the host if it were not.

A container that reaches itself or a neighbour by the host's port is answered on the bridge, without
the host that would turn the answer round, and 127.0.0.1 means somebody else in there. Such traffic
is told by its source and by conntrack, which knows that its destination was rewritten; no mark is
needed. Those who want one have ``markMasqBit``, or ``externalSetMarkChain`` for a chain that marks
and whose owner masquerades.
"""

from __future__ import annotations

from mesos_cni_port_mapper.portmap import loopback
from mesos_cni_port_mapper.portmap.attachment import short_digest
from mesos_cni_port_mapper.portmap.chains import OWN_PREFIX
from mesos_cni_port_mapper.portmap.rule import Entry, Jump, Mark, Masquerade, Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesos_cni_port_mapper.portmap.traffic import Traffic

PREFIX = f"{OWN_PREFIX}SN-"


def chain_name(chain: str) -> str:
    """Return the name of the chain for what a network masquerades."""
    return f"{PREFIX}{short_digest(chain)}"


def entries_into(name: str) -> tuple[Entry, ...]:
    """Return what leads into such a chain, before a bridge accepts what stays in its subnet."""
    return (Entry(built_in="POSTROUTING", rule=Rule(target=Jump(chain=name)), first=True),)


def rules_of(
    traffic: Traffic, address: str, network: str, at_loopback: bool, tag: str
) -> tuple[Rule, ...]:
    """Plan the rules that hide sources of what goes to an ``address``, as in "192.0.2.2/32"."""
    sources = hidden_sources(traffic, network, at_loopback)
    if not sources or traffic.mark_chain:
        return ()
    rule = Rule(target=Masquerade(), destination=address, tag=tag)
    if traffic.mark:
        return (rule.but(marked=traffic.mark),)
    return tuple([rule.but(source=source, translated=True) for source in sources])


def marks_of(traffic: Traffic, forward: Rule, network: str) -> list[Rule]:
    """Plan what stands before a mapping's rule to mark what is to be masqueraded."""
    return _marks(traffic, forward, marked_sources(traffic, network))


def loopback_marks_of(traffic: Traffic, forward: Rule) -> list[Rule]:
    """Plan the same for a mapping at loopback, all of whose clients must be masqueraded."""
    return _marks(traffic, forward, [loopback.NETWORK])


def _marks(traffic: Traffic, forward: Rule, sources: Sequence[str]) -> list[Rule]:
    if not (traffic.mark or traffic.mark_chain):
        return []
    target = Jump(chain=traffic.mark_chain) if traffic.mark_chain else Mark(bits=traffic.mark)
    return [forward.but(target=target, source=source) for source in sources]


def hidden_sources(traffic: Traffic, network: str, at_loopback: bool) -> list[str]:
    """Return the networks whose addresses are hidden from a container in ``network``.

    "" stands for all of them; ``at_loopback`` says that it has ports there.
    """
    sources = marked_sources(traffic, network)
    if at_loopback and not traffic.masquerade_all:
        sources.append(loopback.NETWORK)
    return sources


def marked_sources(traffic: Traffic, network: str) -> list[str]:
    """Return the networks whose packets are marked on their way to a container, "" for all."""
    if traffic.masquerade_all:
        return [""]
    return [network] if traffic.snat else []
