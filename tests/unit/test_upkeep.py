"""Restoring and repairing on tables in memory, and what stays on record."""

import os
from pathlib import Path

import pytest

from mesos_cni_port_mapper.linux.host import Host
from mesos_cni_port_mapper.netfilter import upkeep
from mesos_cni_port_mapper.netfilter.gate import Gate
from mesos_cni_port_mapper.netfilter.inventory import take_inventory
from mesos_cni_port_mapper.netfilter.upkeep import Restored
from mesos_cni_port_mapper.portmap.mapping import ANY
from tests.unit.memory_host import MemoryHost, record
from tests.unit.memory_table import MemoryTable
from tests.unit.wishes import owners


@pytest.fixture(params=["nft", "legacy"])
def host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> MemoryHost:
    return MemoryHost(tmp_path, monkeypatch, nft_variant=request.param == "nft")


def restore(host: MemoryHost) -> Restored:
    return upkeep.restore(host.forwarder(), host.ledger.records(), Gate(ledger=host.ledger))


def names_in(host: MemoryHost, part: str) -> list[str]:
    return [path.name for path in Path(host.ledger.directory, part).iterdir()]


def test_what_was_flushed_comes_back_in_one_batch(host: MemoryHost) -> None:
    for name, port in (("a", 1), ("b", 2), ("c", 3)):
        host.add(record(name, port))
    before = {name: sorted(rules) for name, rules in host.nat.chains.items()}
    host.nat.chains = MemoryTable().chains
    host.told()

    restored = restore(host)

    assert {each.attachment.container_id for each in restored.records} == {"a", "b", "c"}
    assert [line for line in host.told() if line != "list"] == ["committed -N"]
    assert {name: sorted(rules) for name, rules in host.nat.chains.items()} == before


def test_the_second_time_there_is_nothing_to_do(host: MemoryHost) -> None:
    host.add(record("a", 1))
    host.told()

    assert restore(host).records == ()

    assert host.told() == ["list"]


def test_who_was_withdrawn_is_not_brought_back_while_the_record_stays(host: MemoryHost) -> None:
    host.add(record("a", 1))
    forwarder = host.forwarder()
    forwarder.resume(record("a").attachment)
    forwarder.withdraw(record("a").attachment, "CHAIN")
    forwarder.close()

    assert [each.mappings for each in host.ledger.records()] == [()]
    assert restore(host).records == ()
    assert host.tags == []


def test_strays_go_in_the_same_batch(host: MemoryHost) -> None:
    host.add(record("a", 1))
    host.add(record("lost", 2))
    host.ledger.forget(record("lost").attachment)
    kept = [each.attachment for each in host.ledger.records()]
    strays = upkeep.find_strays(host.forwarder(), kept)
    host.told()

    gate = Gate(ledger=host.ledger)
    done = upkeep.restore(host.forwarder(), host.ledger.records(), gate, strays)

    assert len(done.marks) == 1
    assert host.tags == ["a"]
    assert len([line for line in host.told() if line.startswith("committed")]) == 1


def test_what_is_struck_off_leaves_no_file(host: MemoryHost) -> None:
    host.add(record("a", 1))
    host.ledger.join("thing", record("a").attachment)

    upkeep.strike_off(host.ledger, record("a", 1))

    for part in ("attachments", "claims", "users"):
        assert names_in(host, part) == []


def test_what_belongs_to_nobody_is_void(host: MemoryHost) -> None:
    host.add(record("a", 1))
    host.add(record("lost", 2))
    for name in ("a", "lost"):
        host.ledger.join("thing", record(name).attachment)
    host.ledger.forget(record("lost").attachment)

    host.ledger.forget_unknown()

    assert len(names_in(host, "users/thing")) == 1
    found = owners(host.ledger, record("x", 1, 2).mappings)
    assert [each.attachment.container_id for each, _ in found] == ["a"]
    claims = [path.read_text() for path in Path(host.ledger.directory, "claims").iterdir()]
    assert [text.count(ANY[4]) for text in claims] == [1]


def test_an_inventory_is_in_order_of_age_and_knows_who_is_gone(host: MemoryHost) -> None:
    here = Host(network_namespace=1, mount_namespace=2, boot_id="boot")
    records = {
        "old": record("old", 1).but(boot_id="before"),
        "gone": record("gone", 2).but(boot_id="boot", mount_namespace=2, netns="/none"),
        "elsewhere": record("elsewhere", 3).but(boot_id="boot", mount_namespace=3, netns="/none"),
    }
    for age, each in enumerate(records.values()):
        entry = host.forwarder()
        entry.register(each)
        path = host.ledger._path_of(each.attachment)
        os.utime(path, (1000 - age, 1000 - age))
        if age < 2:
            entry.close()

    holdings = take_inventory(host.ledger, here)

    found = [(each.record.attachment.container_id, each.state, each.is_busy) for each in holdings]
    assert found == [
        ("elsewhere", "live", True),
        ("gone", "stale", False),
        ("old", "stale", False),
    ]
    for age, each in enumerate(records.values()):
        os.utime(host.ledger._path_of(each.attachment), (2000 + age, 2000 + age))
    ages = [each.record.attachment.container_id for each in take_inventory(host.ledger, here)]
    assert ages == ["old", "gone", "elsewhere"]
