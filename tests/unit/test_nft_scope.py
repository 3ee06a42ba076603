"""Rules of others in nf_tables: which packets they are for, as nft 1.0.6 prints them."""

from typing import Any

import pytest

from mesos_cni_port_mapper.portmap.nft_scope import find_scopes
from mesos_cni_port_mapper.portmap.scope import ALL_PORTS, Scope

Json = dict[str, Any]

TCP = {"payload": {"protocol": "tcp", "field": "dport"}}
TH = {"payload": {"protocol": "th", "field": "dport"}}
L4PROTO = {"meta": {"key": "l4proto"}}
TO = {"dnat": {"addr": "10.0.0.2", "port": 80}}


def match(left: Json, right: Any, op: str = "==") -> Json:
    return {"match": {"op": op, "left": left, "right": right}}


def ruleset(*expr: Json, family: str = "ip", hook: bool = True, elem: Any = ()) -> Json:
    """Return a ruleset of one table with one rule in it, and a map."""
    chain = {"family": family, "table": "theirs", "name": "pre"}
    place = {"family": family, "table": "theirs"}
    return {
        "nftables": [
            {"metainfo": {"version": "1.0.6"}},
            {"table": {"family": family, "name": "theirs"}},
            {"map": {**place, "name": "ports", "elem": list(elem)}},
            {"chain": {**chain, "type": "nat", "hook": "prerouting"} if hook else chain},
            {"rule": {**place, "chain": "pre", "handle": 8, "expr": list(expr)}},
        ]
    }


def scopes(document: Json, family: int = 4) -> list[Scope]:
    return [scope for _, scope in find_scopes(document, family, "ours")]


def dnat(*ports: tuple[int, int], protocol: str = "tcp", **fields: Any) -> Scope:
    return Scope(target="DNAT", protocol=protocol, ports=ports, **fields)


@pytest.mark.parametrize(
    ("expr", "scope"),
    [
        pytest.param([match(TCP, 8080), TO], dnat((8080, 8080)), id="a port"),
        pytest.param([match(TCP, {"range": [9, 12]}), TO], dnat((9, 12)), id="a range"),
        pytest.param(
            [match(TCP, {"set": [53, {"range": [60, 70]}]}), TO],
            dnat((53, 53), (60, 70)),
            id="a set",
        ),
        pytest.param(
            [match(L4PROTO, "udp"), match(TH, 53), TO],
            dnat((53, 53), protocol="udp"),
            id="any protocol",
        ),
        pytest.param(
            [match(L4PROTO, {"set": ["tcp", "udp"]}), match(TH, 53), TO],
            dnat((53, 53), protocol=""),
            id="two protocols",
        ),
        pytest.param(
            [match({"payload": {"protocol": "ip", "field": "protocol"}}, "sctp"), match(TH, 1), TO],
            dnat((1, 1), protocol="sctp"),
            id="the header's protocol",
        ),
        pytest.param(
            [
                match({"payload": {"protocol": "ip", "field": "daddr"}}, "192.0.2.1"),
                match(TCP, 1),
                TO,
            ],
            dnat((1, 1), destination="192.0.2.1/32"),
            id="one address",
        ),
        pytest.param(
            [match(TCP, 5, "!="), TO],
            Scope(target="DNAT", ports=ALL_PORTS, narrowed=True),
            id="all but one",
        ),
        pytest.param(
            [match({"meta": {"key": "iifname"}}, "eth0"), match(TCP, 1), TO],
            dnat((1, 1), narrowed=True),
            id="one device",
        ),
        pytest.param(
            [match(TCP, 1), {"counter": {"packets": 1, "bytes": 2}}, {"redirect": None}],
            Scope(target="REDIRECT", protocol="tcp", ports=((1, 1),)),
            id="a redirection",
        ),
    ],
)
def test_a_rule_is_for_what_it_matches(expr: list[Json], scope: Scope) -> None:
    assert scopes(ruleset(*expr)) == [scope]


def test_a_map_is_as_many_rules_as_it_has_elements() -> None:
    key = {"concat": [L4PROTO, TH]}
    target = {"dnat": {"family": "ip", "addr": {"map": {"key": key, "data": "@ports"}}}}
    elements = [
        [{"concat": ["tcp", 80]}, {"concat": ["10.0.0.2", 80]}],
        [{"elem": {"val": {"concat": ["udp", 53]}, "comment": "c"}}, {"concat": ["10.0.0.2", 53]}],
    ]

    found = scopes(ruleset(target, elem=elements))

    assert found == [dnat((80, 80)), dnat((53, 53), protocol="udp")]


def test_a_map_without_a_name_is_read_where_it_stands() -> None:
    data = {"set": [[6000, "10.0.0.5"], [{"range": [6001, 6005]}, "10.0.0.6"]]}

    found = scopes(ruleset({"dnat": {"addr": {"map": {"key": TCP, "data": data}}}}))

    assert found == [dnat((6000, 6000)), dnat((6001, 6005))]


@pytest.mark.parametrize(
    ("document", "families"),
    [
        (ruleset(match(TCP, 1), TO), [4]),
        (ruleset(match(TCP, 1), TO, family="ip6"), [6]),
        (ruleset(match(TCP, 1), TO, family="inet"), [4, 6]),
        (
            ruleset(match({"meta": {"key": "nfproto"}}, "ipv6"), match(TCP, 1), TO, family="inet"),
            [6],
        ),
        (
            ruleset(match(TCP, 1), {"dnat": {"family": "ip", "addr": "10.0.0.2"}}, family="inet"),
            [4],
        ),
        (ruleset(match(TCP, 1), TO, family="bridge"), []),
    ],
    ids=["ip", "ip6", "inet", "nfproto", "a target's", "bridge"],
)
def test_a_rule_is_for_its_family(document: Json, families: list[int]) -> None:
    assert [family for family in (4, 6) if scopes(document, family)] == families


def test_our_own_table_and_what_rewrites_nothing_are_left_out() -> None:
    assert find_scopes(ruleset(match(TCP, 1), TO), 4, "theirs") == []
    assert scopes(ruleset(match(TCP, 1), {"accept": None})) == []
    assert scopes(ruleset(match(TCP, 1), {"xt": {"type": "target", "name": "DNAT"}})) == []


def test_a_chain_that_others_lead_to_is_not_for_all_ports() -> None:
    assert scopes(ruleset(TO)) == [Scope(target="DNAT")]
    assert scopes(ruleset(TO, hook=False)) == []
    assert scopes(ruleset(match(TCP, 1), TO, hook=False)) == [dnat((1, 1))]


def test_a_rule_is_told_by_its_place() -> None:
    ((place, _),) = find_scopes(ruleset(TO), 4, "ours")

    assert place == "table ip theirs chain pre"


@pytest.mark.parametrize("document", [{}, [], {"nftables": [1]}, {"nftables": [{"rule": {}}]}])
def test_what_cannot_be_read_is_an_error(document: Any) -> None:
    with pytest.raises(ValueError, match="unexpected form"):
        find_scopes(document, 4, "ours")
