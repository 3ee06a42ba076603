"""Prove how the harness runs programs, and that a host ends with everything in it."""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.support.delegates import Delegates
from tests.support.gate import need, need_host
from tests.support.host import Host
from tests.support.keeper import HostError, survivors
from tests.support.machine import observe
from tests.support.plugin import Plugin
from tests.support.traffic import serve_tcp
from tests.support.waiting import eventually, runs

KILLED_LATER = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from tests.support.host import Host
host = Host()
sleepers = [host.start(["sleep", "60"]), host.container("web-1").start(["sleep", "60"])]
pids = [host.keeper.unshare.pid, host.keeper.pid, *(sleeper.pid for sleeper in sleepers)]
print(*pids, flush=True)
time.sleep(60)
"""


def test_a_plugin_can_be_killed_while_its_delegate_hangs(host: Host) -> None:
    delegates = Delegates(host)
    delegates.hanging("hanging", stubborn=True)

    call = Plugin(host, "/run/delegates/hanging").start("ADD", host.container("web-1"), {})
    delegates.await_call("hanging")
    pid = call.pid
    call.kill(signal.SIGTERM)
    time.sleep(0.05)
    still_running = runs(pid)
    call.kill(signal.SIGKILL)

    assert still_running
    assert call.wait(1).status == -signal.SIGKILL
    assert host.processes() == {}


def test_a_plugin_that_does_not_end_is_ended_and_reported(host: Host) -> None:
    with pytest.raises(TimeoutError, match="half a word"):
        host.run(["sh", "-c", "printf 'half a word'; sleep 60; true"], timeout=0.1)

    assert host.processes() == {}


def test_only_the_process_is_waited_for_when_an_heir_keeps_its_stdout(host: Host) -> None:
    process = host.start(["sh", "-c", "echo done; sleep 60 & exit 3"])

    finished = process.wait(2, drain=False)

    assert (finished.status, finished.stdout) == (3, b"done\n")
    heirs = [["sleep", "60"]]
    assert eventually(lambda: list(host.processes().values()), heirs) == heirs


def test_input_larger_than_a_pipe_comes_back_whole(host: Host) -> None:
    data = os.urandom(3 << 20)

    assert host.run(["cat"], data).stdout == data


def test_input_may_come_in_pieces(host: Host) -> None:
    process = host.start(["cat"], input=None)
    process.feed(b"first\n", last=False)
    assert process.stdout_line() == b"first"

    process.feed(b"last\n")

    assert process.wait().stdout == b"first\nlast\n"


def test_a_wrapper_comes_before_the_plugin(host: Host) -> None:
    need("strace")
    delegates = Delegates(host)
    delegates.silent("silent")
    plugin = Plugin(host, "/run/delegates/silent").wrapped(
        "strace", "-f", "-e", "trace=execve", "-o", "/run/trace"
    )

    assert plugin.delete(None, {}, container_id="web-1").status == 0
    assert b'execve("/run/delegates/silent"' in host.files("/run")["trace"]


def test_threads_may_share_a_host(host: Host) -> None:
    said: list[str] = []
    threads = [
        threading.Thread(target=lambda: said.append(host.run(["echo", "here"]).text))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert said == ["here\n"] * 8


def test_a_closed_host_has_ended_with_everything_in_it(host: Host) -> None:
    with Host() as other:
        sleeper = other.start(["sleep", "60"])
        pids = [sleeper.pid, other.keeper.pid]
        serve_tcp(other.container("web-1"), 80)

    assert [pid for pid in pids if runs(pid)] == []
    with pytest.raises((HostError, OSError)):
        other.run(["true"])
    assert host.run(["true"]).status == 0


@pytest.mark.parametrize("victim", ["keeper", "agent"])
def test_a_killed_keeper_takes_its_host_along(victim: str) -> None:
    need_host("nft")
    host = Host()
    sleeper = host.container("web-1").start(["sleep", "60"])
    pids = [sleeper.pid, host.keeper.pid]

    os.kill({"keeper": host.keeper.unshare.pid, "agent": host.keeper.pid}[victim], signal.SIGKILL)

    assert eventually(lambda: [pid for pid in pids if runs(pid)], []) == []
    with pytest.raises((HostError, OSError)):
        host.run(["true"])
    host.close()


def test_a_killed_test_process_leaves_nothing_behind(host: Host) -> None:
    before = observe()
    root = str(Path(__file__).resolve().parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_LATER, root], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 10)[0]
        pids = [int(word) for word in process.stdout.readline().split()]
        namespace = Path(f"/proc/{pids[1]}/ns/net").readlink()
        process.kill()

    assert eventually(lambda: [pid for pid in pids if runs(pid)], []) == []
    assert survivors(process.pid) == []
    assert namespace not in set(_network_namespaces())
    assert observe() == before
    assert host.run(["true"]).status == 0


def _network_namespaces() -> list[Path]:
    found = []
    for link in Path("/proc").glob("[0-9]*/ns/net"):
        try:
            found.append(link.readlink())
        except OSError:
            # Ended meanwhile, or not ours to look at.
            continue
    return found


def test_a_host_is_set_up_quickly() -> None:
    need_host("nft")
    fastest = 1.0
    for _ in range(3):
        begin = time.monotonic()
        with Host():
            fastest = min(fastest, time.monotonic() - begin)

    assert fastest < 0.3
