"""What nft 1.0.6 printed for a table, read back into the words of the planner."""

import json
from typing import Any

import pytest

from mesos_cni_port_mapper.portmap.nft_listing import Held, NftListing, parse_nft_listing

META = {"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5"}}
TABLE = {"table": {"family": "ip", "name": "mesos-cni-port-mapper", "handle": 1}}
PORT = ["inet_proto", "inet_service"]
OWNER = "eeff:8ebc:4e17:4251:3886:b27:5515:b1fe"
CHAIN = "at-eeff-8ebc-4e17-4251-3886-b27-5515-b1fe"
TAG = "container_id: web-1 network: net ifname: eth0"


def listing(*items: Any) -> NftListing:
    return parse_nft_listing(json.dumps({"nftables": [META, TABLE, *items]}).encode())


def map_of(name: str, *elements: Any, kind: Any = PORT, **more: Any) -> Any:
    return {"map": {"family": "ip", "name": name, "type": kind, **more, "elem": list(elements)}}


def test_an_element_with_a_counter_or_a_comment_is_a_key_and_a_value() -> None:
    found = listing(
        map_of(
            "any",
            [
                {
                    "elem": {
                        "val": {"concat": ["tcp", 8080]},
                        "counter": {"packets": 3, "bytes": 180},
                    }
                },
                {"concat": ["192.0.2.2", 80]},
            ],
            map={"concat": ["ipv4_addr", "inet_service"]},
        ),
        map_of(
            "any-owners",
            [{"elem": {"val": {"concat": ["tcp", 8080]}, "comment": TAG}}, OWNER],
            map="ipv6_addr",
        ),
    )

    assert found.containers == {
        "any": {"tcp . 8080": Held(value="192.0.2.2 . 80", counted=(3, 180))},
        "any-owners": {"tcp . 8080": Held(value=OWNER, comment=TAG)},
    }


def test_a_run_is_a_range_and_an_odd_port_leads_to_a_chain() -> None:
    found = listing(
        map_of("any-runs", [{"concat": ["udp", {"range": [9000, 9002]}]}, "192.0.2.2"]),
        map_of("any-odd", [{"concat": ["sctp", 6]}, {"jump": {"target": CHAIN}}]),
    )

    assert found.containers == {
        "any-runs": {"udp . 9000-9002": Held(value="192.0.2.2")},
        "any-odd": {"sctp . 6": Held(value=f"jump {CHAIN}")},
    }


def test_a_set_has_no_values_and_may_be_empty() -> None:
    pair = {"concat": ["127.0.0.0", "192.0.2.2"]}
    kinds = ["ipv4_addr", "ipv4_addr"]

    found = listing(
        {"set": {"name": "hidden8", "type": kinds, "elem": [pair]}},
        {"set": {"name": "one-excluded", "type": ["ifname", "ipv4_addr", *PORT]}},
    )

    assert found.containers == {"hidden8": {"127.0.0.0 . 192.0.2.2": Held()}, "one-excluded": {}}


def test_protocols_are_known_by_number_on_a_host_without_names_for_them() -> None:
    kinds = ["ipv4_addr", *PORT]

    found = listing(
        map_of("any-owners", [{"concat": [6, 6]}, OWNER], [{"concat": [17, 132]}, OWNER]),
        map_of("one-owners", [{"concat": ["192.0.2.9", 132, 17]}, OWNER], kind=kinds),
        {
            "set": {
                "name": "any-excluded",
                "type": ["ifname", *PORT],
                "elem": [{"concat": ["6", 6, 17]}],
            }
        },
    )

    assert {name: list(held) for name, held in found.containers.items()} == {
        "any-owners": ["tcp . 6", "udp . 132"],
        "one-owners": ["192.0.2.9 . sctp . 17"],
        "any-excluded": ["6 . tcp . 17"],
    }


def test_a_chain_is_its_hook_and_the_comments_of_its_rules() -> None:
    found = listing(
        {
            "chain": {
                "name": "output",
                "handle": 2,
                "type": "nat",
                "hook": "output",
                "prio": -90,
                "policy": "accept",
            }
        },
        {"chain": {"name": "ports", "handle": 3}},
        {"rule": {"chain": "output", "comment": "output-0", "expr": [{"jump": {"target": "x"}}]}},
        {"rule": {"chain": "ports", "comment": "ports-0", "expr": []}},
        {"rule": {"chain": "ports", "expr": [{"return": None}]}},
    )

    assert found.chains == {
        "output": ("type nat hook output priority -90", ("output-0",)),
        "ports": ("", ("ports-0", "")),
    }


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not JSON",
        b"\xff",
        b"[]",
        b"3",
        b"{}",
        b'{"nftables": null}',
        b'{"nftables": [3]}',
        b'{"nftables": [{"chain": 3}]}',
        b'{"nftables": [{"chain": {}}]}',
        b'{"nftables": [{"chain": {"name": "c", "hook": "output"}}]}',
        b'{"nftables": [{"chain": {"name": "c"}}, {"rule": {}}]}',
        b'{"nftables": [{"map": {"name": "m", "type": "x", "elem": 3}}]}',
        b'{"nftables": [{"map": {"name": "m", "type": "x", "elem": [[1]]}}]}',
        b'{"nftables": [{"map": {"name": "m", "type": "x", "elem": [[1, 2, 3]]}}]}',
        b'{"nftables": [{"map": {"name": "m", "type": "x", "elem": [[1, {}]]}}]}',
        b'{"nftables": [{"map": {"name": "m", "type": "x", "elem": [[1, {"goto": {}}]]}}]}',
        b'{"nftables": [{"set": {"name": "s", "type": "x", "elem": [{"elem": 3}]}}]}',
        b'{"nftables": [{"set": {"name": "s", "type": "x", "elem": [{"range": 3}]}}]}',
        b'{"nftables": [{"set": {"name": "s", "type": "x", "elem": [{"prefix": {}}]}}]}',
        b'{"nftables": [{"set": {"name": "s", "type": "x", "elem": [{"a": 1, "b": 2}]}}]}',
    ],
)
def test_what_is_no_listing_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_nft_listing(data)
