"""`mesos-cni ports explain` against the kernel: what it says, and who really answers.

All situations of a back end share one host. Each network of it has a chain of its own, so that one
can be damaged and the others not; rules of other programs stand in front of ours and behind them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.netns.behaviour.backends import BACK_ENDS, BackEnd
from tests.netns.behaviour.site import (
    CLIENT,
    OTHER,
    OWN,
    Site,
    addresses,
    bridge,
    mapping,
    name_of,
    settle,
)
from tests.netns.explaining import Json, ask, codes
from tests.support.gate import need_host
from tests.support.host import Host, Place
from tests.support.plugin import Plugin
from tests.support.traffic import Attempt, Protocol, serve_tcp, serve_udp

NFT, LEGACY, MAPS = (each.name for each in BACK_ENDS)
EVERY, CHAINS = (NFT, LEGACY, MAPS), (NFT, LEGACY)

SILENCE = ("timeout", "unreachable")
ANSWERED, REFUSED = "answered", "refused"
FORWARDED, LOCAL, DROPPED, LOST, ELSEWHERE = "forwarded", "host", "dropped", "lost", "elsewhere"
NOBODY = ""
"""For whom is answered by nobody: in `winner`, no rule won."""

FOREIGN = addresses(9)[4]
"""A container that other programs lead ports to."""

HOST_PORT = 7000
"""Where a program of the host answers."""


@dataclass(frozen=True)
class Situation:
    """A question, from where it is asked, what must be said, and who answers really.

    ``winner`` is the container or the program whose rule wins. ``answers`` is the name of who
    answers, "refused", "silence", or "" where no packet is sent.
    """

    what: str
    protocol: Protocol
    address: str
    port: int
    source: str
    verdict: str
    winner: str
    answers: str
    says: tuple[str, ...] = ()
    on: tuple[str, ...] = EVERY
    masqueraded: bool | None = field(default=None)
    certain: bool = True
    shadowed: str = ""


def tcp(what: str, port: int, verdict: str, winner: str, answers: str, **more: object) -> Situation:
    """Return a situation with the client outside and IPv4, unless said otherwise."""
    usual = {"protocol": "tcp", "address": OWN[4], "source": "client"}
    given = {**usual, **more}
    return Situation(what, port=port, verdict=verdict, winner=winner, answers=answers, **given)  # type: ignore[arg-type]


SITUATIONS = [
    # What works.
    tcp("a port from outside", 8080, FORWARDED, "plain", "plain", masqueraded=False),
    tcp("a port of IPv6", 8080, FORWARDED, "plain", "plain", address=OWN[6]),
    tcp("udp", 8081, FORWARDED, "plain", "plain", protocol="udp"),
    tcp("another address of the host", 8080, FORWARDED, "plain", "plain", address=OTHER[4]),
    tcp("from the host itself", 8080, FORWARDED, "plain", "plain", source="host"),
    tcp("one address", 8082, FORWARDED, "plain", "plain"),
    tcp("a run of ports", 8085, FORWARDED, "plain", "plain"),
    tcp("a shifted run", 8088, FORWARDED, "plain", "plain"),
    tcp("itself, masqueraded", 8180, FORWARDED, "hidden", "hidden", source="hidden",
        masqueraded=True),
    tcp("a neighbour, masqueraded", 8180, FORWARDED, "hidden", "hidden", source="near-hidden",
        masqueraded=True),
    tcp("a neighbour by a mark", 8280, FORWARDED, "marked", "marked", source="near-marked",
        masqueraded=True),
    tcp("from outside, by a mark", 8280, FORWARDED, "marked", "marked", masqueraded=False),
    tcp("everybody masqueraded", 8380, FORWARDED, "veiled", "veiled", masqueraded=True),
    tcp("loopback on request", 8180, FORWARDED, "hidden", "hidden", source="host",
        address="127.0.0.1", masqueraded=True),
    tcp("another network's container", 8180, FORWARDED, "hidden", "hidden", source="plain",
        masqueraded=False),
    # Nothing asked for, or something else.
    tcp("nobody's port", 9999, LOCAL, NOBODY, REFUSED, says=("no-listener", "not-asked-for")),
    tcp("a program of the host", HOST_PORT, LOCAL, NOBODY, "host", says=("not-asked-for",)),
    tcp("another protocol", 8080, LOCAL, NOBODY, REFUSED, protocol="udp",
        says=("wrong-protocol",)),
    tcp("one address, and another is asked", 8082, LOCAL, NOBODY, REFUSED, address=OTHER[4],
        says=("wrong-address",)),
    tcp("wrong family", 8480, LOCAL, NOBODY, REFUSED, address=OWN[6], says=("wrong-family",)),
    tcp("right family", 8480, FORWARDED, "fourth", "fourth"),
    tcp("loopback, and nobody asked for it", 8080, LOCAL, NOBODY, REFUSED, source="host",
        address="127.0.0.1", says=("loopback",)),
    tcp("loopback of IPv6", 8180, LOCAL, NOBODY, REFUSED, source="host", address="::1",
        says=("loopback",)),
    tcp("another machine", 8080, ELSEWHERE, NOBODY, "", address=CLIENT[4],
        source="near-hidden", says=("not-local",)),
    # What is in the way.
    tcp("the loopback guard", 8180, DROPPED, NOBODY, "", address="127.0.0.1", source="br2",
        says=("loopback-guard",)),
    tcp("excluded device", 8580, LOCAL, NOBODY, REFUSED, says=("excluded-device",)),
    tcp("a device that is not excluded", 8580, FORWARDED, "shy", "shy", source="near-hidden"),
    tcp("two excluded devices", 8581, LOCAL, NOBODY, REFUSED, says=("excluded-device",)),
    tcp("a pattern of excluded devices", 8582, LOCAL, NOBODY, REFUSED, says=("excluded-device",)),
    tcp("no listener in the container", 8083, FORWARDED, "plain", REFUSED, says=("no-listener",)),
    tcp("no listener of udp", 8084, FORWARDED, "plain", REFUSED, protocol="udp",
        says=("no-listener",)),
    tcp("a neighbour without masquerading", 8080, LOST, "plain", "silence", source="near-plain",
        says=("not-masqueraded",)),
    tcp("itself without masquerading", 8080, LOST, "plain", "silence", source="plain",
        says=("not-masqueraded",)),
    tcp("stale owner", 8680, FORWARDED, "stale", "silence", says=("stale-owner",)),
    tcp("no route_localnet", 8780, LOST, "shut", "silence", source="host", address="127.0.0.1",
        says=("no-route-localnet",)),
    tcp("conditions that do not hold", 8880, LOCAL, NOBODY, REFUSED, source="near-hidden",
        says=("condition",), on=CHAINS),
    tcp("conditions that hold", 8880, FORWARDED, "choosy", "choosy", source="the client"),
    tcp("conditions that may hold", 8880, LOCAL, NOBODY, "", certain=False),
    tcp("no jump", 8980, LOCAL, NOBODY, REFUSED, says=("no-jump",), on=CHAINS),
    tcp("no jump, and the host has one", 8980, FORWARDED, "lost", "lost", source="host",
        on=CHAINS),
    tcp("a jump behind a condition", 8985, LOCAL, NOBODY, REFUSED, says=("not-reached",),
        on=CHAINS),
    tcp("no rules any more", 9080, LOCAL, NOBODY, REFUSED, says=("no-rules",)),
    # Rules of others.
    tcp("Docker stands first", 9180, FORWARDED, "Docker", "foreign", says=("shadowed",),
        shadowed="plain"),
    tcp("Docker stands behind", 9181, FORWARDED, "plain", "plain", shadowed="Docker",
        on=CHAINS),
    tcp("Docker comes later, and its table is asked first", 9181, FORWARDED, "Docker", "foreign",
        says=("shadowed",), shadowed="plain", on=(MAPS,)),
    tcp("portmap stands first", 9182, FORWARDED, "the portmap plugin", "foreign",
        says=("shadowed",), shadowed="plain"),
    tcp("by hand, to the host", 9183, LOCAL, "by hand", "host", says=("shadowed",)),
    tcp("by hand, from the host itself", 9183, FORWARDED, "plain", "plain", source="host"),
    tcp("accepted by hand", 9184, LOCAL, NOBODY, REFUSED, says=("shadowed",), on=CHAINS),
    tcp("by the original, still there", 9185, FORWARDED, "the original mesos-cni-port-mapper",
        "foreign", says=("shadowed",), shadowed="plain"),
    tcp("Docker's port alone", 9186, FORWARDED, "Docker", "foreign"),
    tcp("another mark than is wanted", 9187, FORWARDED, "plain", "plain"),
    tcp("a mark that an earlier table set", 9188, LOCAL, "by hand", "host", says=("shadowed",)),
    tcp("by chance", 9189, FORWARDED, "plain", "", certain=False),
    tcp("an unknown set of addresses", 9190, FORWARDED, "plain", "", certain=False),
    tcp("returned early", 9191, FORWARDED, "plain", "plain"),
    tcp("netavark's own table", 9192, FORWARDED, "netavark (Podman)", "foreign",
        says=("shadowed",), on=(NFT, MAPS)),
    tcp("both worlds", 9193, FORWARDED, "plain", "", says=("both-worlds",), on=(LEGACY,)),
    tcp("dropped before", 9194, DROPPED, NOBODY, "silence", says=("prerouting-dropped",)),
    tcp("exempt from tracking", 9195, LOCAL, NOBODY, REFUSED, says=("untracked",)),
    tcp("dropped on its way to the container", 9196, DROPPED, "barred", "silence",
        says=("forward-dropped",)),
    tcp("rejected on its way in", 9197, DROPPED, NOBODY, REFUSED, says=("input-dropped",)),
]  # fmt: skip

FRONT = f"""
iptables -t nat -N DOCKER
iptables -t nat -I PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
iptables -t nat -A DOCKER ! -i docker0 -p tcp --dport 9180 -j DNAT --to-destination {FOREIGN}:80
iptables -t nat -A DOCKER -i br1 -j RETURN
iptables -t nat -A DOCKER -p tcp --dport 9186 -j DNAT --to-destination {FOREIGN}:80
iptables -t nat -N CNI-HOSTPORT-DNAT
iptables -t nat -N CNI-DN-0123456789
iptables -t nat -I PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
iptables -t nat -A CNI-HOSTPORT-DNAT -p tcp -m multiport --dports 9182,9990 -j CNI-DN-0123456789
iptables -t nat -A CNI-DN-0123456789 -p tcp --dport 9182 -j DNAT --to-destination {FOREIGN}:80
iptables -t nat -I PREROUTING -p tcp --dport 9183 -j REDIRECT --to-ports {HOST_PORT}
iptables -t nat -N OLD
iptables -t nat -I PREROUTING -p tcp --dport 9185 -g OLD
iptables -t nat -A OLD -p udp -j RETURN
iptables -t nat -A OLD -p tcp -m tcp --dport 9185 -m comment --comment "container_id: old" -j DNAT --to-destination {FOREIGN}:80
iptables -t nat -A OLD -j RETURN
iptables -t nat -I PREROUTING -p tcp --dport 9187 -m mark --mark 0x1 -j REDIRECT --to-ports {HOST_PORT}
iptables -t mangle -A PREROUTING -p tcp --dport 9188 -j MARK --set-mark 0x7
iptables -t nat -I PREROUTING -p tcp -m mark --mark 0x7 -j REDIRECT --to-ports {HOST_PORT}
iptables -t nat -I PREROUTING -p tcp --dport 9189 -m statistic --mode random --probability 0.5 -j REDIRECT --to-ports {HOST_PORT}
iptables -t nat -I PREROUTING -p tcp --dport 9190 -m recent --name seen --rcheck -j REDIRECT --to-ports {HOST_PORT}
iptables -t nat -N EARLY
iptables -t nat -I PREROUTING -p tcp --dport 9191 -j EARLY
iptables -t nat -A EARLY -i eth0 -j RETURN
iptables -t nat -A EARLY -p tcp -j REDIRECT --to-ports {HOST_PORT}
iptables -t raw -I PREROUTING -p tcp --dport 9194 -j DROP
iptables -t raw -I PREROUTING -p tcp --dport 9195 -j CT --notrack
iptables -I FORWARD -d {addresses(10)[4]} -j DROP
iptables -I INPUT -p tcp --dport 9197 -j REJECT
"""
"""Rules that stand before ours."""

BEHIND = f"""
iptables -t nat -N DOCKER-LATE
iptables -t nat -A PREROUTING -p tcp --dport 9181 -j DOCKER-LATE
iptables -t nat -A DOCKER-LATE -p tcp --dport 9181 -j DNAT --to-destination {FOREIGN}:80
"""

IN_FRONT_OF_CHAINS = """
iptables -t nat -I PREROUTING -p tcp --dport 9184 -j ACCEPT
"""

NETAVARK = f"""
table inet netavark {{
    chain ports {{ ip saddr 0.0.0.0/0 tcp dport 9192 dnat ip to {FOREIGN}:80; }}
    chain prerouting {{
        type nat hook prerouting priority -100;
        fib daddr type local jump ports
    }}
}}
"""
"""Of the same priority as iptables' and younger, so that the kernel asks it first."""

LATE = """
table ip other {
    chain prerouting { type nat hook prerouting priority -100; tcp dport 9193 redirect to :7000; }
}
"""


def rules(site: Site, script: str) -> None:
    """Run commands in the host."""
    site.host.run(["sh", "-e"], script.encode())


def prepare(site: Site) -> dict[str, Place]:
    """Make everything that the situations are about; return from where packets come."""
    host = site.host
    foreign = site.server("foreign")
    site.member(foreign, number=9, chain="FOREIGN").attach()
    serve_tcp(host, HOST_PORT)
    serve_udp(host, 8084, "127.0.0.1")
    rules(site, FRONT)
    plain = site.web(
        *[mapping(port) for port in (8080, *range(9180, 9186), *range(9187, 9196))],
        mapping(8081, 53, "udp"),
        mapping(8082, 80, "tcp", OWN[4]),
        mapping(8083, 123),
        mapping(8084, 124, "udp"),
        mapping(8085, 80),
        mapping(8087, 79),
        mapping(8088, 80),
        name="plain",
        chain="PLAIN",
    )
    near = {"near-plain": site.neighbour(name="near-plain", number=1)}
    hidden = site.web(
        mapping(8180), name="hidden", number=2, chain="HIDDEN", snat=True, localhost=True
    )
    near["near-hidden"] = site.neighbour(name="near-hidden", number=2)
    site.web(mapping(8280), name="marked", number=3, chain="MARK-ED", snat=True, markMasqBit=9)
    near["near-marked"] = site.neighbour(name="near-marked", number=3)
    site.web(mapping(8380), name="veiled", number=4, chain="VEILED", masqAll=True)
    site.web(mapping(8480), name="fourth", number=5, chain="FOURTH", delegate=bridge(5, [4]))
    for number, devices in enumerate((["eth0"], ["eth7", "eth0"], ["eth+"])):
        site.web(
            mapping(8580 + number),
            name="shy" if not number else f"shy-{number}",
            number=6,
            chain=f"SHY-{number}",
            excludeDevices=devices,
        )
    stale = site.member(host.container("stale"), mapping(8680), number=7, chain="STALE")
    stale.attach()
    stale.container.remove()
    site.web(mapping(8780), name="shut", number=8, chain="SHUT", localhost=True)
    rules(site, "echo 0 >/proc/sys/net/ipv4/conf/br8/route_localnet")
    words = ["-s", "192.0.2.0/24"] if site.back_end.has_chains else ["ip saddr 192.0.2.0/24"]
    words = words if site.back_end.has_chains else words[0].split(" ")
    site.web(mapping(8880), name="choosy", number=1, chain="CHOOSY", conditionsV4=words)
    site.web(mapping(9196), name="barred", number=10, chain="BARRED")
    site.web(mapping(9080), name="wiped", number=1, chain="WIPED")
    damage(site)
    return {
        "client": host.client,
        "the client": host.client,
        "host": host,
        "plain": plain.container,
        "hidden": hidden.container,
        **near,
    }


def damage(site: Site) -> None:
    """Take away what some situations miss, and put rules around ours."""
    table = "ip mesos-cni-port-mapper"
    if not site.back_end.has_chains:
        rules(site, f"nft 'delete element {table} any {{ tcp . 9080 }}'")
        rules(site, BEHIND)
        site.host.run(["nft", "-f", "-"], NETAVARK.encode())
        return
    site.web(mapping(8980), name="lost", number=1, chain="LOST")
    site.web(mapping(8985), name="narrow", number=1, chain="NARROW")
    rules(
        site,
        """
        iptables -t nat -F WIPED
        iptables -t nat -D PREROUTING -m addrtype --dst-type LOCAL -j LOST
        iptables -t nat -D PREROUTING -m addrtype --dst-type LOCAL -j NARROW
        iptables -t nat -A PREROUTING -i br1 -m addrtype --dst-type LOCAL -j NARROW
        """,
    )
    rules(site, BEHIND + IN_FRONT_OF_CHAINS)
    late = NETAVARK if site.back_end.name == NFT else LATE
    site.host.run(["nft", "-f", "-"], late.encode())


@dataclass(frozen=True)
class Answers:
    """What was said and what was seen, by what a situation is called."""

    back_end: str
    said: dict[str, Json]
    seen: dict[str, str]


@pytest.fixture(scope="module", params=BACK_ENDS, ids=str)
def answers(request: pytest.FixtureRequest, frozen: Path) -> Iterator[Answers]:
    """Ask about every situation, and try every one, on a host that they share."""
    back_end: BackEnd = request.param
    need_host(back_end.variant)
    with Host(back_end.variant) as host:
        settle(host)
        site = Site(host, Plugin(host, str(frozen)), back_end)
        places = prepare(site)
        asked = [each for each in SITUATIONS if back_end.name in each.on]
        said = ask(host, [question(each) for each in asked])
        attempts = {
            each.what: Attempt(
                each.protocol,
                places[each.source],
                each.address,
                each.port,
                1 if each.answers == "silence" else 5,
            )
            for each in asked
            if each.answers
        }
        yield Answers(
            back_end.name,
            {each.what: answer for each, answer in zip(asked, said, strict=True)},
            {what: name_of(each.outcome()) for what, each in attempts.items()},
        )


SOURCES = {
    "client": CLIENT,
    "the client": CLIENT,
    "host": OWN,
    "plain": addresses(1),
    "near-plain": addresses(1, 1),
    "hidden": addresses(2),
    "near-hidden": addresses(2, 1),
    "near-marked": addresses(3, 1),
}


def question(situation: Situation) -> list[str]:
    """Return the command's arguments for a situation."""
    family = 6 if ":" in situation.address else 4
    address = f"[{situation.address}]" if family == 6 else situation.address
    words = [situation.protocol, f"{address}:{situation.port}"]
    if situation.source == "client":
        return words
    if situation.source == "host":
        return [*words, "--from", "lo"]
    if situation.source not in SOURCES:
        return [*words, "--from", situation.source]
    return [*words, "--from", SOURCES[situation.source][family]]


def test_there_are_many_situations() -> None:
    assert len({each.what for each in SITUATIONS}) == len(SITUATIONS) >= 40


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.what)
def test_what_is_said_is_so(answers: Answers, situation: Situation) -> None:
    if answers.back_end not in situation.on:
        pytest.skip(f"is about {' and '.join(situation.on)}")
    said = answers.said[situation.what]

    winner = said["winner"] and said["winner"]["owner"]
    won = (winner and (winner["container"] if winner["live"] is not None else "")) or (
        winner and winner["program"]
    )
    assert (said["verdict"], won or NOBODY) == (situation.verdict, situation.winner), said
    assert set(situation.says) <= set(codes(said)), said["reasons"]
    assert said["certain"] == situation.certain, said["conditions"]
    if situation.masqueraded is not None:
        assert said["masqueraded"] == situation.masqueraded
    if situation.shadowed:
        owners = [
            each["owner"]["container"] or each["owner"]["program"] for each in said["shadowed"]
        ]
        assert situation.shadowed in owners
    if situation.answers:
        seen = answers.seen[situation.what]
        assert outcome_of(seen) == situation.answers
        assert agrees(said, seen), (said["outcome"], said["answerer"], seen)


def outcome_of(seen: str) -> str:
    return "silence" if seen in SILENCE else seen


def agrees(said: Json, seen: str) -> bool:
    """Tell whether what was said of the answer is what came; what others lead away is not foretold."""
    if said["outcome"] == "answered":
        return bool(said["answerer"] == seen)
    if said["outcome"] == "silence":
        return seen in SILENCE
    if said["outcome"] == "refused":
        return seen == REFUSED
    return not said["winner"]["owner"]["live"]
