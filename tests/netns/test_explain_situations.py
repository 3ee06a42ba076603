"""`mesos-cni ports explain` against the kernel: what it says, and who really answers.

All situations of a back end share one host. Each network of it has a chain of its own, so that one
can be damaged and the others not; rules of other programs stand in front of ours and behind them.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.netns.behaviour.backends import BACK_ENDS, BackEnd
from tests.netns.behaviour.site import (
    CLIENT,
    OWN,
    Site,
    addresses,
    bridge,
    mapping,
    name_of,
    settle,
)
from tests.netns.explaining import Json, ask, codes
from tests.netns.situations import (
    BEHIND,
    FRONT,
    HOST_PORT,
    IN_FRONT_OF_CHAINS,
    LATE,
    NETAVARK,
    NFT,
    NOBODY,
    REFUSED,
    SILENCE,
    SITUATIONS,
    Situation,
)
from tests.support.gate import need_host
from tests.support.host import Host, Place
from tests.support.plugin import Plugin
from tests.support.traffic import Attempt, serve_tcp, serve_udp


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
    plain = site.member(
        site.server("plain", tcp=[80, 8086]),
        *[mapping(port) for port in (8080, *range(9180, 9186), *range(9187, 9196), 9198)],
        mapping(8081, 53, "udp"),
        mapping(8082, 80, "tcp", OWN[4]),
        mapping(8083, 123),
        mapping(8084, 124, "udp"),
        mapping(8085, 8085),
        mapping(8086, 8086),
        mapping(8087, 79),
        mapping(8088, 80),
        chain="PLAIN",
    )
    plain.attach()
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
    for name in ("first", "second"):
        site.web(mapping(9280), name=name, number=1, chain="TWICE", onConflict="ignore")
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


# Rules are not told apart by who made them: those of libiptc are the legacy variant's.
ASKED = [each for each in BACK_ENDS if each.name != "libiptc"]


@pytest.fixture(scope="module")
def answers_of(frozen: Path) -> Callable[[str], Answers]:
    """Return what has the answers with a back end, by its name; they are asked for once."""
    known = {each.name: each for each in ASKED}
    return functools.cache(lambda name: answers(known[name], frozen))


def answers(back_end: BackEnd, frozen: Path) -> Answers:
    """Ask about every situation, and try every one, on a host that they share."""
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
        return Answers(
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


PAIRS = [
    (each, situation) for each in ASKED for situation in SITUATIONS if each.name in situation.on
]


@pytest.mark.parametrize(
    ("back_end", "situation"),
    PAIRS,
    ids=[f"{each}-{situation.what}" for each, situation in PAIRS],
)
def test_what_is_said_is_so(
    answers_of: Callable[[str], Answers], back_end: BackEnd, situation: Situation
) -> None:
    answers = answers_of(back_end.name)
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
    """Tell whether what was said of the answer came; what others lead away is not foretold."""
    if said["outcome"] == "answered":
        return bool(said["answerer"] == seen)
    if said["outcome"] == "silence":
        return seen in SILENCE
    if said["outcome"] == "refused":
        return seen == REFUSED
    return not said["winner"]["owner"]["live"]
