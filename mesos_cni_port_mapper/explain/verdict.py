"""What becomes of a new connection, and why: judged over what was found on its way."""

from __future__ import annotations

from mesos_cni_port_mapper.explain.absence import Reason, described, mappings_for, why_not
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
    Observation,
    Shadowed,
    Winner,
)
from mesos_cni_port_mapper.explain.journey import Journey, doubtful, travel
from mesos_cni_port_mapper.explain.model import (
    REJECT,
    End,
    Hide,
    Rule,
    Translate,
)
from mesos_cni_port_mapper.explain.owners import owner_of
from mesos_cni_port_mapper.explain.packet import HOST, Packet, network_of
from mesos_cni_port_mapper.explain.words import condition_in_words, steps_of
from mesos_cni_port_mapper.netfilter.listeners import Listener
from mesos_cni_port_mapper.portmap import loopback
from mesos_cni_port_mapper.portmap.mapping import ANY

_FORWARDING = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}


def explain(observation: Observation, packet: Packet, origin: str) -> Explanation:
    """Explain what becomes of a packet."""
    return _Judge(
        observation, travel(observation.tables, packet, origin, observation.surroundings)
    ).judge()


class _Judge:
    def __init__(self, observation: Observation, journey: Journey) -> None:
        self._seen = observation
        self._journey = journey
        self._host = observation.surroundings
        self._reasons: list[Reason] = []
        self._outcome = NOT_KNOWN
        self._answerer = ""
        self._winner = self._find_winner()

    def judge(self) -> Explanation:
        verdict = self._verdict()
        journey = self._journey
        self._explain_absences()
        hidden = journey.hidden is not None
        return Explanation(
            asked=journey.asked,
            origin=journey.origin,
            verdict=verdict,
            outcome=self._outcome,
            answerer=self._answerer,
            winner=self._winner,
            hidden=None if not hidden and self._may_be_hidden() else hidden,
            hidden_by=journey.hidden.rule if journey.hidden else None,
            shadowed=self._find_shadowed(),
            reasons=tuple(dict.fromkeys(self._reasons)),
            conditions=self._conditions(),
            listeners=tuple(self._listeners_at(journey.asked.destination, journey.asked.port)),
            steps=tuple(steps_of(journey)),
            unseen=tuple(self._seen.unseen),
        )

    def _find_winner(self) -> Winner | None:
        event = self._journey.translation
        if event is None:
            return None
        owner = owner_of(event.rule, event.effect, self._seen.known)
        return Winner(
            event.rule, owner, self._journey.arrived.destination, self._journey.arrived.port
        )

    def _verdict(self) -> str:
        journey = self._journey
        if journey.over:
            return self._stopped()
        if not journey.device:
            return self._lose("no-route", f"there is no route to {journey.packet.destination}")
        if journey.device == "lo":
            return self._delivered()
        forwarding = _FORWARDING[self._family]
        if journey.origin != HOST and self._host.setting(forwarding) in ("", "0"):
            return self._lose("no-forwarding", f"{forwarding.replace('/', '.')} is off")
        if self._winner is None:
            self._reason("not-local", f"{journey.packet.destination} is no address of this host")
            return ELSEWHERE
        return self._forwarded(self._winner)

    @property
    def _family(self) -> int:
        return self._journey.asked.family

    def _reason(self, code: str, text: str) -> None:
        self._reasons.append(Reason(code, text))

    def _lose(self, code: str, text: str) -> str:
        self._reason(code, text)
        self._outcome = SILENCE
        return LOST

    def _stopped(self) -> str:
        journey = self._journey
        event = journey.stopped
        self._outcome = REFUSED if event and event.effect == End(REJECT) else SILENCE
        if event is None:
            self._reason(
                f"{journey.stopped_at}-dropped", f"the policy of {journey.policy} drops it"
            )
        elif _is_guard(event.rule):
            self._reason(
                "loopback-guard",
                "addresses of loopback are taken from lo alone, because ports there are forwarded: "
                f"{described(event.rule)}",
            )
        else:
            owner = owner_of(event.rule, event.effect, self._seen.known)
            self._reason(
                f"{journey.stopped_at}-dropped", f"dropped by {owner}: {described(event.rule)}"
            )
        return DROPPED

    def _delivered(self) -> str:
        """Judge what reaches the host's own programs."""
        journey = self._journey
        packet = journey.arrived
        device = journey.asked.in_device
        is_loopback = loopback.is_loopback(packet.destination)
        if journey.origin != HOST and is_loopback and not self._lets_loopback_in(device):
            return self._lose(
                "martian", f"the kernel takes nothing for {loopback.NETWORK} from {device}"
            )
        found = self._listeners_at(packet.destination, packet.port)
        self._outcome = ANSWERED if found else REFUSED
        self._answerer = "host"
        if not found:
            self._reason(
                "no-listener",
                f"no program of the host listens on {packet.protocol} {packet.port} of "
                f"{packet.destination}",
            )
        return LOCAL

    def _forwarded(self, winner: Winner) -> str:
        journey = self._journey
        known = winner.owner.known
        if known and known.gone:
            self._reason("stale-owner", f"{known} is gone: {known.gone}")
        elif winner.owner.is_ours and not known:
            self._reason("unrecorded", f"nothing is on record of {winner.owner}")
        if loopback.is_loopback(journey.asked.destination) and journey.origin == HOST:
            if not self._lets_loopback_in(journey.device):
                return self._lose(
                    "no-route-localnet", f"net.ipv4.conf.{journey.device}.route_localnet is off"
                )
            if journey.hidden is None and not self._may_be_hidden():
                return self._lose("not-masqueraded", "127.0.0.1 is somebody else in the container")
        if self._is_neighbour() and journey.hidden is None and not self._may_be_hidden():
            return self._lose(
                "not-masqueraded",
                f"client and container are both on {journey.device}: the answer goes past the "
                "host, and nobody recognises it (snat is off)",
            )
        self._answerer = str(winner.owner.container or winner.owner.program)
        self._outcome = self._heard(winner)
        return FORWARDED

    def _is_neighbour(self) -> bool:
        """Tell whether the container could answer the client without the host."""
        journey = self._journey
        if journey.origin == HOST or journey.asked.in_device != journey.device:
            return False
        if self._host.setting("net/bridge/bridge-nf-call-iptables") == "1":
            return False
        if not journey.asked.source:
            return True
        return any(
            network_of(journey.asked.source).network_address in network_of(each)
            for each in self._host.interfaces.get(journey.device, ())
            if (":" in each) == (self._family == 6)
        )

    def _heard(self, winner: Winner) -> str:
        """Return how a container that gets the packet answers."""
        known = winner.owner.known
        if known is None or known.gone:
            return NOT_KNOWN
        found = self._seen.listeners_in(known, self._journey.asked.protocol)
        if found is None:
            return NOT_KNOWN
        if any(_hears(each, winner.address, winner.port) for each in found):
            return ANSWERED
        self._reason(
            "no-listener",
            f"nothing listens on {self._journey.asked.protocol} {winner.port} in {known}",
        )
        return REFUSED

    def _lets_loopback_in(self, device: str) -> bool:
        names = ("all", device)
        return any(
            self._host.setting(f"net/ipv4/conf/{name}/route_localnet") == "1" for name in names
        )

    def _may_be_hidden(self) -> bool:
        return any(isinstance(event.effect, Hide) for _, event in doubtful(self._journey))

    def _listeners_at(self, address: str, port: int) -> list[Listener]:
        protocol = self._journey.asked.protocol
        return [
            each
            for each in self._seen.listeners
            if each.protocol == protocol and _hears(each, address, port)
        ]

    def _explain_absences(self) -> None:
        """Say of everybody else who has the port why it is not led there."""
        asked = self._journey.asked
        owner = self._winner.owner.known if self._winner else None
        having = [
            each for each in self._seen.known if mappings_for(each, asked.protocol, asked.port)
        ]
        for each in having:
            if each is not owner:
                reason = why_not(
                    each, self._journey, self._seen.tables, self._host, self._seen.known
                )
                self._reasons += [reason] if reason else []
        if self._journey.ambiguous:
            self._reason(
                "both-worlds",
                "both iptables-legacy and nf_tables translate here: which goes first is not listed",
            )
        if not having and self._winner is None:
            self._mention_others(asked)

    def _mention_others(self, asked: Packet) -> None:
        for each in self._seen.known:
            others = {
                item.protocol for item in each.record.mappings if item.host_port == asked.port
            }
            if others:
                self._reason(
                    "wrong-protocol", f"{each} has the port, but for {', '.join(sorted(others))}"
                )
                return
        self._reason(
            "not-asked-for", f"no container on record asked for {asked.protocol} {asked.port}"
        )

    def _find_shadowed(self) -> tuple[Shadowed, ...]:
        first = self._journey.translation
        found = [
            Shadowed(
                event.rule,
                owner_of(event.rule, event.effect, self._seen.known),
                event.shadow or self._journey.translator,
            )
            for event in self._journey.events("prerouting", "output")
            if isinstance(event.effect, Translate) and not event.doubts and event is not first
        ]
        # A port of one address and of all is led to the same container twice.
        winner = self._winner.owner if self._winner else None
        return tuple(each for each in found if each.owner != winner or not each.owner.container)

    def _conditions(self) -> tuple[str, ...]:
        return tuple(
            f"if {' and '.join(event.doubts)}: {condition_in_words(event)}"
            for hook, event in doubtful(self._journey)
        )


def _is_guard(rule: Rule) -> bool:
    return rule.chain.startswith(loopback.PREFIX) or rule.comment == "guard-0"


def _hears(listener: Listener, address: str, port: int) -> bool:
    if listener.port != port:
        return False
    if listener.address == ANY[4]:
        return ":" not in address
    # A socket of :: counts for IPv4 too, unless its program asked for IPv6 alone.
    return listener.address in (address, ANY[6])
