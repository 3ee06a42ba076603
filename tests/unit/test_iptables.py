"""The tools of a host, stood in for by scripts that note what they are given."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.linux import lock
from mesos_cni_port_mapper.netfilter import batch
from mesos_cni_port_mapper.netfilter.iptables import find_iptables
from mesos_cni_port_mapper.portmap.attachment import Attachment
from mesos_cni_port_mapper.portmap.mapping import PortMapping
from mesos_cni_port_mapper.portmap.plan import plan_forwarding, plan_leaving
from tests.unit.children import in_child, is_gone
from tests.unit.fake_tools import FakeTools
from tests.unit.nat_table import NatTable

ATTACHMENT = Attachment(network="net", container_id="web-1", ifname="eth0")
PLAN = plan_forwarding(
    ATTACHMENT,
    "CHAIN",
    [PortMapping(protocol="tcp", host_port=8080, container_port=80)],
    [],
    "192.0.2.2",
)
LEAVING = plan_leaving(ATTACHMENT, "CHAIN")
INSERTION = batch.plan_insertion(PLAN)
FIRST = batch.plan_first_insertion(PLAN)


@pytest.fixture
def fake(tmp_path: Path) -> FakeTools:
    return FakeTools(tmp_path)


def restored(*lines: str) -> list[str]:
    return ["restore -w 5 --noflush", "*nat", *lines, "COMMIT"]


def failure_of(work: Callable[[], object]) -> tuple[str, int, str, str]:
    def fail() -> tuple[str, int, str, str]:
        with pytest.raises(CniError) as failure:
            work()
        error = failure.value
        return type(error).__name__, error.code, error.msg, error.details

    told: tuple[str, int, str, str] = in_child(fail)
    return told


@pytest.mark.parametrize(
    ("expected", "statuses", "log"),
    [
        pytest.param(True, [0], restored(*INSERTION), id="the chain is there as expected"),
        pytest.param(False, [0], restored(*FIRST), id="the chain is not there as expected"),
        pytest.param(
            True,
            [1, 0],
            [*restored(*INSERTION), *restored(*FIRST)],
            id="the chain is gone",
        ),
        pytest.param(
            True,
            [1, 2, 0],
            [
                *restored(*INSERTION),
                *restored(*FIRST),
                "save -t nat",
                *restored(*batch.plan_agreement(NatTable().listing(), [PLAN])),
            ],
            id="the chain is there and its jumps are not",
        ),
        pytest.param(
            False,
            [1, 0],
            [
                *restored(*FIRST),
                "save -t nat",
                *restored(*batch.plan_agreement(NatTable().listing(), [PLAN])),
            ],
            id="the chain is there against expectation",
        ),
        pytest.param(
            True,
            [4, 0],
            [*restored(*INSERTION), *restored(*FIRST)],
            id="the tool blames a resource and nobody holds its lock",
        ),
    ],
)
def test_rules_are_put_in_where(
    fake: FakeTools, expected: bool, statuses: list[int], log: list[str]
) -> None:
    fake.statuses(*statuses)

    in_child(lambda: fake.tools().install(PLAN, chain_expected=expected))

    assert fake.log == log


def test_a_table_that_agrees_is_listed_and_left_alone(fake: FakeTools) -> None:
    table = NatTable()
    table.restore(FIRST)
    fake.holds(table)

    assert in_child(lambda: fake.tools().agree([PLAN])) == []
    assert fake.log == ["save -t nat"]


def test_a_chain_that_went_with_its_last_rule_is_told(fake: FakeTools) -> None:
    table = NatTable()
    table.restore(FIRST)
    fake.holds(table)

    assert in_child(lambda: fake.tools().agree([LEAVING])) == ["CHAIN"]
    assert fake.log == [
        "save -t nat",
        *restored(*batch.plan_agreement(table.listing(), [LEAVING])),
    ]


def test_a_chain_that_was_not_there_is_told_as_gone(fake: FakeTools) -> None:
    assert in_child(lambda: fake.tools().agree([LEAVING])) == ["CHAIN"]


def test_a_chain_that_stays_is_not_told_as_gone(fake: FakeTools) -> None:
    table = NatTable()
    table.restore([*FIRST, "-A CHAIN -j RETURN"])
    fake.holds(table)

    assert in_child(lambda: fake.tools().agree([LEAVING])) == []


def test_a_batch_that_is_refused_is_planned_anew_from_a_new_listing(fake: FakeTools) -> None:
    fake.statuses(1, 1, 0)

    in_child(lambda: fake.tools().agree([PLAN]))

    assert [line for line in fake.log if line.startswith(("save", "restore"))] == (
        ["save -t nat", "restore -w 5 --noflush"] * 3
    )


def test_a_batch_that_is_always_refused_leaves_the_table_untouched(
    fake: FakeTools,
) -> None:
    fake.statuses(1, 1, 1)

    assert failure_of(lambda: fake.tools().agree([PLAN])) == (
        "RulesUntouchedError",
        103,
        f"{fake.directory}/iptables-restore refused the rules for chain CHAIN",
        "line 2 failed",
    )


def test_a_refusal_without_words_is_told_by_its_status(fake: FakeTools) -> None:
    fake.restore("exit 3")

    assert failure_of(lambda: fake.tools().agree([PLAN]))[3] == "exit status 3"


def test_a_lock_that_is_held_asks_to_try_again_and_names_the_holder(fake: FakeTools) -> None:
    fake.statuses(4)
    file = lock.acquire(f"{fake.directory}/xtables.lock", 1)
    command = Path("/proc/self/comm").read_text().strip()

    told = failure_of(lambda: fake.tools().install(PLAN, chain_expected=True))

    os.close(file)
    assert told == (
        "RulesUntouchedError",
        11,
        f"{fake.directory}/xtables.lock is locked by pid {os.getpid()} ({command})",
        "waited 5 s",
    )
    assert fake.log == restored(*INSERTION)


@pytest.mark.parametrize(
    ("seconds", "wait"), [(30, 5), (10, 5), (6.5, 3), (2, 1), (1.5, 1)], ids=str
)
def test_the_tool_waits_shorter_for_a_lock_than_we_for_the_tool(
    fake: FakeTools, seconds: float, wait: int
) -> None:
    in_child(lambda: fake.tools(seconds).install(PLAN, chain_expected=False))

    assert fake.log[0] == f"restore -w {wait} --noflush"


def test_a_tool_that_hangs_leaves_open_what_it_did(fake: FakeTools) -> None:
    fake.restore(f"echo $$ >{fake.directory}/pid; sleep 60")

    assert failure_of(lambda: fake.tools(0.2).install(PLAN, chain_expected=False)) == (
        "CniError",
        103,
        f"{fake.directory}/iptables-restore did not finish in 0.2 s and was killed",
        "",
    )
    assert is_gone(int((fake.directory / "pid").read_text()))


def test_a_tool_that_is_ended_by_a_signal_leaves_open_what_it_did(fake: FakeTools) -> None:
    fake.restore("kill -SEGV $$")

    assert failure_of(lambda: fake.tools().install(PLAN, chain_expected=False)) == (
        "CniError",
        103,
        f"{fake.directory}/iptables-restore was ended by signal 11",
        "",
    )


def test_a_listing_that_hangs_touches_nothing(fake: FakeTools) -> None:
    fake.save("sleep 60")

    assert failure_of(lambda: fake.tools(0.2).agree([PLAN])) == (
        "RulesUntouchedError",
        103,
        f"{fake.directory}/iptables-save did not finish in 0.2 s and was killed",
        "",
    )


def test_a_listing_that_fails_touches_nothing(fake: FakeTools) -> None:
    fake.save("echo no such table >&2; exit 3")

    assert failure_of(lambda: fake.tools().listing()) == (
        "RulesUntouchedError",
        103,
        f"{fake.directory}/iptables-save cannot list the nat table (exit status 3)",
        "no such table",
    )


@pytest.mark.parametrize(
    "listing",
    [
        pytest.param(
            "# Table `nat' is incompatible, use 'nft' tool.", id="of another tool's table"
        ),
        pytest.param("", id="of nothing"),
        pytest.param("*nat\n:CHAIN - [0:0]", id="without its end"),
        pytest.param(":CHAIN - [0:0]\nCOMMIT", id="without its beginning"),
    ],
)
def test_a_listing_is_not_taken_for_an_empty_table(fake: FakeTools, listing: str) -> None:
    (fake.directory / "table").write_text(f"{listing}\n")

    name, code, msg, details = failure_of(lambda: fake.tools().agree([LEAVING]))

    assert (name, code, details) == ("RulesUntouchedError", 103, listing)
    assert msg == (
        f"{fake.directory}/iptables-save did not print the nat table: "
        "its beginning or its end is missing"
    )
    assert fake.log == ["save -t nat"]


def test_a_tool_that_was_removed_meanwhile_touches_nothing(fake: FakeTools) -> None:
    tools = fake.tools()
    (fake.directory / "iptables-restore").unlink()

    assert failure_of(lambda: tools.install(PLAN, chain_expected=False)) == (
        "RulesUntouchedError",
        103,
        f"cannot run {fake.directory}/iptables-restore",
        "No such file or directory",
    )


def test_a_tool_inherits_what_it_should_keep(fake: FakeTools) -> None:
    fake.restore(f"readlink /proc/$$/fd/* >{fake.directory}/open; exit 0")

    def work() -> None:
        file = os.open(fake.directory / "statuses", os.O_RDONLY | os.O_CLOEXEC)
        fake.tools().but(keep=(file,)).install(PLAN, chain_expected=False)

    in_child(work)
    assert str(fake.directory / "statuses") in (fake.directory / "open").read_text().splitlines()


def test_bytes_of_other_people_s_comments_can_be_repeated(fake: FakeTools) -> None:
    bare = b'-m comment --comment "container_id: web-1" -m string --string "\xff" -j RETURN'
    (fake.directory / "table").write_bytes(
        b"*nat\n:CHAIN - [0:0]\n-A CHAIN " + bare + b"\nCOMMIT\n"
    )

    in_child(lambda: fake.tools().agree([LEAVING]))

    assert b"-D CHAIN " + bare in (fake.directory / "log").read_bytes().split(b"\n")


@pytest.mark.parametrize("missing", ["iptables-restore", "iptables-save"])
def test_half_of_the_tools_are_none(
    fake: FakeTools, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr("mesos_cni_port_mapper.linux.process._SYSTEM_DIRECTORIES", ())
    environ = {"PATH": str(fake.directory)}
    assert find_iptables(environ, 1) is not None

    (fake.directory / missing).unlink()

    assert find_iptables(environ, 1) is None
