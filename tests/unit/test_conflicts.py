"""Who may have a port: owners, policies, and who is surely gone."""

from pathlib import Path
from typing import Any

import pytest

from mesos_cni_port_mapper.netfilter.conflicts import (
    Loser,
    described,
    find_losers,
    is_namespace,
    is_stale,
    takeover_notice,
)
from mesos_cni_port_mapper.netfilter.outcome import RulesUntouchedError
from mesos_cni_port_mapper.netfilter.record import Record
from mesos_cni_port_mapper.portmap.mapping import PortMapping
from mesos_cni_port_mapper.portmap.traffic import Traffic
from tests.unit.memory_host import record, record_of
from tests.unit.wishes import mapping

NAMESPACE = "/proc/self/ns/net"
OWNER = record("owner", 1, 2, netns=NAMESPACE)
NEWCOMER = record("newcomer", 2, 3)
OWNERS = [(OWNER, [mapping(2)])]


def refusal_of(owners: list[tuple[Record, list[PortMapping]]], policy: str) -> tuple[int, str]:
    with pytest.raises(RulesUntouchedError) as refusal:
        find_losers(NEWCOMER, owners, policy)
    return refusal.value.code, str(refusal.value)


@pytest.mark.parametrize("policy", ["fail", "strict"])
def test_a_port_that_is_taken_is_refused_by_its_owner_s_name(policy: str) -> None:
    assert refusal_of(OWNERS, policy) == (
        105,
        "tcp 2 is taken by container owner on network net (eth0)",
    )


def test_all_ports_that_are_taken_are_named() -> None:
    mappings = [mapping(2), mapping(53, 53, "udp", "198.51.100.1")]

    assert refusal_of([(OWNER, mappings)], "fail") == (
        105,
        "tcp 2, udp 53 of 198.51.100.1 are taken by container owner on network net (eth0)",
    )


def test_the_newest_may_take_a_port() -> None:
    assert find_losers(NEWCOMER, OWNERS, "takeover") == [
        Loser(record=OWNER, mappings=(mapping(2),), stale=False)
    ]


@pytest.mark.parametrize(
    ("owned", "wanted", "lost"),
    [
        ("", "", ""),
        ("", "0.0.0.0", "0.0.0.0"),
        ("", "::", "::"),
        ("0.0.0.0", "", "0.0.0.0"),
        ("198.51.100.1", "198.51.100.1", "198.51.100.1"),
    ],
)
def test_no_more_is_lost_than_what_is_wanted(owned: str, wanted: str, lost: str) -> None:
    owner = record_of("owner", mapping(1, host_address=owned), netns=NAMESPACE)
    newcomer = record_of("newcomer", mapping(1, host_address=wanted))

    assert find_losers(newcomer, [(owner, list(owner.mappings))], "takeover") == [
        Loser(record=owner, mappings=(mapping(1, host_address=lost),), stale=False)
    ]


def test_both_may_stand() -> None:
    assert find_losers(NEWCOMER, OWNERS, "ignore") == []
    in_a_map = NEWCOMER.but(backend="nftables")
    assert find_losers(in_a_map, OWNERS, "ignore") == find_losers(in_a_map, OWNERS, "takeover")


@pytest.mark.parametrize("policy", ["fail", "strict"])
def test_a_container_does_not_take_ports_from_itself(policy: str) -> None:
    other = OWNER.attachment.but(network="another")
    again = record("z", 2).but(attachment=other)

    assert find_losers(again, OWNERS, policy) == []
    assert find_losers(again.but(backend="nftables"), OWNERS, policy) == [
        Loser(record=OWNER, mappings=(mapping(2),), stale=False)
    ]


@pytest.mark.parametrize("policy", ["fail", "takeover", "ignore", "strict"])
def test_an_owner_that_is_gone_never_keeps_a_port(policy: str) -> None:
    gone = OWNER.but(boot_id="before")

    assert find_losers(NEWCOMER, [(gone, [mapping(2)])], policy) == [
        Loser(record=gone, mappings=(mapping(2),), stale=True)
    ]


@pytest.mark.parametrize("policy", ["fail", "takeover", "ignore", "strict"])
def test_nobody_is_in_one_s_own_way_nor_a_claim_without_a_mapping(policy: str) -> None:
    own = NEWCOMER.but(boot_id="before")

    assert find_losers(NEWCOMER, [(own, [mapping(2)]), (OWNER, [])], policy) == []


def test_one_that_is_gone_does_not_excuse_one_that_is_not() -> None:
    gone = record("gone", 3, boot_id="before")

    assert refusal_of([(gone, [mapping(3)]), *OWNERS], "fail")[0] == 105


@pytest.mark.parametrize(
    ("changes", "stale"),
    [
        pytest.param({}, False, id="alive"),
        pytest.param({"boot_id": "before"}, True, id="of another boot"),
        pytest.param({"addresses": ("192.0.2.110/25",)}, True, id="its address is another's"),
        pytest.param(
            {"addresses": ("192.0.2.1/24", "2001:db8::2/64")}, True, id="one of its addresses is"
        ),
        pytest.param({"addresses": ("192.0.2.11/24",)}, False, id="an address like another's"),
        pytest.param({"addresses": ()}, False, id="no address"),
        pytest.param({"netns": "/nowhere"}, True, id="its namespace is gone"),
        pytest.param({"netns": __file__}, True, id="its namespace is a file"),
        pytest.param({"netns": ""}, False, id="no namespace is known"),
        pytest.param(
            {"netns": "/nowhere", "mount_namespace": 2}, False, id="in another mount namespace"
        ),
        pytest.param(
            {"boot_id": "before", "mount_namespace": 2}, True, id="there, of another boot"
        ),
    ],
)
def test_an_owner_is_gone_only_without_a_doubt(changes: dict[str, Any], stale: bool) -> None:
    newcomer = NEWCOMER.but(addresses=("192.0.2.110/24", "2001:db8::2/64"))

    assert is_stale(OWNER.but(**changes), newcomer) == stale


def test_a_namespace_is_told_from_other_files(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(NAMESPACE)

    told = {path: is_namespace(path) for path in (NAMESPACE, str(link), str(tmp_path), "", "/a\0b")}

    assert told == {
        NAMESPACE: True,
        str(link): True,
        str(tmp_path): False,
        "": False,
        "/a\0b": False,
    }


def test_ports_are_described_with_their_address() -> None:
    mappings = [mapping(1), mapping(2, 3, "udp", "2001:db8::1"), mapping(4, host_address="0.0.0.0")]

    assert described(mappings) == "tcp 1, udp 2 of 2001:db8::1, tcp 4 of 0.0.0.0"


@pytest.mark.parametrize(("stale", "ending"), [(False, ""), (True, ", which is gone")])
def test_a_takeover_is_told(stale: bool, ending: str) -> None:
    loser = Loser(record=OWNER, mappings=(mapping(2),), stale=stale)

    assert takeover_notice(NEWCOMER, loser) == (
        "container newcomer on network net (eth0) takes tcp 2 over from "
        f"container owner on network net (eth0){ending}"
    )


LOCAL = record_of(
    "owner",
    mapping(1),
    mapping(2, host_address="198.51.100.1"),
    traffic=Traffic(localhost=True),
    local_interface="cni0",
)


@pytest.mark.parametrize(
    ("lost", "rest"),
    [
        pytest.param(
            LOCAL.mappings[1], LOCAL.but(mappings=LOCAL.mappings[:1]), id="what is not at loopback"
        ),
        pytest.param(
            LOCAL.mappings[0],
            LOCAL.but(mappings=LOCAL.mappings[1:], local_interface=""),
            id="the last at loopback",
        ),
        pytest.param(
            mapping(1, host_address="0.0.0.0"),
            LOCAL.but(
                mappings=(mapping(1, host_address="::"), LOCAL.mappings[1]), local_interface=""
            ),
            id="one family of both",
        ),
        pytest.param(mapping(1, host_address="198.51.100.9"), LOCAL, id="nothing of its"),
    ],
)
def test_what_is_left_to_a_loser(lost: PortMapping, rest: Record) -> None:
    assert Loser(record=LOCAL, mappings=(lost,), stale=False).rest() == rest
