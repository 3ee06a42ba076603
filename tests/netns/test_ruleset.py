"""Rules of the nft variant of iptables, counted and removed without it."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.host import SEARCH_PATH, Host

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {"PATH": SEARCH_PATH, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
CENSUS = """
import json, sys
from mesos_cni_port_mapper.netfilter.ruleset import take_census
family, table, *comments = sys.argv[1:]
census = take_census(int(family), table, comments)
chains = {
    name: [count, [int.from_bytes(handle, "big") for handle in handles]]
    for name, (count, handles) in census.chains.items()
}
print(json.dumps([int.from_bytes(census.generation, "big"), chains]))
"""
DELETION = """
import json, sys
from mesos_cni_port_mapper.netfilter.ruleset import delete_rules
generation, rules = json.loads(sys.argv[1])
rules = [(*place, handle.to_bytes(8, "big")) for *place, handle in rules]
try:
    delete_rules(rules, generation.to_bytes(4, "big"))
except OSError as error:
    print(error.errno)
"""
ERESTART, ENOENT, EEXIST = 85, 2, 17
TAG = "container_id: web-1 network: net ifname: eth0"


def census(host: Host, *comments: str, family: int = 4, table: str = "nat") -> Any:
    argv = [sys.executable, "-c", CENSUS, str(family), table, *comments]
    return json.loads(host.run(argv, env=ENVIRONMENT).text)


def delete(host: Host, generation: int, *rules: tuple[int, str, str, int]) -> int:
    """Delete rules and return the errno, 0 for success."""
    argv = [sys.executable, "-c", DELETION, json.dumps([generation, rules])]
    return int(host.run(argv, env=ENVIRONMENT).text or 0)


def restore(host: Host, *lines: str, table: str = "nat", program: str = "iptables") -> None:
    script = "\n".join([f"*{table}", *lines, "COMMIT", ""])
    host.run([f"{program}-restore", "--noflush"], script.encode())


def handles(host: Host, word: str = "ip", table: str = "nat", chain: str = "X") -> list[int]:
    """Return the handles of a chain's rules, as nft lists them."""
    listed = host.run(["nft", "-a", "list", "chain", word, table, chain]).text
    return [int(handle) for handle in re.findall(r"^\t\t.*# handle (\d+)$", listed, re.M)]


def rule(port: int, comment: str = TAG) -> str:
    return (
        f'-A X -p tcp -m tcp --dport {port} -m comment --comment "{comment}" '
        "-j DNAT --to-destination 192.0.2.1:80"
    )


TABLE = "mesos-cni-port-mapper"
ELEMENTS = """
import json, sys
from mesos_cni_port_mapper.netfilter.ruleset import delete_elements
from mesos_cni_port_mapper.portmap.elements import Element
from mesos_cni_port_mapper.portmap.registers import pack_elements
elements = {
    int(family): pack_elements([Element(container=c, key=k, value=v) for c, k, v in some])
    for family, some in json.loads(sys.stdin.read()).items()
}
try:
    delete_elements("mesos-cni-port-mapper", elements)
except OSError as error:
    print(error.errno)
"""
DECLARED = "".join(
    f"""
add table {word} {TABLE}
add map {word} {TABLE} any {{ type inet_proto . inet_service : {kind} . inet_service; counter; }}
add map {word} {TABLE} any-owners {{ type inet_proto . inet_service : ipv6_addr; }}
add set {word} {TABLE} hidden24 {{ type {kind} . {kind}; }}
"""
    for word, kind in (("ip", "ipv4_addr"), ("ip6", "ipv6_addr"))
)
OWNER, OTHER = "2001:db8::a", "2001:db8::b"


def owned(port: int, address: str = "192.0.2.1", owner: str = OWNER) -> list[list[str]]:
    """Return the elements of a port: container, key and value."""
    key = f"tcp . {port}"
    return [["any", key, f"{address} . 80"], ["any-owners", key, owner]]


def declare(host: Host, elements: dict[int, list[list[str]]]) -> None:
    lines = [
        f"add element {word} {TABLE} {container} {{ {key}{f' : {value}' if value else ''} }}"
        for family, word in ((4, "ip"), (6, "ip6"))
        for container, key, value in elements.get(family, ())
    ]
    host.run(["nft", "-f", "-"], "\n".join([DECLARED, *lines, ""]).encode())


def delete_elements(host: Host, elements: dict[int, list[list[str]]]) -> int:
    """Delete elements and return the errno, 0 for success."""
    done = host.run(
        [sys.executable, "-c", ELEMENTS], json.dumps(elements).encode(), env=ENVIRONMENT
    )
    return int(done.text or 0)


def keys(host: Host, container: str, word: str = "ip") -> int:
    """Return how many elements a set or map has."""
    listed = json.loads(host.run(["nft", "-j", "list", "table", word, TABLE]).text)
    (found,) = [
        each[kind].get("elem", [])
        for each in listed["nftables"]
        for kind in ("map", "set")
        if kind in each and each[kind]["name"] == container
    ]
    return len(found)


def test_elements_of_both_families_are_deleted_together(host: Host) -> None:
    hidden = ["hidden24", "192.0.2.0 . 192.0.2.1", ""]
    going = {4: [*owned(8080), *owned(9090), hidden], 6: owned(8080, "2001:db8::1")}
    declare(host, {4: [*going[4], *owned(1, owner=OTHER)], 6: going[6]})

    assert delete_elements(host, going) == 0

    assert [keys(host, name) for name in ("any", "any-owners", "hidden24")] == [1, 1, 0]
    assert [keys(host, name, "ip6") for name in ("any", "any-owners")] == [0, 0]


def test_elements_that_are_gone_already_are_no_obstacle(host: Host) -> None:
    declare(host, {4: owned(8080)})

    assert delete_elements(host, {4: [*owned(8080), *owned(9090)]}) == 0

    assert keys(host, "any") == keys(host, "any-owners") == 0


@pytest.mark.parametrize("theirs", [owned(9090, owner=OTHER), owned(9090, "192.0.2.9")])
def test_no_element_is_deleted_if_one_is_another_s(host: Host, theirs: list[list[str]]) -> None:
    declare(host, {4: [*owned(8080), *theirs]})

    assert delete_elements(host, {4: [*owned(8080), *owned(9090)]}) == EEXIST

    assert keys(host, "any") == keys(host, "any-owners") == 2


def test_without_the_table_no_element_is_deleted_and_none_is_made(host: Host) -> None:
    assert delete_elements(host, {4: owned(8080)}) == ENOENT
    assert host.run(["nft", "list", "tables"]).text == ""


def test_more_elements_than_a_message_holds_are_deleted(host: Host) -> None:
    many = [owned(port)[1] for port in range(1, 2001)]
    declare(host, {4: [*many, *owned(9999, owner=OTHER)]})

    assert delete_elements(host, {4: many}) == 0

    assert keys(host, "any-owners") == 1


def test_rules_are_counted_chain_by_chain(host: Host) -> None:
    other = "container_id: web-11 network: net ifname: eth0"
    restore(host, "-N X", "-A OUTPUT -j X", rule(1), rule(2, other), rule(3), "-A X -j RETURN")
    first, _, third, _ = handles(host)

    _, chains = census(host, TAG)

    assert chains == {"OUTPUT": [1, []], "X": [4, [first, third]]}


def test_more_comments_than_one_are_looked_for(host: Host) -> None:
    restore(host, "-N X", rule(1), rule(2, "container_id: web-1"), rule(3, "container_id: web"))

    _, chains = census(host, TAG, "container_id: web-1")

    assert chains == {"X": [3, handles(host)[:2]]}


def test_a_comment_that_ends_so_counts_and_one_that_begins_so_does_not(host: Host) -> None:
    restore(host, "-N X", rule(1, f"not {TAG}"), rule(2, f"{TAG} either"))

    _, chains = census(host, TAG)

    assert chains == {"X": [2, handles(host)[:1]]}


def test_a_table_that_is_not_there_has_no_rules_and_is_not_made(host: Host) -> None:
    assert census(host, TAG)[1] == {}
    assert host.run(["nft", "list", "tables"]).text == ""


def test_the_other_family_and_other_tables_are_left_out(host: Host) -> None:
    restore(host, "-N X", rule(1))
    restore(host, "-A OUTPUT -j ACCEPT", table="raw")

    assert census(host, TAG, family=6)[1] == {}
    assert census(host, TAG, table="raw")[1] == {"OUTPUT": [1, []]}


def test_a_long_table_is_told_in_several_pieces(host: Host) -> None:
    restore(host, "-N X", *[rule(port) for port in range(1, 401)])

    generation, chains = census(host, TAG)

    assert chains == {"X": [400, handles(host)]}
    rules = [(4, "nat", "X", handle) for handle in chains["X"][1]]
    assert delete(host, generation, *rules) == 0
    assert handles(host) == []


def test_rules_of_several_tables_are_deleted_together(host: Host) -> None:
    restore(host, "-N X", rule(1), rule(2), rule(3))
    restore(host, "-N X", "-A X -j ACCEPT", table="raw")
    line = rule(1).replace("192.0.2.1:80", "[2001:db8::1]:80")
    restore(host, "-N X", line, program="ip6tables")
    generation, chains = census(host, TAG)
    (raw,), (v6,) = handles(host, table="raw"), handles(host, "ip6")
    first, second, third = chains["X"][1]

    told = delete(
        host,
        generation,
        (4, "nat", "X", third),
        (4, "nat", "X", first),
        (4, "raw", "X", raw),
        (6, "nat", "X", v6),
    )

    assert told == 0
    assert handles(host) == [second]
    assert handles(host, table="raw") == handles(host, "ip6") == []


def test_nothing_is_deleted_if_anything_changed_since(host: Host) -> None:
    restore(host, "-N X", rule(1))
    generation, chains = census(host, TAG)
    host.run(["nft", "add", "table", "inet", "other"])
    (handle,) = chains["X"][1]

    assert delete(host, generation, (4, "nat", "X", handle)) == ERESTART
    assert handles(host) == [handle]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_nothing_is_deleted_if_one_is_not_there(host: Host, place: int) -> None:
    restore(host, "-N X", rule(1), rule(2))
    generation, chains = census(host, TAG)
    rules = [(4, "nat", "X", handle) for handle in chains["X"][1]]
    rules.insert(place, (4, "nat", "X", 4711))

    assert delete(host, generation, *rules) == ENOENT
    assert handles(host) == chains["X"][1]


def test_what_is_deleted_is_no_longer_listed_by_iptables(host: Host) -> None:
    restore(host, "-N X", rule(1), rule(2))
    generation, chains = census(host, TAG)

    assert delete(host, generation, (4, "nat", "X", chains["X"][1][0])) == 0

    assert host.chain("X") == [rule(2)]
