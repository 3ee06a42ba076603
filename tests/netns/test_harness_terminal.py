"""Terminals: `run --tty` and `exec --tty` behind a pseudo terminal of the test's own."""

import sys

import pytest

from tests.netns.containers import Tool
from tests.netns.terminals import DRIVER, drive
from tests.support.host import Host
from tests.support.waiting import eventually


@pytest.fixture
def tool(host: Host) -> Tool:
    return Tool(host)


def test_the_container_has_a_terminal_as_large_as_ours(tool: Tool) -> None:
    status, seen = drive(tool, [], "run", "--tty", "--command", "test -t 0 && sleep 0.2; stty size")

    assert (status, seen) == (0, "33 99\r\n")
    tool.assert_nothing_left()


def test_keys_go_to_the_container_and_its_echo_comes_back_once(tool: Tool) -> None:
    command = "echo ready; read line; echo got $line; exit 4"
    status, seen = drive(tool, [("ready", "hello\r")], "run", "-t", "--command", command)

    assert (status, seen) == (4, "ready\r\nhello\r\ngot hello\r\n")
    tool.assert_nothing_left()


def test_the_interrupt_key_is_the_containers(tool: Tool) -> None:
    command = "trap 'echo caught; exit 6' INT; echo ready; while :; do sleep 0.05; done"
    status, seen = drive(tool, [("ready", "\x03")], "run", "-t", "--command", command)

    assert (status, seen) == (6, "ready\r\n^Ccaught\r\n")


def test_a_change_of_size_reaches_the_container(tool: Tool) -> None:
    command = "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done"
    # The first WINCH may be that of the size it starts with.
    command = f"sleep 0.3; {command}"
    status, seen = drive(tool, [("ready", "RESIZE")], "run", "-t", "--command", command)

    assert (status, seen) == (0, "ready\r\n44 111\r\n")


def test_the_output_of_a_terminal_is_in_the_logs(tool: Tool) -> None:
    tool.succeed("run", "-d", "-t", "--name", "web", "--command", "test -t 1 && echo yes")

    assert tool.succeed("wait", "web") == "0\n"
    assert tool.succeed("logs", "web") == "yes\r\n"
    tool.succeed("cleanup", "web")
    tool.assert_nothing_left()


def test_all_output_comes_however_much_and_however_late(tool: Tool) -> None:
    status, seen = drive(tool, [], "run", "-t", "--command", "seq 1 20000")

    assert (status, seen.splitlines()) == (0, [str(number) for number in range(1, 20001)])


def test_what_was_written_last_is_there_although_the_monitor_is_late(tool: Tool) -> None:
    command = "while [ ! -e /run/end ]; do sleep 0.02; done; seq 1 2000"
    tool.succeed("run", "-d", "-t", "--name", "web", "--command", command)
    status = tool.status("web")
    tool.host.run(["kill", "-STOP", str(status["monitor_pid"])])
    tool.host.path("/run/end").touch()
    shown = ["ps", "-o", "stat=", "-p", str(status["pid"])]
    assert eventually(lambda: tool.host.run(shown).text[:1], "Z") == "Z"
    tool.host.run(["kill", "-CONT", str(status["monitor_pid"])])

    assert tool.succeed("wait", "web") == "0\n"
    assert tool.succeed("logs", "web").splitlines()[-1] == "2000"


def test_another_command_can_have_a_terminal_too(tool: Tool) -> None:
    tool.detached("web", "sleep 60")
    command = "echo ready; read line; echo got $line; stty size; exit 8"
    status, seen = drive(tool, [("ready", "hi\r")], "exec", "-t", "web", "sh", "-c", command)

    assert (status, seen) == (8, "ready\r\nhi\r\ngot hi\r\n33 99\r\n")
    tool.succeed("kill", "--grace", "0", "web")


def test_a_container_whose_terminals_user_is_gone_goes_on(tool: Tool) -> None:
    command = "sleep 1; seq 1 2000; exit 3"
    driver = [sys.executable, "-c", DRIVER, "[]", *tool.argv]
    process = tool.host.start(
        [*driver, "run", "-t", "--name", "web", "--command", command], b"", tool.environment()
    )
    assert eventually(lambda: tool.state("web"), "running") == "running"
    process.kill()

    assert tool.succeed("wait", "web") == "3\n"
    assert tool.succeed("logs", "web").splitlines()[-1] == "2000"


def test_a_terminal_is_refused_where_there_is_none(tool: Tool) -> None:
    left = tool.run("run", "--tty", "--command", "true")

    assert (left.status, left.stderr) == (
        2,
        "mesos-cni: --tty: our standard input is no terminal\n",
    )
    tool.assert_nothing_left()
