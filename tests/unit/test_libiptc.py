"""The program in iptables-restore's place: its batches, its arguments, and who runs it."""

import os
from pathlib import Path

import pytest

from mesos_cni_port_mapper.libiptc.batch import Batch, BatchError, Line, parse_batch
from mesos_cni_port_mapper.libiptc.program import UsageError, Wish, parse_arguments
from mesos_cni_port_mapper.linux import lock
from mesos_cni_port_mapper.netfilter.iptables import Iptables, find_libiptc
from mesos_cni_port_mapper.portmap.rule import IPV4, IPV6, NAT
from tests.unit.children import in_child, write_script
from tests.unit.fake_tools import failure_of
from tests.unit.memory_table import MemoryTable

TAG = 'a "b" \\ c'


def lines_of(text: str) -> tuple[Line, ...]:
    return parse_batch(f"*nat\n{text}\nCOMMIT\n".encode("utf-8", "surrogateescape")).lines


def test_a_batch_is_a_table_and_its_changes() -> None:
    data = b"# by hand\n*nat\n\n-N CHAIN\n-I CHAIN -j RETURN\nCOMMIT\n"

    assert parse_batch(data) == Batch(
        table="nat",
        lines=(
            Line(number=4, text="-N CHAIN", command="-N", chain=b"CHAIN", words=()),
            Line(
                number=5,
                text="-I CHAIN -j RETURN",
                command="-I",
                chain=b"CHAIN",
                words=(b"-j", b"RETURN"),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('--comment "a b"', (b"--comment", b"a b")),
        ('--comment "a \\"b\\" \\\\ c" -j X', (b"--comment", TAG.encode(), b"-j", b"X")),
        ("--comment caf\udce9", (b"--comment", b"caf\xe9")),
        ("--comment  two", (b"--comment", b"two")),
    ],
    ids=["quotes", "escapes", "bytes that are no text", "two spaces"],
)
def test_a_rule_s_words_are_those_that_were_printed(text: str, words: tuple[bytes, ...]) -> None:
    assert lines_of(f"-D CHAIN {text}")[0].words == words


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("-F CHAIN", "line 2: -F is not understood: -F CHAIN"),
        (":CHAIN - [0:0]", "line 2: :CHAIN is not understood: :CHAIN - [0:0]"),
        ("-N", "line 2: -N wants a chain and nothing else: -N"),
        ("-X CHAIN -j RETURN", "line 2: -X wants a chain and nothing else: -X CHAIN -j RETURN"),
        ('-A CHAIN "a', 'line 2: the quotes do not end: -A CHAIN "a'),
        ("*raw", "line 2: *raw is not understood: *raw"),
        ("COMMIT", "line 2: COMMIT is not understood: COMMIT"),
    ],
)
def test_a_line_that_is_not_understood_is_named(text: str, complaint: str) -> None:
    with pytest.raises(BatchError) as caught:
        lines_of(text)
    assert str(caught.value) == complaint


@pytest.mark.parametrize("data", [b"", b"*nat", b"*nat\n-N A\n", b"-N A\nCOMMIT\n", b"COMMIT"])
def test_half_a_batch_is_none(data: bytes) -> None:
    with pytest.raises(BatchError):
        parse_batch(data)


@pytest.mark.parametrize(
    ("arguments", "wish"),
    [
        ("restore 4", Wish(action="restore", family="4")),
        ("restore 6 -w 3 --noflush", Wish(action="restore", family="6", seconds=3)),
        ("restore 4 --noflush -w 3", Wish(action="restore", family="4", seconds=3)),
        ("restore 4 -w 0", Wish(action="restore", family="4", seconds=1)),
        ("save 6 -w 3 -t raw", Wish(action="save", family="6", table="raw", seconds=3)),
    ],
)
def test_arguments_are_those_of_iptables_after_the_family(arguments: str, wish: Wish) -> None:
    assert parse_arguments(arguments.split()) == wish


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "restore",
        "restore 5",
        "restore 4 -w",
        "restore 4 -w x",
        "restore 4 -t nat",
        "save 4",
        "save 4 -t nat --noflush",
        "save 4 -x 1 -t nat",
        "list 4 -t nat",
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: str) -> None:
    with pytest.raises(UsageError):
        parse_arguments(arguments.split())


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a stand-in beside what is taken for the frozen plugin."""
    monkeypatch.setattr("mesos_cni_port_mapper.cni.executable.own_directory", lambda: str(tmp_path))
    directory = tmp_path / ".mesos-cni-libiptc"
    directory.mkdir()
    path = directory / "mesos-cni-libiptc"
    (tmp_path / "table").write_bytes(MemoryTable().save())
    write_script(path, f'echo "$*" >>{tmp_path}/log; [ "$1" = restore ] || cat {tmp_path}/table')
    return path


def found(program: Path, family: int = IPV4, seconds: float = 10) -> Iptables:
    environ = {"PATH": "/usr/bin:/bin", "XTABLES_LOCKFILE": f"{program.parent}/xtables.lock"}
    tools = find_libiptc(family, environ, seconds)
    assert tools is not None
    return tools


@pytest.mark.parametrize("family", [IPV4, IPV6])
def test_the_program_beside_the_plugin_stands_in_for_the_tools(program: Path, family: int) -> None:
    tools = found(program, family)

    assert in_child(lambda: (tools.listing(NAT), tools.commit((NAT, ["-N CHAIN"])))[1]) == ""

    assert (program.parents[1] / "log").read_text().splitlines() == [
        f"save {family} -w 5 -t nat",
        f"restore {family} -w 5 --noflush",
    ]


def test_the_scripts_of_a_wheel_are_looked_through_too(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = program.rename(program.parents[1] / program.name)
    assert find_libiptc(IPV4, {}, 10) is None

    monkeypatch.setattr("sys.executable", f"{script.parent}/python")

    assert found(program).restore[0] == str(script)


def test_without_the_program_there_are_no_tools(program: Path) -> None:
    program.unlink()

    assert find_libiptc(IPV4, {}, 10) is None


def test_a_listing_too_asks_to_try_again_when_the_lock_is_held(program: Path) -> None:
    write_script(program, "exit 4")
    tools = found(program, seconds=4)
    file = lock.acquire(f"{program.parent}/xtables.lock", 1)

    try:
        told = failure_of(lambda: tools.listing(NAT))
    finally:
        os.close(file)

    assert told[:2] == ("RulesUntouchedError", 11)
    assert told[3] == "waited 2 s"


def test_a_listing_that_fails_for_another_reason_names_the_program(program: Path) -> None:
    write_script(program, "echo cannot open the nat table >&2; exit 1")

    assert failure_of(lambda: found(program).listing(NAT)) == (
        "RulesUntouchedError",
        103,
        f"{program} cannot list the nat table (exit status 1)",
        "cannot open the nat table",
    )
