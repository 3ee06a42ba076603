"""Rules and records when something is amiss: lost records, missing tools, locks, failures."""

import errno
import os
from pathlib import Path

import pytest

from mesos_cni_port_mapper.cni.errors import RULES_FAILED, CniError
from mesos_cni_port_mapper.linux.lock import is_held
from mesos_cni_port_mapper.netfilter.forwarder import Forwarder
from mesos_cni_port_mapper.netfilter.ledger import Ledger
from mesos_cni_port_mapper.netfilter.outcome import RulesUntouchedError
from mesos_cni_port_mapper.portmap.traffic import IPTABLES
from tests.unit.children import in_child
from tests.unit.memory_host import MemoryBackEnds, MemoryHost, record
from tests.unit.wishes import owners


@pytest.fixture(params=["nft", "legacy"])
def host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> MemoryHost:
    return MemoryHost(tmp_path, monkeypatch, nft_variant=request.param == "nft")


def test_leaving_finds_rules_that_no_record_tells_of(host: MemoryHost) -> None:
    host.add(record("a", 1))
    host.ledger.forget(record("a").attachment)

    host.delete(record("a"))

    assert host.tags == []


@pytest.mark.parametrize("garbage", [b"", b"garbage"], ids=["empty", "garbage"])
def test_leaving_finds_rules_whose_record_is_garbage(host: MemoryHost, garbage: bytes) -> None:
    host.add(record("a", 1))
    (path,) = (Path(host.ledger.directory) / "attachments").iterdir()
    path.write_bytes(garbage)

    host.delete(record("a"))

    assert (host.tags, host.records) == ([], [])


def test_without_tools_and_record_there_is_nothing_to_leave(host: MemoryHost) -> None:
    forwarder = Forwarder(host.ledger, MemoryBackEnds({}), 1)

    forwarder.resume(record("a").attachment)
    forwarder.withdraw(record("a").attachment, "CHAIN")
    forwarder.close(forget=record("a").attachment)

    assert not Path(host.ledger.directory).exists()


def test_without_tools_rules_on_record_cannot_be_left(host: MemoryHost) -> None:
    host.add(record("a", 1))
    forwarder = Forwarder(host.ledger, MemoryBackEnds({}), 1)
    forwarder.resume(record("a").attachment)

    with pytest.raises(RulesUntouchedError) as failure:
        forwarder.withdraw(record("a").attachment, "CHAIN")

    forwarder.close()
    assert (failure.value.code, failure.value.msg) == (
        103,
        "iptables-restore and iptables-save are not installed",
    )
    assert host.records == [record("a", 1)]


def test_without_tools_a_record_that_cannot_be_read_may_tell_of_rules(host: MemoryHost) -> None:
    host.add(record("a", 1))
    (path,) = (Path(host.ledger.directory) / "attachments").iterdir()
    path.write_bytes(b"garbage")
    forwarder = Forwarder(host.ledger, MemoryBackEnds({}), 1)
    forwarder.resume(record("a").attachment)

    with pytest.raises(RulesUntouchedError, match="not installed"):
        forwarder.withdraw(record("a").attachment, "CHAIN")

    forwarder.close()
    assert path.read_bytes() == b"garbage"


def test_a_preflight_misses_the_tools(host: MemoryHost) -> None:
    with pytest.raises(RulesUntouchedError, match="not installed"):
        Forwarder(host.ledger, MemoryBackEnds({}), 1).preflight(IPTABLES)


def test_a_preflight_touches_nothing(host: MemoryHost) -> None:
    host.forwarder().preflight(IPTABLES)

    assert host.told() == []
    assert not is_held(f"{host.ledger.directory}/lock")


def test_a_batch_that_did_not_take_place_leaves_other_claims_alone(host: MemoryHost) -> None:
    host.add(record("a", 1))
    host.fail(RulesUntouchedError(RULES_FAILED, "refused"))

    with pytest.raises(RulesUntouchedError, match="refused"):
        host.add(record("b", 1, 2))

    assert host.tags == ["a"]
    assert owners(host.ledger, record("x", 1, 2).mappings) == [
        (record("a", 1), list(record("a", 1).mappings))
    ]


def test_rules_are_on_record_before_they_are_made(host: MemoryHost) -> None:
    host.fail(CniError(RULES_FAILED, "killed"))

    with pytest.raises(CniError, match="killed"):
        host.add(record("a", 1))

    assert host.records == [record("a", 1)]


def test_ports_taken_by_an_add_that_broke_off_go_back_to_their_owner(host: MemoryHost) -> None:
    host.add(record("a", 1))
    before = host.nat.chains["CHAIN"].copy()
    host.fail(CniError(RULES_FAILED, "killed"))
    with pytest.raises(CniError, match="killed"):
        host.add(record("b", 1))
    host.nat.chains["CHAIN"].clear()  # As the batch may have left it.

    host.delete(record("b", 1))

    assert host.nat.chains["CHAIN"] == before
    assert host.records == [record("a", 1)]


def test_ports_go_back_too_if_just_their_claim_was_not_written(
    host: MemoryHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    host.add(record("a", 1))
    before = host.nat.chains["CHAIN"].copy()
    with monkeypatch.context() as patch, pytest.raises(CniError, match="cannot keep state"):
        patch.setattr(Ledger, "claim", fail)
        host.add(record("b", 1))
    assert host.tags == ["b"]

    host.delete(record("b", 1))

    assert host.nat.chains["CHAIN"] == before
    assert host.records == [record("a", 1)]


def test_the_ledger_s_lock_is_given_back_after_a_failure(host: MemoryHost) -> None:
    host.fail(CniError(RULES_FAILED, "killed"))

    with pytest.raises(CniError, match="killed"):
        host.add(record("a", 1))

    assert not is_held(f"{host.ledger.directory}/lock")


def test_a_ledger_that_is_locked_asks_to_try_again(host: MemoryHost) -> None:
    file = host.ledger.lock(1)

    def work() -> tuple[int, str, str]:
        with pytest.raises(RulesUntouchedError) as failure:
            host.forwarder(0.05).preflight(IPTABLES)
        return failure.value.code, failure.value.msg, failure.value.details

    told = in_child(work)
    os.close(file)
    command = Path("/proc/self/comm").read_text().strip()
    assert told == (
        11,
        f"{host.ledger.directory}/lock is locked by pid {os.getpid()} ({command})",
        "waited 0.05 s",
    )


def test_an_attachment_that_is_being_worked_on_asks_to_try_again(host: MemoryHost) -> None:
    forwarder = host.forwarder()
    forwarder.register(record("a"))

    def work() -> tuple[int, str]:
        with pytest.raises(RulesUntouchedError) as failure:
            host.forwarder(0.05).resume(record("a").attachment)
        return failure.value.code, failure.value.msg

    told = in_child(work)
    forwarder.close()
    assert told == (11, "container a on network net (eth0) is being worked on")


def test_children_keep_the_lock_on_the_record(host: MemoryHost) -> None:
    forwarder = host.forwarder()
    assert forwarder.keep() == ()

    forwarder.register(record("a"))

    (file,) = forwarder.keep()
    (path,) = (Path(host.ledger.directory) / "attachments").iterdir()
    assert os.fstat(file).st_ino == path.stat().st_ino
    forwarder.close()
    assert (forwarder.keep(), is_held(str(path))) == ((), False)


def test_a_repeated_registration_keeps_the_record_that_may_have_rules(host: MemoryHost) -> None:
    host.add(record("a", 1))
    forwarder = host.forwarder()

    forwarder.register(record("a"))

    assert (forwarder.has_rules(), host.records) == (True, [record("a", 1)])
    forwarder.close()


def test_a_state_directory_that_cannot_be_made_is_named(host: MemoryHost, tmp_path: Path) -> None:
    (tmp_path / "state").touch()

    with pytest.raises(CniError) as failure:
        host.add(record("a", 1))

    assert (failure.value.code, str(failure.value)) == (
        5,
        f"stateDir: cannot keep state in {tmp_path}/state: Not a directory",
    )


def test_differences_are_those_of_the_record_s_plan(host: MemoryHost) -> None:
    host.add(record("a", 1))
    assert host.forwarder().differences(record("a", 1)) == []

    host.nat.chains["CHAIN"].clear()

    (difference,) = host.forwarder().differences(record("a", 1))
    assert difference.startswith("missing: -A CHAIN -p tcp -m tcp --dport 1 ")
