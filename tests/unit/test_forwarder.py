"""Rules and records in step: what is made and written, and in which order."""

from pathlib import Path

import pytest

from mesos_cni_port_mapper.netfilter.ledger import Ledger
from tests.unit.memory_host import MemoryHost, record
from tests.unit.memory_table import MemoryTable
from tests.unit.wishes import owners


@pytest.fixture(params=["nft", "legacy"])
def host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> MemoryHost:
    return MemoryHost(tmp_path, monkeypatch, nft_variant=request.param == "nft")


def test_the_first_rules_make_the_chain_and_the_next_expect_it(host: MemoryHost) -> None:
    host.add(record("a", 1))
    host.add(record("b", 2))

    assert host.told() == ["committed -N", "committed -C"]
    assert host.tags == ["b", "a"]
    assert host.records == [record("a", 1), record("b", 2)]


def test_each_chain_is_made_once(host: MemoryHost) -> None:
    host.add(record("a", 1))
    host.add(record("b", 2, chain="OTHER"))

    assert host.told() == ["committed -N", "committed -N"]


def test_a_chain_that_should_be_there_and_is_not_is_made(host: MemoryHost) -> None:
    host.add(record("a", 1))
    host.nat.chains = MemoryTable().chains
    host.told()

    host.add(record("b", 2))

    assert host.told() == ["refused -C", "list", "committed -N"]


def test_a_chain_whose_records_were_lost_is_listed(host: MemoryHost) -> None:
    host.add(record("a", 1))
    host.ledger = Ledger(directory=f"{host.ledger.directory}-new")
    host.told()

    host.add(record("b", 2))
    host.add(record("c", 3))

    assert host.told() == ["refused -N", "list", "committed -I", "committed -C"]


def test_a_lost_jump_is_mended(host: MemoryHost) -> None:
    host.add(record("a", 1))
    before = host.nat.chains["OUTPUT"].copy()
    host.nat.chains["OUTPUT"].clear()
    host.told()

    host.add(record("b", 2))

    assert host.told() == ["refused -C", "list", "committed -I"]
    assert host.nat.chains["OUTPUT"] == before


def test_a_chain_that_went_is_not_expected_any_more(host: MemoryHost) -> None:
    host.add(record("a", 1))
    host.delete(record("a"))
    host.add(record("b", 2))

    # In the legacy variant a listing comes first.
    done = [each for each in host.told() if each != "list"]
    assert done == ["committed -N", "committed -D", "committed -N"]


def test_without_mappings_nothing_is_done_but_the_record(host: MemoryHost) -> None:
    assert host.add(record("a")) == []

    assert (host.told(), host.records) == ([], [record("a")])


def test_a_repeated_add_replaces_its_own_rules_and_claims(host: MemoryHost) -> None:
    host.add(record("a", 1, 2))
    host.told()

    assert host.add(record("a", 3)) == []

    assert host.told() == ["list", "committed -D"]
    assert (host.tags, host.records) == (["a"], [record("a", 3)])
    assert owners(host.ledger, record("x", 1, 2).mappings) == []


def test_a_repeated_add_does_not_take_its_own_ports_over(host: MemoryHost) -> None:
    host.add(record("a", 1, 2))

    assert host.add(record("a", 2, 3)) == []

    assert (host.tags, host.records) == (["a", "a"], [record("a", 2, 3)])


def test_a_repeated_add_without_mappings_removes_the_rules(host: MemoryHost) -> None:
    host.add(record("a", 1))

    host.add(record("a"))

    assert (host.tags, host.records) == ([], [record("a")])
    assert "CHAIN" not in host.nat.chains


def test_the_newest_attachment_wins_a_port_and_says_so(host: MemoryHost) -> None:
    host.add(record("a", 1, 3))
    host.told()

    assert host.add(record("b", 3, 5)) == [
        "container b on network net (eth0) takes tcp 3 over from container a on network net (eth0)"
    ]
    assert host.told() == ["list", "committed -D"]
    assert host.tags == ["b", "b", "a"]
    assert host.records == [record("a", 1), record("b", 3, 5)]


def test_a_loser_of_everything_leaves_no_rule_and_can_be_deleted(host: MemoryHost) -> None:
    host.add(record("a", 1))
    host.add(record("b", 1))
    host.told()

    host.delete(record("a"))

    assert host.told() == []
    assert (host.tags, host.records) == (["b"], [record("b", 1)])
    assert owners(host.ledger, record("x", 1).mappings) == [
        (record("b", 1), list(record("b", 1).mappings))
    ]


def test_a_loser_in_another_chain_leaves_it(host: MemoryHost) -> None:
    host.add(record("a", 1, chain="OTHER"))

    host.add(record("b", 1))

    assert "OTHER" not in host.nat.chains
    assert host.tags == ["b"]
    assert not (Path(host.ledger.directory) / "chains" / "4-nat-OTHER").exists()


def test_leaving_removes_rules_claims_and_record(host: MemoryHost) -> None:
    host.add(record("a", 1))
    host.add(record("b", 2))

    host.delete(record("a"))

    assert (host.tags, host.records) == (["b"], [record("b", 2)])
    assert owners(host.ledger, record("x", 1).mappings) == []


def test_leaving_twice_is_leaving_once(host: MemoryHost) -> None:
    host.add(record("a", 1))

    host.delete(record("a"))
    host.delete(record("a"))

    assert (host.tags, host.records) == ([], [])
