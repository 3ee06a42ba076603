"""An explanation in the words of people, and as a document for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mesos_cni_port_mapper.explain.absence import described
from mesos_cni_port_mapper.explain.explanation import (
    ANSWERED,
    DROPPED,
    ELSEWHERE,
    FORWARDED,
    LOCAL,
    LOST,
    NOT_KNOWN,
    REFUSED,
    SILENCE,
    Explanation,
)
from mesos_cni_port_mapper.explain.model import Rule
from mesos_cni_port_mapper.explain.owners import Owner
from mesos_cni_port_mapper.explain.packet import HOST, Packet
from mesos_cni_port_mapper.netfilter.listeners import Listener

_OUTCOMES = {
    ANSWERED: "a program listens there",
    REFUSED: "and is refused",
    SILENCE: "and gets no answer",
    NOT_KNOWN: "whether anybody listens there cannot be seen",
}


def encode_explanation(explanation: Explanation, holders: Mapping[int, str]) -> dict[str, Any]:
    """Return an explanation as the document that ``--json`` prints (docs/explain.md)."""
    winner = explanation.winner
    asked = explanation.asked
    return {
        "protocol": asked.protocol,
        "address": asked.destination,
        "port": asked.port,
        "from": {
            "origin": explanation.origin,
            "device": asked.in_device or None,
            "source": asked.source or None,
        },
        "verdict": explanation.verdict,
        "outcome": explanation.outcome,
        "answerer": explanation.answerer or None,
        "certain": not explanation.conditions,
        "winner": winner
        and {
            "owner": _encode_owner(winner.owner),
            "target": {"address": winner.address, "port": winner.port or None},
            "rule": _encode_rule(winner.rule),
        },
        "masqueraded": explanation.hidden,
        "masqueraded_by": explanation.hidden_by and _encode_rule(explanation.hidden_by),
        "shadowed": [
            {
                "owner": _encode_owner(each.owner),
                "rule": _encode_rule(each.rule),
                "by": each.by and _encode_rule(each.by),
            }
            for each in explanation.shadowed
        ],
        "reasons": [{"code": each.code, "text": each.text} for each in explanation.reasons],
        "conditions": list(explanation.conditions),
        "listeners": [
            {"address": each.address, "port": each.port, "by": holders.get(each.inode)}
            for each in explanation.listeners
        ],
        "steps": list(explanation.steps),
        "unseen": list(explanation.unseen),
    }


def _encode_owner(owner: Owner) -> dict[str, Any]:
    return {
        "program": owner.program,
        "container": owner.container or None,
        "network": owner.network or None,
        "ifname": owner.ifname or None,
        "live": None if owner.known is None else not owner.known.gone,
    }


def _encode_rule(rule: Rule) -> dict[str, str]:
    return {"table": rule.place, "chain": rule.chain, "rule": rule.text}


def render_explanation(explanation: Explanation, holders: Mapping[int, str]) -> Iterator[str]:
    """Return an explanation line by line, what matters most first."""
    yield f"{_asked(explanation.asked, explanation.origin)}: {_verdict(explanation)}"
    yield from _rendered_winner(explanation)
    rows = (
        ("shadowed", [f"{each.owner}: {described(each.rule)}" for each in explanation.shadowed]),
        ("why", [reason.text for reason in explanation.reasons]),
        ("but", explanation.conditions),
        ("listening", [_listening(explanation, each, holders) for each in explanation.listeners]),
        ("not seen", explanation.unseen),
        ("way", explanation.steps),
    )
    for name, lines in rows:
        for line in lines:
            yield f"  {name:<11} {line}"


def _rendered_winner(explanation: Explanation) -> Iterator[str]:
    winner = explanation.winner
    if winner:
        yield f"  winner      {winner.owner}"
        yield f"  rule        {described(winner.rule)}"
    if explanation.verdict == FORWARDED:
        hidden = {True: "yes", False: "no", None: "that depends, see below"}[explanation.hidden]
        by = f", by {described(explanation.hidden_by)}" if explanation.hidden_by else ""
        yield f"  masqueraded {hidden}{by}"


def _asked(packet: Packet, origin: str) -> str:
    address = f"[{packet.destination}]" if packet.family == 6 else packet.destination
    if origin == HOST:
        begin = "this host"
    else:
        begin = f"{packet.source or 'somebody'} beyond {packet.in_device or 'an unknown device'}"
    return f"{packet.protocol} {address}:{packet.port} from {begin}"


def _verdict(explanation: Explanation) -> str:
    winner = explanation.winner
    if explanation.verdict == FORWARDED and winner:
        where = f"{winner.address} port {winner.port or 'of the kernel'}"
        return f"goes to {winner.owner} at {where}; {_OUTCOMES[explanation.outcome]}"
    said = {
        LOCAL: f"reaches this host itself; {_OUTCOMES[explanation.outcome]}",
        DROPPED: f"is dropped {_OUTCOMES[explanation.outcome]}",
        LOST: "gets lost",
        ELSEWHERE: "is passed on to another machine",
    }
    return said[explanation.verdict]


def _listening(explanation: Explanation, listener: Listener, holders: Mapping[int, str]) -> str:
    holder = holders.get(listener.inode, "a process that /proc does not show")
    vain = ", in vain" if explanation.verdict != LOCAL else ""
    return f"{holder} at {listener.address} port {listener.port}{vain}"
