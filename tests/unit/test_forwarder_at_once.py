"""The nft variant of iptables: no listing where things are as they are on record."""

from pathlib import Path

import pytest

from mesos_cni_port_mapper.cni.errors import PORT_TAKEN, RULES_FAILED, CniError
from mesos_cni_port_mapper.netfilter import ruleset
from mesos_cni_port_mapper.netfilter.ledger import Ledger
from mesos_cni_port_mapper.netfilter.outcome import RulesUntouchedError
from mesos_cni_port_mapper.portmap.rule import IPV4, RAW
from mesos_cni_port_mapper.portmap.traffic import FAIL
from tests.unit.memory_host import MemoryHost, TableTools, is_pristine, local, record, tags_in
from tests.unit.wishes import LO


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryHost:
    return MemoryHost(tmp_path, monkeypatch, nft_variant=True)


def owners(host: MemoryHost) -> list[set[str]]:
    return [set(tags_in(table)) for table in host.tables.values()]


@pytest.fixture
def shared(host: MemoryHost) -> MemoryHost:
    """Return a host with two containers in all chains, of whose making nothing is told."""
    host.add(local("a", 1))
    host.add(local("b", 2))
    host.told()
    host.runs.clear()
    return host


def test_all_tables_of_a_family_are_changed_in_one_run(host: MemoryHost) -> None:
    host.add(local("a", 1))

    assert host.runs == [["4 raw", "4 nat"], ["6 nat"]]
    assert owners(host) == [{"a"}] * 3


def test_who_leaves_others_in_its_chains_needs_no_tool(shared: MemoryHost) -> None:
    before = shared.nat.chains["CHAIN"][:1]

    shared.delete(local("a", 1))

    assert shared.told() == ["deleted 5"]
    assert shared.runs == []
    assert owners(shared) == [{"b"}] * 3
    assert shared.nat.chains["CHAIN"] == before


def test_the_last_one_takes_the_chains_along_in_one_run_for_each_family(host: MemoryHost) -> None:
    host.add(local("a", 1))
    host.told()
    host.runs.clear()

    host.delete(local("a", 1))

    assert host.runs == [["6 nat"], ["4 nat", "4 raw"]]
    assert host.told() == ["v6 committed -D", "committed -D", "raw committed -D"]
    assert is_pristine(host)
    host.add(record("b", 2))
    assert host.told() == ["committed -N"]


def test_rules_that_changed_since_they_were_seen_are_removed_by_the_tool(
    shared: MemoryHost,
) -> None:
    shared.ruleset.meanwhile.append(lambda: shared.nat.restore(["-A OUTPUT -j RETURN"]))

    shared.delete(local("a", 1))

    assert shared.runs == [["6 nat"], ["4 nat", "4 raw"]]
    assert owners(shared) == [{"b"}] * 3


def test_a_rule_that_is_there_twice_is_removed_twice(shared: MemoryHost) -> None:
    rule = next(rule for rule in shared.nat.chains["CHAIN"] if "container_id: a" in rule)
    shared.nat.restore([f"-A OUTPUT {rule}"])

    shared.delete(local("a", 1))

    assert "list" in shared.told()
    assert owners(shared) == [{"b"}] * 3


def test_a_rule_that_is_not_there_is_no_obstacle(shared: MemoryHost) -> None:
    shared.nat.chains[LO].pop()

    shared.delete(local("a", 1))

    assert "list" in shared.told()
    assert owners(shared) == [{"b"}, {"b"}, {"b"}]


def test_rules_of_the_original_plugin_go_too(shared: MemoryHost) -> None:
    bare = '-m comment --comment "container_id: a" -j RETURN'
    shared.nat.restore([f"-A CHAIN {bare}"])

    shared.delete(local("a", 1))

    assert bare not in shared.nat.chains["CHAIN"]
    assert owners(shared) == [{"b"}] * 3


def test_a_chain_to_which_somebody_else_leads_stays(host: MemoryHost) -> None:
    host.add(local("a", 1))
    host.nat.restore(["-A INPUT -j CHAIN"])

    host.delete(local("a", 1))

    assert host.nat.chains["CHAIN"] == []
    assert host.nat.chains["INPUT"] == ["-j CHAIN"]
    assert owners(host) == [set()] * 3


def test_a_kernel_that_does_not_answer_leaves_it_to_the_tool(
    shared: MemoryHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(ruleset, "take_census", fail)

    shared.delete(local("a", 1))

    assert owners(shared) == [{"b"}] * 3


def test_a_run_that_is_refused_half_way_makes_nothing_twice(host: MemoryHost) -> None:
    host.add(record("b", 2))
    host.ledger = Ledger(directory=f"{host.ledger.directory}-new")
    host.told()

    host.add(local("a", 1))

    assert host.told() == [
        "raw committed -N",
        "refused -N",
        "raw list",
        "list",
        "committed -I",
        "v6 committed -N",
    ]
    assert len(host.tables[IPV4, RAW].chains[LO]) == 1
    host.delete(local("a", 1))
    assert owners(host) == [set(), {"b"}, set()]


def test_a_run_that_was_refused_half_way_is_to_be_swept(host: MemoryHost) -> None:
    host.add(record("b", 1))
    host.ledger = Ledger(directory=f"{host.ledger.directory}-new")

    with pytest.raises(CniError) as failure:
        host.add(local("a", 1), FAIL)

    assert failure.value.code == PORT_TAKEN
    assert not isinstance(failure.value, RulesUntouchedError)
    assert owners(host) == [{"a"}, {"b"}, set()]
    host.delete(local("a", 1))
    assert owners(host) == [set(), {"b"}, set()]


def test_a_listing_that_fails_after_half_a_run_leaves_something_to_be_swept(
    host: MemoryHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RulesUntouchedError(RULES_FAILED, "no listing")

    host.nat.restore(["-N CHAIN"])
    monkeypatch.setattr(TableTools, "listing", fail)

    with pytest.raises(CniError, match="no listing") as failure:
        host.add(local("a", 1))

    assert not isinstance(failure.value, RulesUntouchedError)
    assert owners(host) == [{"a"}, set(), set()]


def test_who_takes_a_port_from_another_lists(shared: MemoryHost) -> None:
    shared.add(local("c", 1))

    assert shared.runs == [["4 raw"], ["4 nat"], ["6 nat"]]
    assert owners(shared) == [{"b", "c"}] * 3
