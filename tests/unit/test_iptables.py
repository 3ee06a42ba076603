"""The tools of a host, stood in for by scripts that note what they are given."""

import os
from pathlib import Path

import pytest

from mesos_cni_port_mapper.linux import lock
from mesos_cni_port_mapper.netfilter import batch
from mesos_cni_port_mapper.netfilter.iptables import Iptables, find_iptables
from mesos_cni_port_mapper.netfilter.outcome import RulesUntouchedError
from mesos_cni_port_mapper.portmap.listing import Listing
from mesos_cni_port_mapper.portmap.loopback import plan_guard
from mesos_cni_port_mapper.portmap.plan import plan_forwarding, plan_leaving
from mesos_cni_port_mapper.portmap.rule import IPV4, IPV6, NAT, RAW
from tests.unit.children import in_child, is_gone, write_script
from tests.unit.fake_tools import FakeTools, failure_of
from tests.unit.memory_table import MemoryTable
from tests.unit.plans import plan_of
from tests.unit.wishes import LO, SN, attachment, mapping, tag, wish

(PLAN,) = plan_forwarding(wish("web-1", mapping(8080)))
(LEAVING,) = plan_leaving(attachment(), "CHAIN", [(IPV4, NAT)])
INSERTION = batch.plan_insertion(PLAN, ["CHAIN"])
FIRST = batch.plan_insertion(PLAN, [])


@pytest.fixture
def fake(tmp_path: Path) -> FakeTools:
    return FakeTools(tmp_path)


def restored(*lines: str, table: str = NAT) -> list[str]:
    return ["restore -w 5 --noflush", f"*{table}", *lines, "COMMIT"]


def test_a_batch_is_one_run_of_the_tool(fake: FakeTools) -> None:
    assert in_child(lambda: fake.tools().commit((NAT, FIRST))) == ""

    assert fake.log == restored(*FIRST)


def test_batches_for_several_tables_are_one_run_too(fake: FakeTools) -> None:
    assert in_child(lambda: fake.tools().commit((RAW, ["-N A"]), (NAT, ["-N B"]))) == ""

    assert fake.log == [*restored("-N A", table=RAW), "*nat", "-N B", "COMMIT"]


@pytest.mark.parametrize("status", [1, 4])
def test_a_batch_that_is_refused_is_told_in_the_tool_s_words(fake: FakeTools, status: int) -> None:
    fake.statuses(status)

    assert in_child(lambda: fake.tools().commit((NAT, FIRST))) == "line 2 failed"


@pytest.mark.parametrize(
    ("program", "is_nft"), [("xtables-nft-multi", True), ("xtables-legacy-multi", False)]
)
def test_the_variant_is_known_by_the_program_that_a_link_leads_to(
    fake: FakeTools, program: str, is_nft: bool
) -> None:
    save = fake.directory / "iptables-save"
    save.rename(fake.directory / program)
    save.symlink_to(program)

    assert fake.tools().is_nft_variant() == is_nft


def test_the_nft_variant_has_no_lock_that_could_be_held(fake: FakeTools) -> None:
    save = fake.directory / "iptables-save"
    save.rename(fake.directory / "xtables-nft-multi")
    save.symlink_to("xtables-nft-multi")
    fake.statuses(4)
    file = lock.acquire(f"{fake.directory}/xtables.lock", 1)

    assert in_child(lambda: fake.tools().commit((NAT, FIRST))) == "line 2 failed"
    os.close(file)


def test_a_table_that_agrees_is_listed_and_left_alone(fake: FakeTools) -> None:
    table = MemoryTable()
    table.restore(FIRST)
    fake.holds(table)

    assert in_child(lambda: fake.tools().agree([PLAN])) == []
    assert fake.log == ["save -t nat"]


def test_a_chain_that_went_with_its_last_rule_is_told(fake: FakeTools) -> None:
    table = MemoryTable()
    table.restore(FIRST)
    fake.holds(table)

    assert in_child(lambda: fake.tools().agree([LEAVING])) == ["CHAIN", LO, SN]
    assert fake.log == [
        "save -t nat",
        *restored(*batch.plan_agreement(table.listing(), [LEAVING])),
    ]


def test_a_chain_that_was_not_there_is_told_as_gone(fake: FakeTools) -> None:
    assert in_child(lambda: fake.tools().agree([LEAVING])) == ["CHAIN", LO, SN]


def test_a_chain_that_stays_is_not_told_as_gone(fake: FakeTools) -> None:
    table = MemoryTable()
    table.restore([*FIRST, "-A CHAIN -j RETURN", f"-N {LO}", f"-A {LO} -j RETURN"])
    fake.holds(table)

    assert in_child(lambda: fake.tools().agree([LEAVING])) == [SN]


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
        f"{fake.directory}/iptables-restore refused the rules for {tag()}",
        "line 2 failed",
    )


def test_a_refusal_without_words_is_told_by_its_status(fake: FakeTools) -> None:
    fake.restore("exit 3")

    assert failure_of(lambda: fake.tools().agree([PLAN]))[3] == "exit status 3"


def test_a_lock_that_is_held_asks_to_try_again_and_names_the_holder(fake: FakeTools) -> None:
    fake.statuses(4)
    file = lock.acquire(f"{fake.directory}/xtables.lock", 1)
    command = Path("/proc/self/comm").read_text().strip()

    told = failure_of(lambda: fake.tools().commit((NAT, INSERTION)))

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
    in_child(lambda: fake.tools(seconds).commit((NAT, FIRST)))

    assert fake.log[0] == f"restore -w {wait} --noflush"


def test_a_tool_that_hangs_leaves_open_what_it_did(fake: FakeTools) -> None:
    fake.restore(f"echo $$ >{fake.directory}/pid; sleep 60")

    assert failure_of(lambda: fake.tools(0.2).commit((NAT, FIRST))) == (
        "CniError",
        103,
        f"{fake.directory}/iptables-restore did not finish in 0.2 s and was killed",
        "",
    )
    assert is_gone(int((fake.directory / "pid").read_text()))


def test_a_tool_that_is_ended_by_a_signal_leaves_open_what_it_did(fake: FakeTools) -> None:
    fake.restore("kill -SEGV $$")

    assert failure_of(lambda: fake.tools().commit((NAT, FIRST))) == (
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

    assert failure_of(lambda: fake.tools().listing(NAT)) == (
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

    assert failure_of(lambda: tools.commit((NAT, FIRST))) == (
        "RulesUntouchedError",
        103,
        f"cannot run {fake.directory}/iptables-restore",
        "No such file or directory",
    )


def test_a_tool_inherits_what_it_should_keep(fake: FakeTools) -> None:
    fake.restore(f"readlink /proc/$$/fd/* >{fake.directory}/open; exit 0")

    def work() -> None:
        file = os.open(fake.directory / "statuses", os.O_RDONLY | os.O_CLOEXEC)
        fake.tools().but(keep=(file,)).commit((NAT, FIRST))

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
    assert find_iptables(IPV4, environ, 1) is not None

    (fake.directory / missing).unlink()

    assert find_iptables(IPV4, environ, 1) is None


@pytest.mark.parametrize(("family", "name"), [(IPV4, "iptables"), (IPV6, "ip6tables")])
def test_each_family_has_tools_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: int, name: str
) -> None:
    monkeypatch.setattr("mesos_cni_port_mapper.linux.process._SYSTEM_DIRECTORIES", ())
    environ = {"PATH": str(tmp_path)}
    for tool in ("restore", "save"):
        write_script(tmp_path / f"{name}-{tool}", "exit 0")

    assert find_iptables(family, environ, 1) == Iptables(
        restore=(f"{tmp_path}/{name}-restore",),
        save=(f"{tmp_path}/{name}-save",),
        environ=environ,
        seconds=1,
    )
    assert find_iptables({IPV4: IPV6, IPV6: IPV4}[family], environ, 1) is None


def test_another_table_is_listed_and_changed_by_its_name(fake: FakeTools) -> None:
    guard = plan_of(table=RAW, LO=(plan_guard(tag()),))
    table = MemoryTable(RAW)
    fake.holds(table)

    in_child(lambda: fake.tools().agree([guard]))

    assert fake.log == [
        "save -t raw",
        *restored(*batch.plan_agreement(table.listing(), [guard]), table=RAW),
    ]


def test_a_listing_of_another_table_is_not_taken_for_it(fake: FakeTools) -> None:
    assert failure_of(lambda: fake.tools().listing(RAW))[:3] == (
        "RulesUntouchedError",
        103,
        f"{fake.directory}/iptables-save did not print the raw table: "
        "its beginning or its end is missing",
    )


def test_who_stays_above_is_raised(fake: FakeTools) -> None:
    table = MemoryTable()
    (specific,) = plan_forwarding(wish("a", mapping(8080, host_address="198.51.100.1")))
    table.restore(batch.plan_insertion(specific, []))
    fake.holds(table)

    in_child(lambda: fake.tools().agree([PLAN], [tag("a")]))

    lines = batch.plan_agreement(table.listing(), [PLAN], [tag("a")])
    assert len(lines) == 3
    assert fake.log == ["save -t nat", *restored(*lines)]


def test_a_listing_that_is_objected_to_changes_nothing(fake: FakeTools) -> None:
    def object_to(listing: Listing) -> None:
        raise RulesUntouchedError(105, f"{len(listing.chains)} chains")

    assert failure_of(lambda: fake.tools().agree([PLAN], check=object_to))[:3] == (
        "RulesUntouchedError",
        105,
        "4 chains",
    )
    assert fake.log == ["save -t nat"]
