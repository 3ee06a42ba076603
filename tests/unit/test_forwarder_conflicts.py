"""Ports that several ask for: whose rule stands first, who loses, and which flows are forgotten."""

from pathlib import Path

import pytest

from mesos_cni_port_mapper.cni.errors import RULES_FAILED, CniError
from mesos_cni_port_mapper.netfilter.conntrack import ORIGINAL, REPLY, Flush
from mesos_cni_port_mapper.netfilter.outcome import RulesUntouchedError
from mesos_cni_port_mapper.netfilter.record import Record
from mesos_cni_port_mapper.portmap.mapping import PortMapping
from tests.unit.memory_host import MemoryHost, record, record_of
from tests.unit.wishes import mapping


@pytest.fixture(params=["nft", "legacy"])
def host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> MemoryHost:
    return MemoryHost(tmp_path, monkeypatch, nft_variant=request.param == "nft")


def specific(container_id: str, port: int, *others: int) -> Record:
    mappings = [mapping(port, host_address="198.51.100.1"), *map(mapping, others)]
    return record_of(container_id, *mappings)


def ports_of(host: MemoryHost) -> list[tuple[str, str]]:
    """Return whose rule is for which port, a specific address marked, in their order."""
    rules = host.nat.chains["CHAIN"]
    return [
        (tag, rule.split("--dport ")[1].split()[0] + ("!" if rule.startswith("-d") else ""))
        for tag, rule in zip(host.tags, rules, strict=True)
    ]


def test_one_address_and_all_of_them_may_have_two_owners_the_one_first(host: MemoryHost) -> None:
    host.add(specific("a", 1))
    host.add(record("b", 1), "fail")

    assert ports_of(host) == [("a", "1!"), ("b", "1")]

    host.add(specific("c", 2, 3), "fail")
    host.add(record("d", 2), "fail")
    assert ports_of(host) == [("c", "2!"), ("d", "2"), ("c", "3"), ("a", "1!"), ("b", "1")]


def test_to_be_raised_is_no_difference(host: MemoryHost) -> None:
    both = record_of("a", mapping(9), mapping(5, 80, "udp", "198.51.100.1"))
    host.add(both)

    host.add(record_of("b", mapping(5, 80, "udp")))

    assert host.tags == ["a", "b", "a"]
    assert host.forwarder().differences(both) == []


def test_a_port_of_all_addresses_does_not_come_before_one_s_by_another_port(
    host: MemoryHost,
) -> None:
    host.add(specific("a", 1, 5))
    host.add(record_of("b", mapping(5, host_address="198.51.100.1"), mapping(1)))

    assert ports_of(host) == [("a", "1!"), ("b", "5!"), ("b", "1"), ("a", "5")]


def test_what_is_taken_from_one_with_a_port_of_one_address_does_not_come_back(
    host: MemoryHost,
) -> None:
    host.add(specific("a", 1, 5))

    host.add(record("b", 1, 5))

    assert ports_of(host) == [("a", "1!"), ("b", "1"), ("b", "5")]


def test_what_is_left_to_a_loser_does_not_come_before_a_port_of_one_address(
    host: MemoryHost,
) -> None:
    host.add(record("a", 1, 2))
    host.add(specific("b", 1))

    host.add(record("c", 2))

    assert ports_of(host) == [("c", "2"), ("b", "1!"), ("a", "1")]


def test_ports_that_go_back_do_not_come_before_one_of_one_address(host: MemoryHost) -> None:
    host.add(record("a", 1))
    host.add(specific("b", 1))
    host.fail(CniError(RULES_FAILED, "killed"))
    with pytest.raises(CniError, match="killed"):
        host.add(record("c", 1))
    host.nat.chains["CHAIN"].pop()  # As the batch may have left it.

    host.delete(record("c", 1))

    assert ports_of(host) == [("b", "1!"), ("a", "1")]


def test_a_port_that_is_taken_is_refused_before_anything_is_done(host: MemoryHost) -> None:
    host.add(record("a", 1))
    before = (host.nat.save(), host.records)
    host.told()

    with pytest.raises(RulesUntouchedError) as failure:
        host.add(record("b", 1), "fail")

    assert failure.value.code == 105
    host.ledger.forget(record("b").attachment)
    assert (host.nat.save(), host.records, host.told()) == (*before, [])


def test_both_stand_where_conflicts_are_ignored_the_newest_first(host: MemoryHost) -> None:
    host.add(record("a", 1))
    host.add(record("b", 1), "ignore")

    assert host.tags == ["b", "a"]

    host.delete(record("b", 1))
    assert host.tags == ["a"]


@pytest.mark.parametrize(("leaves", "stays"), [("a", "b"), ("b", "a")])
def test_who_stays_of_two_on_one_port_has_it_still(
    host: MemoryHost, leaves: str, stays: str
) -> None:
    host.add(record("a", 1))
    host.add(record("b", 1), "ignore")
    host.delete(record(leaves, 1))

    with pytest.raises(RulesUntouchedError) as failure:
        host.add(record("c", 1), "fail")

    assert f"container {stays} on network net" in str(failure.value)
    host.ledger.forget(record("c").attachment)
    assert host.tags == [stays]
    host.delete(record(stays, 1))
    host.add(record("c", 1), "fail")
    assert host.tags == ["c"]


def test_both_of_two_on_one_port_lose_it(host: MemoryHost) -> None:
    host.add(record("a", 1))
    host.add(record("b", 1), "ignore")

    notices = host.add(record("c", 1), "takeover")

    assert len(notices) == 2
    assert host.tags == ["c"]
    host.delete(record("a", 1))
    host.delete(record("b", 1))
    assert host.tags == ["c"]


@pytest.mark.parametrize("policy", ["fail", "ignore"])
def test_one_that_is_gone_makes_room_in_the_same_batch(host: MemoryHost, policy: str) -> None:
    host.add(record("a", 1))
    host.told()

    (notice,) = host.add(record("b", 1, boot_id="next"), policy)

    assert notice.endswith("container a on network net (eth0), which is gone")
    assert (host.told(), host.tags) == (["list", "committed -D"], ["b"])


FOREIGN = "-p tcp -m tcp --dport 1 -j DNAT --to-destination 203.0.113.9:1"


@pytest.mark.parametrize(
    ("policy", "refused"), [("strict", True), ("fail", False), ("takeover", False)]
)
def test_a_foreign_rule_counts_if_it_is_said(host: MemoryHost, policy: str, refused: bool) -> None:
    host.nat.chains["PREROUTING"].append(FOREIGN)

    if refused:
        with pytest.raises(RulesUntouchedError) as failure:
            host.add(record("a", 1), policy)
        assert (failure.value.code, failure.value.details) == (105, f"-A PREROUTING {FOREIGN}")
    else:
        host.add(record("a", 1), policy)
    assert host.tags == ([] if refused else ["a"])


UDP = PortMapping(protocol="udp", host_port=53, container_port=54)


def test_flows_of_udp_are_forgotten_when_one_comes_and_goes(host: MemoryHost) -> None:
    one = record_of("a", mapping(1), UDP)
    arrival = Flush(family=4, protocol="udp", direction=ORIGINAL, address="", port=53, count=1)
    departure = Flush(
        family=4, protocol="udp", direction=REPLY, address="192.0.2.97", port=54, count=1
    )

    host.add(one)
    assert host.flushes == [arrival]

    host.delete(one)
    assert host.flushes == [arrival, arrival, departure]


def test_no_flow_is_looked_for_without_udp(host: MemoryHost) -> None:
    host.add(record("a", 1))
    host.delete(record("a", 1))

    assert host.flushes == []
