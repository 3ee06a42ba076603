"""Children: what they inherit, how they end, and that none is left behind."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mesos_cni_port_mapper.linux import process, signals
from mesos_cni_port_mapper.linux.process import (
    DeadlineError,
    Finished,
    find_tool,
    original_environment,
    run,
)
from tests.unit.children import in_child, is_gone, write_script

ENVIRON = {"PATH": "/usr/bin:/bin"}


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    return lambda body: write_script(tmp_path / "script", body)


def outcome(program: str, stdin: bytes = b"", seconds: float = 10) -> tuple[int, bytes, bytes]:
    def work() -> tuple[int, bytes, bytes]:
        done = run([program], ENVIRON, stdin, seconds)
        return done.status, done.stdout, done.stderr

    told: tuple[int, bytes, bytes] = in_child(work)
    return told


def test_a_child_reads_its_input_and_writes_two_outputs(script: Callable[[str], str]) -> None:
    program = script("cat; echo aside >&2; exit 3")

    assert outcome(program, b"input") == (3, b"input", b"aside\n")


def test_the_status_of_a_child_ended_by_a_signal_is_negative(script: Callable[[str], str]) -> None:
    assert outcome(script("kill -TERM $$")) == (-15, b"", b"")


def test_a_child_gets_its_arguments_and_no_other_environment(script: Callable[[str], str]) -> None:
    program = script("unset PWD SHLVL _; printf '%s|' \"$@\"; env")

    def work() -> bool:
        return run([program, "a b", "", "$x"], {"A": "1"}, b"", 10) == Finished(
            status=0, stdout=b"a b||$x|A=1\n", stderr=b""
        )

    assert in_child(work)


def test_large_streams_do_not_block_each_other(script: Callable[[str], str]) -> None:
    data = bytes(range(256)) * 20_000

    assert outcome(script("cat >&2; head -c 5000000 /dev/zero"), data) == (
        0,
        bytes(5_000_000),
        data,
    )


def test_a_child_need_not_read_its_input(script: Callable[[str], str]) -> None:
    assert outcome(script("true"), bytes(1_000_000)) == (0, b"", b"")


def test_a_child_inherits_the_descriptors_to_keep_and_no_others(
    tmp_path: Path, script: Callable[[str], str]
) -> None:
    program = script("for file in /proc/$$/fd/*; do readlink $file; done")
    (tmp_path / "kept").touch()
    (tmp_path / "closed").touch()

    def work() -> bytes:
        kept = os.open(tmp_path / "kept", os.O_RDONLY | os.O_CLOEXEC)
        os.open(tmp_path / "closed", os.O_RDONLY | os.O_CLOEXEC)
        return run([program], ENVIRON, b"", 10, (kept,)).stdout

    names = in_child(work).decode().splitlines()
    # The shell has the script itself open.
    assert sorted(name for name in names if name.startswith(str(tmp_path))) == [
        f"{tmp_path}/kept",
        f"{tmp_path}/script",
    ]


def test_a_descriptor_to_keep_stays_closed_for_other_programs(tmp_path: Path) -> None:
    def work() -> bool:
        kept = os.open(tmp_path, os.O_RDONLY | os.O_CLOEXEC)
        run(["/bin/true"], ENVIRON, b"", 10, (kept,))
        return os.get_inheritable(kept)

    assert not in_child(work)


def test_a_child_inherits_no_choice_of_ours_about_signals(script: Callable[[str], str]) -> None:
    program = script("exec sed -nE 's/^Sig(Blk|Ign):.*(........)$/\\1 \\2/p' /proc/self/status")

    def work() -> bytes:
        signals.ignore()
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        return run([program], ENVIRON, b"", 10).stdout

    blocked, ignored = (int(line.split()[1], 16) for line in in_child(work).splitlines())
    # Of 32 and above, two are the C library's own and ignored in whatever it spawns.
    assert (blocked, ignored & 0x7FFFFFFF) == (0, 0)


def test_a_child_leads_a_process_group_of_its_own(script: Callable[[str], str]) -> None:
    program = script("echo $$; cut -d' ' -f5 /proc/$$/stat")

    pid, group = outcome(program)[1].split()

    assert pid == group


def test_a_child_that_outstays_its_deadline_is_killed(
    tmp_path: Path, script: Callable[[str], str]
) -> None:
    program = script(f"echo $$ >{tmp_path}/pid; trap '' TERM; sleep 60 & wait")

    def work() -> float:
        begun = time.monotonic()
        with pytest.raises(DeadlineError, match=r"script$"):
            run([program], ENVIRON, b"", 0.2)
        return time.monotonic() - begun

    assert 0.2 <= in_child(work) < 5
    assert is_gone(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_wait_and_the_whole_group(
    tmp_path: Path, script: Callable[[str], str], number: signal.Signals
) -> None:
    program = script(f"echo $$ >{tmp_path}/pid; kill -{number:d} $PPID; sleep 60 & sleep 60")

    def work() -> int:
        with pytest.raises(signals.Interrupted) as interruption:
            run([program], ENVIRON, b"", 20)
        return interruption.value.number

    assert in_child(work) == number
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_a_signal_that_is_ignored_does_not_end_the_wait(script: Callable[[str], str]) -> None:
    program = script("kill -TERM $PPID; sleep 0.1; echo done")

    def work() -> bytes:
        os.kill(os.getpid(), signal.SIGTERM)
        signals.ignore()
        return run([program], ENVIRON, b"", 20).stdout

    assert in_child(work) == b"done\n"


def test_a_child_is_waited_for_where_the_parent_ignored_its_children(
    script: Callable[[str], str],
) -> None:
    program = script("exit 7")

    def work() -> int:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signals.hold()
        return run([program], ENVIRON, b"", 10).status

    assert in_child(work) == 7


def test_another_child_that_ends_meanwhile_is_not_taken_for_ours(
    script: Callable[[str], str],
) -> None:
    program = script("sleep 0.2; exit 7")

    def work() -> int:
        pid = os.fork()
        if pid == 0:
            os._exit(3)
        status = run([program], ENVIRON, b"", 10).status
        os.waitpid(pid, 0)
        return status

    assert in_child(work) == 7


def test_a_program_that_is_not_there_raises_and_leaves_nothing_open(tmp_path: Path) -> None:
    def work() -> bool:
        before = {path.name for path in Path("/proc/self/fd").iterdir()}
        with pytest.raises(FileNotFoundError):
            run([f"{tmp_path}/missing"], ENVIRON, b"", 1)
        return {path.name for path in Path("/proc/self/fd").iterdir()} == before

    assert in_child(work)


def test_a_tool_is_found_in_the_path_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sbin").mkdir()
    monkeypatch.setattr(process, "_SYSTEM_DIRECTORIES", (f"{tmp_path}/sbin",))
    write_script(tmp_path / "sbin" / "tool", "true")
    program = write_script(tmp_path / "tool", "true")

    assert find_tool("tool", {"PATH": f"/nowhere::{tmp_path}"}) == program


@pytest.mark.parametrize("environ", [{}, {"PATH": ""}, {"PATH": "/nowhere"}], ids=str)
def test_a_tool_is_found_where_the_system_keeps_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]
) -> None:
    monkeypatch.setattr(process, "_SYSTEM_DIRECTORIES", (f"{tmp_path}",))
    program = write_script(tmp_path / "tool", "true")

    assert find_tool("tool", environ) == program


def test_a_tool_that_is_not_there_has_no_path() -> None:
    assert find_tool("no-such-tool", {"PATH": "/usr/bin"}) == ""


@pytest.mark.parametrize(
    ("environ", "original"),
    [
        pytest.param({"A": "1"}, {"A": "1"}, id="nothing frozen about it"),
        pytest.param(
            {"LD_LIBRARY_PATH": "/x"}, {"LD_LIBRARY_PATH": "/x"}, id="a library path of the user"
        ),
        pytest.param(
            {"_PYI_ARCHIVE_FILE": "/p", "_PYI_APPLICATION_HOME_DIR": "/d", "LD_LIBRARY_PATH": "/d"},
            {},
            id="a library path of the freezer",
        ),
        pytest.param(
            {"_PYI_ARCHIVE_FILE": "/p", "LD_LIBRARY_PATH": "/d:/x", "LD_LIBRARY_PATH_ORIG": "/x"},
            {"LD_LIBRARY_PATH": "/x"},
            id="a library path of the user, put back",
        ),
        pytest.param(
            {"_PYI_ARCHIVE_FILE": "/p", "LD_LIBRARY_PATH": "/d", "LD_LIBRARY_PATH_ORIG": ""},
            {"LD_LIBRARY_PATH": ""},
            id="an empty library path of the user, put back",
        ),
    ],
)
def test_the_environment_is_what_it_was_before_freezing(
    environ: dict[str, str], original: dict[str, str]
) -> None:
    before = dict(environ)

    assert original_environment(environ) == original
    assert environ == before
