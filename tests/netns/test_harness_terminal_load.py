"""Terminals under load: large pastes, streams that end, and what the waiting costs."""

import json
import sys
import time
from copy import copy

import pytest

from tests.netns.containers import ENDLESS, Tool
from tests.netns.terminals import DRIVER, drive
from tests.support.host import Host
from tests.support.process import Process
from tests.support.waiting import eventually

# Runs a command behind a terminal and, once it has said READY, pastes text of so many bytes while
# it reads, as a terminal's window does; prints the status, and digests of what it saw and, in
# base64, of what it pasted.
PASTER = """\
import base64, hashlib, json, os, pty, random, select, sys
size, kind, argv = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
pid, master = pty.fork()
if pid == 0:
    os.execv(argv[0], argv)
os.set_blocking(master, False)
lines = (b"x" * 79 + b"\\r") * (size // 80)
text = lines if kind == "lines" else random.Random(size).randbytes(size)
left, seen = b"", b""
while True:
    poll = select.poll()
    poll.register(master, select.POLLIN | (select.POLLOUT if left else 0))
    poll.poll()
    try:
        data = os.read(master, 1 << 16)
        if seen[:64].find(b"READY") < 0 <= (seen + data)[:64].find(b"READY"):
            left = text
        seen += data
    except BlockingIOError:
        pass
    except OSError:
        break
    try:
        left = left[os.write(master, left):] if left else left
    except BlockingIOError:
        pass
    except OSError:
        break
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
digest = lambda data: [len(data), hashlib.sha256(data).hexdigest()]
said = seen.partition(b"READY\\n")[2]
pasted = digest(base64.b64encode(text))
print(json.dumps({"status": status, "pasted": pasted, "seen": digest(said)}))
"""
HUGE = 3 << 20
# More comes back than goes in: whoever moved as much one way as the other would fall behind.
BACK = f"stty raw -echo; echo READY; head -c {HUGE} | base64 --wrap 0"
LARGE = 20_000
STUCK = "echo READY; sleep 1"
# Of a hundred a second; one process that waits in vain takes nearly all of them.
TICKS = 60
# By the first signal of `kill` or by the second, which follows at once.
ENDED = (143, 137)
# It looks again twice a second: some of it is said while somebody looks, and some is not.
REOPENED = """\
tty=$(tty); exec </dev/null >/dev/null 2>&1
sleep 0.3; echo back >$tty; sleep 1.4; echo again >$tty; exit 5"""


@pytest.fixture
def tool(host: Host) -> Tool:
    return Tool(host)


def paste(tool: Tool, size: int, kind: str, *arguments: str) -> dict[str, object]:
    argv = [sys.executable, "-c", PASTER, str(size), kind, *tool.argv, *arguments]
    document: dict[str, object] = json.loads(
        tool.host.run(argv, env=tool.environment(), timeout=20).stdout
    )
    return document


def behind_a_terminal(tool: Tool, *arguments: str) -> Process:
    argv = [sys.executable, "-c", DRIVER, "[]", *tool.argv, *arguments]
    return tool.host.start(argv, b"", tool.environment())


def piped(tool: Tool, *arguments: str) -> tuple[int, str]:
    """Run a command behind a terminal, its output read by somebody who soon leaves."""
    line = " ".join([*tool.argv, *arguments, "|", "head", "-n1"])
    shell = copy(tool)
    shell.argv = ("/bin/sh", "-c", line)
    return drive(shell, [])


def ticks(tool: Tool, pid: int, seconds: float) -> int:
    """Return how much of a processor a process takes meanwhile."""

    def used() -> int:
        fields = tool.host.path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        return int(fields[11]) + int(fields[12])

    before = used()
    time.sleep(seconds)
    return used() - before


def test_a_paste_that_nobody_reads_does_not_keep_the_container_from_ending(tool: Tool) -> None:
    left = paste(tool, LARGE, "lines", "run", "-t", "--name", "web", "--command", STUCK)

    assert left["status"] == 0
    tool.assert_nothing_left()


def test_a_container_with_a_paste_that_nobody_reads_can_be_killed(tool: Tool) -> None:
    argv = [sys.executable, "-c", PASTER, str(LARGE), "lines", *tool.argv]
    command = "echo READY; exec sleep 60"
    process = tool.host.start(
        [*argv, "run", "-t", "--name", "web", "--command", command], b"", tool.environment()
    )
    assert eventually(lambda: tool.state("web"), "running") == "running"
    assert eventually(lambda: tool.run("logs", "web").stdout[:5], "READY") == "READY"
    time.sleep(0.5)

    assert tool.run("kill", "--grace", "0", "web", timeout=10).status == 0

    assert json.loads(process.wait(10).stdout)["status"] in ENDED
    tool.assert_nothing_left()


def test_a_huge_paste_comes_back_whole_and_in_order(tool: Tool) -> None:
    left = paste(tool, HUGE, "bytes", "run", "-t", "--command", BACK)

    assert (left["status"], left["seen"]) == (0, left["pasted"])
    tool.assert_nothing_left()


def test_a_huge_paste_comes_back_from_another_command_too(tool: Tool) -> None:
    tool.detached("web", "sleep 60")

    left = paste(tool, HUGE, "bytes", "exec", "-t", "web", "sh", "-c", BACK)

    assert (left["status"], left["seen"]) == (0, left["pasted"])


def test_a_paste_that_nobody_reads_does_not_keep_another_command_from_ending(tool: Tool) -> None:
    tool.detached("web", "sleep 60")

    assert paste(tool, HUGE, "lines", "exec", "-t", "web", "sh", "-c", STUCK)["status"] == 0


def test_a_terminal_that_the_command_does_without_costs_nothing(tool: Tool) -> None:
    command = "exec sleep 60 </dev/null >/dev/null 2>&1"
    tool.succeed("run", "-d", "-t", "--name", "web", "--command", command)

    assert ticks(tool, tool.status("web")["monitor_pid"], 2) < TICKS


def test_another_command_that_does_without_its_terminal_costs_nothing(tool: Tool) -> None:
    tool.detached("web", "sleep 60")
    command = "exec sleep 61 </dev/null >/dev/null 2>&1"
    process = behind_a_terminal(tool, "exec", "-t", "web", "sh", "-c", command)
    shown = ["pgrep", "-f", "-n", "^[^ ]*python[^ ]* -m mesos_cni_port_mapper.cli exec -t"]
    assert eventually(lambda: tool.host.run(["pgrep", "-x", "sleep"]).text.count("\n"), 2) == 2

    assert ticks(tool, int(tool.host.run(shown).text), 2) < TICKS
    assert process.running


def test_a_terminal_can_be_opened_again(tool: Tool) -> None:
    tool.succeed("run", "-d", "-t", "--name", "web", "--command", REOPENED)

    assert eventually(lambda: tool.run("logs", "web").stdout, "back\r\n") == "back\r\n"
    assert tool.succeed("wait", "web") == "5\n"
    assert tool.succeed("logs", "web") == "back\r\nagain\r\n"


def test_another_commands_terminal_can_be_opened_again(tool: Tool) -> None:
    tool.detached("web", "sleep 60")

    status, seen = drive(tool, [], "exec", "-t", "web", "sh", "-c", REOPENED)

    assert (status, seen) == (5, "back\r\nagain\r\n")


def test_a_user_who_leaves_in_the_middle_of_output_costs_nothing(tool: Tool) -> None:
    command = "timeout 2 yes; exec sleep 60"
    process = behind_a_terminal(tool, "run", "-t", "--name", "web", "--command", command)
    assert eventually(lambda: tool.run("logs", "web").stdout[:1], "y") == "y"
    process.kill()
    time.sleep(2)

    assert ticks(tool, tool.status("web")["monitor_pid"], 2) < TICKS


def test_a_user_who_stands_still_does_not_keep_the_container_from_being_detached(
    tool: Tool,
) -> None:
    command = "echo READY; exec seq 1 1000000"
    process = behind_a_terminal(tool, "run", "-t", "--name", "web", "--command", command)
    assert eventually(lambda: tool.run("logs", "web").stdout[:5], "READY") == "READY"
    process.kill(19)
    time.sleep(0.5)

    assert tool.run("kill", "--grace", "0", "web", timeout=10).status == 0
    assert tool.state("web") == "exited"


def test_a_reader_that_leaves_ends_another_command(tool: Tool) -> None:
    tool.detached("web", "sleep 60")

    assert piped(tool, "exec", "-t", "web", "yes") == (0, "y\r\n")
    assert tool.host.run(["pgrep", "-x", "yes"], check=False).text == ""


def test_another_command_that_has_ended_tells_all_it_said(tool: Tool) -> None:
    tool.detached("web", ENDLESS)

    status, seen = drive(tool, [], "exec", "-t", "web", "sh", "-c", "seq 1 20000; exit 3")

    assert (status, seen.splitlines()) == (3, [str(number) for number in range(1, 20001)])


def test_a_reader_that_leaves_ends_the_container(tool: Tool) -> None:
    assert piped(tool, "run", "-t", "--command", "yes") == (0, "y\r\n")
    tool.assert_nothing_left()


def test_a_container_that_outlives_the_reader_of_its_output_is_waited_for(tool: Tool) -> None:
    command = "\"trap '' PIPE; seq 1 100000; exit 0\""

    assert piped(tool, "run", "-t", "--command", command) == (0, "1\r\n")
    tool.assert_nothing_left()
