"""Real children of this process: what they are given, and that none outlives its purpose."""

import asyncio
import errno
import fcntl
import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mesos_cni_port_mapper.isolator import children, lifeline
from mesos_cni_port_mapper.isolator.errors import IsolatorError
from mesos_cni_port_mapper.isolator.plugins import Invocation, failure_words, run
from tests.support.waiting import eventually, runs


def invocation(program: str, netns: Path | None = None) -> Invocation:
    return Invocation(program, "DEL", "web-1", "net", "eth0", "/a:/b", netns)


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    def write(body: str) -> str:
        program = tmp_path / "plugin"
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
        return str(program)

    return write


def test_the_environment_is_mesos_own() -> None:
    common = {
        "CNI_COMMAND": "DEL",
        "CNI_CONTAINERID": "web-1",
        "CNI_IFNAME": "eth0",
        "CNI_PATH": "/a:/b",
        "PATH": "/bin",
    }
    own = {"PATH": "/bin", "CNI_ARGS": "x", "LD_LIBRARY_PATH": "y", "CNI_NETNS": "z"}

    assert invocation("p").environment(own) == common
    assert invocation("p", Path("/ns")).environment(own) == common | {"CNI_NETNS": "/ns"}
    assert invocation("p").environment({})["PATH"].startswith("/usr/local/sbin:")


def test_a_plugin_gets_its_streams_and_dispositions(script: Callable[[str], str]) -> None:
    # Read by the shell itself: while it starts a program it blocks all signals for a moment.
    program = script(
        "cat; echo noise >&2\n"
        "while read -r line; do\n"
        'case $line in SigBlk*|SigIgn*) echo "$line" ;; esac\n'
        "done </proc/$$/status\n"
        "ls /proc/$$/fd"
    )

    inherited = fcntl.fcntl(1, fcntl.F_DUPFD, 50)
    lifeline._inheritable.cache_clear()
    try:
        printed = asyncio.run(run(invocation(program), b"given\n", 10)).decode().split()
    finally:
        os.close(inherited)

    assert printed[:4] == ["given", "SigBlk:", "0" * 16, "SigIgn:"]
    # The C library keeps two real-time signals for itself.
    assert int(printed[4], 16) & ~0x180000000 == 0
    # The shell itself keeps its script open, as number 10 or near.
    assert [name for name in printed[5:] if not 10 <= int(name) <= 11] == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("exit 3", "(exit status 3)"),
        ("kill -9 $$", "(signal 9)"),
        ("sleep 60", "did not finish in 0.3 s and was killed"),
    ],
)
def test_a_failure_says_how_it_ended(script: Callable[[str], str], body: str, words: str) -> None:
    with pytest.raises(IsolatorError) as failure:
        asyncio.run(run(invocation(script(body)), b"", 0.3))

    assert failure.value.msg.startswith("plugin plugin on DEL of network 'net' for container web-1")
    assert words in failure.value.msg


def test_a_program_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "plugin").write_bytes(b"\x7fELF")
    (tmp_path / "plugin").chmod(0o755)

    with pytest.raises(IsolatorError) as failure:
        asyncio.run(run(invocation(f"{tmp_path}/plugin"), b"", 5))

    assert failure.value.details == os.strerror(errno.ENOEXEC)


@pytest.mark.parametrize(
    ("stdout", "stderr", "words"),
    [
        (b'{"code": 7, "msg": "no", "details": "why"}', b"noise", "no: why"),
        (b'{"code": 7, "msg": "no"}', b"", "no"),
        (b'{"msg": 1}', b"noise\n", '{"msg": 1}; noise'),
        (b"", b"\xff", "\ufffd"),
        (b"", b"", ""),
        (b"x" * 5000, b"", f"{'x' * 2000} [...] {'x' * 2000}"),
    ],
)
def test_a_failed_plugins_words_are_kept(stdout: bytes, stderr: bytes, words: str) -> None:
    assert failure_words(stdout, stderr) == words


def test_a_cancelled_plugin_is_killed_with_its_children(
    tmp_path: Path, script: Callable[[str], str]
) -> None:
    program = script(f"trap '' TERM; sleep 60 & echo $! >{tmp_path}/pid; wait")

    async def cancel() -> None:
        task = asyncio.create_task(run(invocation(program), b"", 30))
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancel())

    pid = int((tmp_path / "pid").read_text())
    assert eventually(lambda: runs(pid), False) is False


def test_work_in_a_child_returns_or_raises_as_at_home() -> None:
    def fail() -> None:
        raise OSError(errno.EPERM, "no", "/x")

    assert children.perform_now(lambda: str(os.getppid()).encode()) == str(os.getpid()).encode()
    assert children.perform_now(lambda: None) == b""
    with pytest.raises(PermissionError) as failure:
        children.perform_now(fail)
    assert failure.value.filename == "/x"


def test_work_in_a_thread_leaves_no_thread_and_raises_as_at_home() -> None:
    done: list[int] = []

    def fail() -> None:
        raise OSError(errno.EPERM, "no", "/x")

    asyncio.run(children.perform(lambda: done.append(threading.get_native_id()), 5))
    with pytest.raises(PermissionError) as failure:
        asyncio.run(children.perform(fail, 5))

    assert failure.value.filename == "/x"
    assert len(done) == 1
    tasks = Path("/proc/self/task")
    assert eventually((tasks / str(done[0])).exists, False) is False


def test_work_in_a_thread_that_takes_too_long_is_not_waited_for() -> None:
    end = threading.Event()

    def wait() -> None:
        end.wait(10)

    with pytest.raises(TimeoutError):
        asyncio.run(children.perform(wait, 0.05))

    end.set()


def test_a_child_that_is_killed_is_no_success() -> None:
    with pytest.raises(OSError, match="ended with status -9"):
        children.perform_now(lambda: os.kill(os.getpid(), signal.SIGKILL))


def test_a_child_never_returns_into_its_parents_code(tmp_path: Path) -> None:
    def raise_something() -> None:
        raise KeyboardInterrupt

    pid = children.fork(raise_something)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 127


def test_many_children_at_once_leave_no_descriptor(script: Callable[[str], str]) -> None:
    program = script("cat")

    async def many() -> list[bytes]:
        calls = (run(invocation(program), json.dumps(n).encode(), 20) for n in range(30))
        return list(await asyncio.gather(*calls))

    before = len(list(Path("/proc/self/fd").iterdir()))
    answers = asyncio.run(many())

    assert answers == [str(number).encode() for number in range(30)]
    assert len(list(Path("/proc/self/fd").iterdir())) == before
