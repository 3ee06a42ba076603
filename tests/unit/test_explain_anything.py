"""Whatever rules a host has, they are followed to an end: odd ones are not known, never fatal."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mesos_cni_port_mapper.explain.iptables import parse_tables
from mesos_cni_port_mapper.explain.journey import doubtful, travel
from mesos_cni_port_mapper.explain.model import NFT
from mesos_cni_port_mapper.explain.nft import parse_ruleset
from mesos_cni_port_mapper.explain.packet import HOST, OUTSIDE, Packet, Surroundings
from mesos_cni_port_mapper.explain.words import condition_in_words, steps_of

HERE = Surroundings(
    interfaces={"eth0": ("192.0.2.1/24", "2001:db8::1/64")},
    route=lambda address: "lo" if address in ("192.0.2.1", "2001:db8::1") else "eth0",
    setting=lambda _: "",
)
PACKETS = [
    Packet(protocol=protocol, destination=address, port=80, in_device="eth0", source=source)
    for protocol in ("tcp", "sctp")
    for address, source in (("192.0.2.1", ""), ("192.0.2.1", "192.0.2.9"), ("2001:db8::1", ""))
]

VOCABULARY = """
! -s -d -i -o -p -m -j -g --dport --dports --sport --dst-type --src-type --ctstate --mark
--tcp-flags --syn -f --comment --to-destination --to-ports --set-xmark --restore-mark
--match-set --uid-owner tcp udp all 6 mark connmark conntrack addrtype multiport comment A B
80 80:90 :90 80, x-y 192.0.2.0/24 2001:db8::/32 0.0.0.0/0 1.2.3.4:80-90/70 1.2.3.4-1.2.3.9
[::1]:80 LOCAL NEW UNICAST,LOCAL DNAT REDIRECT MARK MASQUERADE SNAT RETURN ACCEPT DROP REJECT
CT LOG CONNMARK TPROXY NETMAP 0x1/0x1 0xzz 1/2/3 eth+ + lo
"""
WORDS = st.sampled_from(VOCABULARY.split())
CHAINS = st.sampled_from(["PREROUTING", "OUTPUT", "POSTROUTING", "FORWARD", "INPUT", "A", "B"])
LINES = st.lists(st.tuples(CHAINS, st.lists(WORDS, max_size=9)), max_size=8)


def follow(tables: Any) -> None:
    for packet in PACKETS:
        for origin in (OUTSIDE, HOST):
            journey = travel(tables, packet, origin, HERE)
            steps_of(journey)
            for _, event in doubtful(journey):
                assert condition_in_words(event)


@given(st.sampled_from(["raw", "mangle", "nat", "filter"]), LINES)
def test_lines_of_iptables(table: str, lines: list[tuple[str, list[str]]]) -> None:
    head = [f":{chain} ACCEPT [0:0]" for chain in ("PREROUTING", "OUTPUT", "POSTROUTING")]
    rules = [" ".join(["-A", chain, *words]) for chain, words in lines]
    text = "\n".join([f"*{table}", *head, ":A - [0:0]", ":B - [0:0]", *rules, "COMMIT", ""])

    for family in (4, 6):
        follow(parse_tables(text.encode(), NFT, family, {}))


LEAVES = st.sampled_from(
    [
        {"payload": {"protocol": "tcp", "field": "dport"}},
        {"payload": {"protocol": "ip", "field": "saddr"}},
        {"payload": {"protocol": "ip6", "field": "daddr"}},
        {"payload": {"base": "nh", "offset": 1, "len": 2}},
        {"meta": {"key": "mark"}},
        {"meta": {"key": "iifname"}},
        {"ct": {"key": "state"}},
        {"fib": {"result": "oif", "flags": ["saddr"]}},
        {"numgen": {"mode": "inc", "mod": 2}},
        {"prefix": {"addr": "192.0.2.0", "len": 24}},
        {"range": [1, 80]},
        {"range": ["192.0.2.0", "2001:db8::1"]},
        {"elem": {"val": 80, "comment": "x"}},
        "@ports",
        "@missing",
        "lo",
        "192.0.2.1",
        "2001:db8::1",
        80,
        0,
        None,
    ]
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"concat": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"set": parts}, st.lists(inner, max_size=3)),
        st.builds(lambda one, two: {"&": [one, two]}, inner, inner),
        st.builds(lambda one, two: {"|": [one, two]}, inner, inner),
        st.lists(inner, max_size=2),
    ),
    max_leaves=4,
)
STATEMENTS = st.one_of(
    st.builds(
        lambda op, left, right: {"match": {"op": op, "left": left, "right": right}},
        st.sampled_from(["==", "!=", "in", "<"]),
        VALUES,
        VALUES,
    ),
    st.builds(lambda addr, port: {"dnat": {"addr": addr, "port": port}}, VALUES, LEAVES),
    st.builds(
        lambda key, data: {"dnat": {"addr": {"map": {"key": key, "data": data}}}},
        VALUES,
        st.sampled_from(["@map", "@missing", "@ports"]),
    ),
    st.builds(lambda port: {"redirect": {"port": port}}, LEAVES),
    st.builds(
        lambda key, data: {"vmap": {"key": key, "data": data}},
        VALUES,
        st.sampled_from(["@verdicts", "@missing"]),
    ),
    st.builds(lambda value: {"mangle": {"key": {"meta": {"key": "mark"}}, "value": value}}, VALUES),
    st.sampled_from(
        [
            {"jump": {"target": "b"}},
            {"goto": {"target": "a"}},
            {"jump": {"target": "nowhere"}},
            {"masquerade": None},
            {"redirect": None},
            {"snat": {"addr": "192.0.2.1"}},
            {"counter": None},
            {"xt": None},
            {"queue": {"num": 1}},
            {"notrack": None},
            {"return": None},
            {"drop": None},
        ]
    ),
)
RULES = st.lists(
    st.tuples(st.sampled_from(["a", "b"]), st.lists(STATEMENTS, min_size=1, max_size=3)), max_size=5
)


@given(st.sampled_from(["ip", "ip6", "inet"]), RULES)
def test_expressions_of_nftables(family: str, rules: list[tuple[str, list[Any]]]) -> None:
    at = {"family": family, "table": "t"}
    document = {
        "nftables": [
            {"table": {"family": family, "name": "t"}},
            {"set": {**at, "name": "ports", "elem": [80, {"range": [1, 2]}]}},
            {"map": {**at, "name": "map", "elem": [[80, "10.0.0.1"], [{"concat": [1, 2]}, 3]]}},
            {"map": {**at, "name": "verdicts", "elem": [[80, {"jump": {"target": "b"}}]]}},
            {"chain": {**at, "name": "a", "type": "nat", "hook": "prerouting", "prio": -100}},
            {"chain": {**at, "name": "b"}},
            *[{"rule": {**at, "chain": chain, "expr": expr}} for chain, expr in rules],
        ]
    }

    follow(parse_ruleset(document))
