"""Rules of nf_tables as ``nft -j`` prints them, asked about one packet."""

from dataclasses import replace
from typing import Any

import pytest

from mesos_cni_port_mapper.explain.journey import Journey, doubtful, travel
from mesos_cni_port_mapper.explain.nft import orders_of, parse_ruleset
from mesos_cni_port_mapper.explain.packet import OUTSIDE, Packet, Surroundings

OWN = "192.0.2.1"
PACKET = Packet(protocol="tcp", destination=OWN, port=8080, in_device="eth0")
HERE = Surroundings(
    interfaces={"eth0": (f"{OWN}/24",), "br1": ("10.1.0.1/24",)},
    route=lambda address: {OWN: "lo", "10.1.0.2": "br1"}.get(address, ""),
    setting=lambda _: "1",
)

DPORT = {"payload": {"protocol": "tcp", "field": "dport"}}
TH_DPORT = {"payload": {"protocol": "th", "field": "dport"}}
DADDR = {"payload": {"protocol": "ip", "field": "daddr"}}
SADDR = {"payload": {"protocol": "ip", "field": "saddr"}}
L4PROTO = {"meta": {"key": "l4proto"}}
WEB = {"dnat": {"addr": "10.1.0.2", "port": 80}}


def match(left: Any, right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


def meta(key: str) -> dict[str, Any]:
    return {"meta": {"key": key}}


def ruleset(*statements: Any, family: str = "ip", **containers: Any) -> dict[str, Any]:
    """Return a ruleset with one rule at prerouting, and maps."""
    at = {"family": family, "table": "t"}
    return {
        "nftables": [
            {"metainfo": {}},
            {"table": {"family": family, "name": "t"}},
            *[{"map": {**at, "name": name, "elem": each}} for name, each in containers.items()],
            {"chain": {**at, "name": "c", "type": "nat", "hook": "prerouting", "prio": -100}},
            {"chain": {**at, "name": "other"}},
            {"rule": {**at, "chain": "c", "expr": list(statements)}},
            {"rule": {**at, "chain": "other", "expr": [WEB]}},
        ]
    }


def send(document: Any, packet: Packet = PACKET) -> Journey:
    return travel(parse_ruleset(document), packet, OUTSIDE, HERE)


def where(*statements: Any, packet: Packet = PACKET, **containers: Any) -> str:
    journey = send(ruleset(*statements, **containers), packet)
    arrived = journey.arrived
    return f"{arrived.destination}:{arrived.port}" if journey.translation else ""


@pytest.mark.parametrize(
    "statement",
    [
        match(DPORT, 8080),
        match(TH_DPORT, {"range": [8000, 9000]}),
        match(DPORT, {"set": [1, 8080]}),
        match(DPORT, {"set": [1, {"range": [8080, 8081]}]}),
        match(DPORT, 8081, "!="),
        match(DADDR, OWN),
        match(DADDR, {"prefix": {"addr": "192.0.2.0", "len": 24}}),
        match(DADDR, {"range": ["192.0.2.0", "192.0.2.9"]}),
        match(meta("iifname"), "eth0"),
        match(meta("iifname"), "eth*"),
        match(meta("iifname"), {"set": ["lo", "br1"]}, "!="),
        match(L4PROTO, "tcp"),
        match(L4PROTO, {"set": ["tcp", "udp"]}),
        match(L4PROTO, 6),
        match(meta("nfproto"), "ipv4"),
        match(meta("mark"), 0),
        match({"&": [meta("mark"), 16]}, 0),
        match({"fib": {"result": "type", "flags": ["daddr"]}}, "local"),
        match({"ct": {"key": "state"}}, ["new", "established"], "in"),
        match({"concat": [L4PROTO, TH_DPORT]}, {"concat": ["tcp", 8080]}),
        {"counter": {"packets": 1, "bytes": 2}},
        {"log": None},
    ],
)
def test_a_match_that_holds(statement: Any) -> None:
    assert where(statement, WEB) == "10.1.0.2:80"


@pytest.mark.parametrize(
    "statement",
    [
        match(DPORT, 8081),
        match({"payload": {"protocol": "udp", "field": "dport"}}, 8080),
        match({"payload": {"protocol": "udp", "field": "dport"}}, 8081, "!="),
        match({"payload": {"protocol": "ip6", "field": "daddr"}}, "2001:db8::1", "!="),
        match(DADDR, "192.0.2.2"),
        match(meta("iifname"), "eth"),
        match(meta("nfproto"), "ipv6"),
        match({"ct": {"key": "status"}}, "dnat", "in"),
        match({"ct": {"key": "state"}}, "established", "in"),
        match(SADDR, {"prefix": {"addr": "10.1.0.0", "len": 24}}),
        match({"&": [SADDR, "255.255.255.0"]}, "10.1.0.0"),
        match(SADDR, {"prefix": {"addr": "127.0.0.0", "len": 8}}),
    ],
)
def test_a_match_that_does_not(statement: Any) -> None:
    journey = send(ruleset(statement, WEB))

    assert (journey.translation, doubtful(journey)) == (None, [])


@pytest.mark.parametrize(
    "statement",
    [
        match(SADDR, "198.51.100.1"),
        match(SADDR, {"prefix": {"addr": "192.0.2.0", "len": 28}}),
        match(meta("skuid"), 1000),
        match({"payload": {"protocol": "tcp", "field": "sport"}}, 1000),
        match(DADDR, "@unlisted"),
        match(DPORT, 8000, ">"),
        match({"ct": {"key": "zone"}}, 1),
        {"limit": {"rate": 1}},
    ],
)
def test_a_match_that_may_hold_is_an_if(statement: Any) -> None:
    journey = send(ruleset(statement, WEB))

    assert journey.translation is None
    assert len(doubtful(journey)) == 1


KEY = {"concat": [L4PROTO, TH_DPORT]}
ELEMENT = {"elem": {"val": {"concat": ["tcp", 8080]}, "counter": {"packets": 0, "bytes": 0}}}
TARGET = {"concat": ["10.1.0.2", 81]}


def test_a_map_says_where_and_whose() -> None:
    owner = {"elem": {"val": {"concat": ["tcp", 8080]}, "comment": "container_id: a"}}
    lookup = {"dnat": {"family": "ip", "addr": {"map": {"key": KEY, "data": "@any"}}}}
    maps: dict[str, Any] = {"any": [[ELEMENT, TARGET]], "any-owners": [[owner, "::1"]]}

    journey = send(ruleset(lookup, **maps))

    assert (journey.arrived.destination, journey.arrived.port) == ("10.1.0.2", 81)
    assert journey.translation is not None
    assert journey.translation.effect.tag == "container_id: a"  # type: ignore[union-attr]
    assert where(lookup, packet=replace(PACKET, port=1), **maps) == ""


def test_a_map_of_runs_keeps_the_port() -> None:
    run = {"concat": ["tcp", {"range": [8000, 8100]}]}
    lookup = {"dnat": {"addr": {"map": {"key": KEY, "data": "@runs"}}}}

    assert where(lookup, runs=[[run, "10.1.0.2"]]) == "10.1.0.2:8080"


def test_a_map_in_a_rule() -> None:
    data = {"set": [[8080, {"concat": ["10.1.0.2", 82]}]]}
    assert where({"dnat": {"addr": {"map": {"key": DPORT, "data": data}}}}) == "10.1.0.2:82"


@pytest.mark.parametrize("verdict", [{"jump": {"target": "other"}}, {"goto": {"target": "other"}}])
def test_a_map_of_verdicts_leads_on(verdict: Any) -> None:
    lookup = {"vmap": {"key": KEY, "data": "@odd"}}

    assert where(lookup, odd=[[ELEMENT, verdict]]) == "10.1.0.2:80"
    assert where(lookup, odd=[[ELEMENT, {"accept": None}]]) == ""
    assert where(verdict) == "10.1.0.2:80"


def test_chance_is_an_if() -> None:
    by_chance = {"numgen": {"mode": "random", "mod": 2}}
    data = {"set": [[0, {"jump": {"target": "other"}}], [1, {"accept": None}]]}

    journey = send(ruleset({"vmap": {"key": by_chance, "data": data}}))

    assert journey.translation is None
    assert len(doubtful(journey)) == 1


def test_marks_are_remembered() -> None:
    value = {"|": [meta("mark"), 16]}
    marking = {"mangle": {"key": meta("mark"), "value": value}}

    assert where(marking, match({"&": [meta("mark"), 16]}, 16), WEB) == "10.1.0.2:80"


def test_what_was_iptables_own_is_not_read_twice() -> None:
    document = ruleset({"xt": None}, WEB)

    assert len(parse_ruleset(document)) == 1
    assert parse_ruleset(document, but=[("ip", "t")]) == []
    assert len(doubtful(send(document))) == 1


def test_other_families_are_left_out() -> None:
    assert send(ruleset(WEB, family="ip6")).translation is None
    assert send(ruleset(WEB, family="inet")).translation is not None
    assert parse_ruleset(ruleset(WEB, family="bridge")) == []


def test_the_younger_is_asked_first() -> None:
    chains = [
        {"chain": {"family": "ip", "table": name, "name": "c", "hook": "prerouting"}}
        for name in ("old", "young")
    ]
    orders = orders_of({"nftables": chains})

    assert orders["ip", "young", "c"] < orders["ip", "old", "c"]


@pytest.mark.parametrize("document", [{}, [], {"nftables": [{"rule": {}}]}, {"nftables": 1}])
def test_what_cannot_be_read_is_an_error_of_value(document: Any) -> None:
    try:
        assert parse_ruleset(document) == []
    except ValueError as error:
        assert "unexpected form" in str(error)
