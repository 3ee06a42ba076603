"""What rules do, and the way through them, in words."""

from __future__ import annotations

from mesos_cni_port_mapper.explain.absence import described
from mesos_cni_port_mapper.explain.journey import Journey
from mesos_cni_port_mapper.explain.model import Effect, End, Hide, Translate, Unknown
from mesos_cni_port_mapper.explain.walk import Event


def condition_in_words(event: Event) -> str:
    effect = event.effect
    if isinstance(effect, Translate):
        where = f"{effect.address or 'this host'} port {effect.port or 'of its choice'}"
        return f"to {where}, by {described(event.rule)}"
    if isinstance(effect, Hide):
        return f"its source is rewritten, by {described(event.rule)}"
    if isinstance(effect, Unknown):
        return f"what is not known here, by {described(event.rule)}"
    return f"{effect.kind if isinstance(effect, End) else 'on'}, by {described(event.rule)}"


def steps_of(journey: Journey) -> list[str]:
    """Return the way in words: the chains that were entered, and what was decided there."""
    steps = []
    for hook, met in journey.walks:
        chains = [chain for chain, shadow in met.entered.items() if shadow is None]
        decision = met.decision
        if decision is None and len(chains) < 2:
            continue
        ended = _word_of(decision.effect) if decision else "passes"
        steps.append(f"{hook}: {met.table.place}, {' > '.join(chains)}: {ended}")
    return steps


def _word_of(effect: Effect) -> str:
    if isinstance(effect, End | Translate | Hide):
        return effect.kind
    return "not known"
