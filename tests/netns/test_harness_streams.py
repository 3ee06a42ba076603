"""What a command has when it starts: streams it may open again, signals, and nothing of ours."""

import json

import pytest

from tests.netns.agents import Agent, identity
from tests.netns.containers import SOURCE, Tool
from tests.netns.terminals import drive
from tests.support.host import Host

NOBODY = ("--user", "65534")
DEAF = ("sh", "-c", "trap '' HUP QUIT USR1 TSTP; exec \"$@\"", "sh")
IGNORED = "grep SigIgn /proc/self/status"
# The C library's posix_spawn has the two signals ignored that are its own, 32 and 33.
ITS_OWN = 0x180000000
# Where there is nothing to be found.
ENDLESS_NAME = "/x" * 150_000


@pytest.fixture
def tool(host: Host) -> Tool:
    return Tool(host)


@pytest.fixture
def deaf(tool: Tool) -> Tool:
    """Return a tool whose commands are started with signals ignored."""
    tool.argv = (*DEAF, *SOURCE)
    return tool


def ignored(said: str) -> int:
    """Return the mask of signals that a line of /proc/PID/status says are ignored."""
    name, _, mask = said.strip().partition(":\t")
    assert name == "SigIgn"
    return int(mask, 16) & ~ITS_OWN


def test_the_descriptors_of_the_caller_do_not_reach_another_command(tool: Tool) -> None:
    tool.detached("web", "sleep 60")
    line = " ".join([*tool.argv, "exec", "web", "ls", "/proc/self/fd"])
    finished = tool.host.run(["sh", "-c", f"exec 5</etc; {line}"], env=tool.environment())

    # The fourth is by which ls reads the directory.
    assert finished.text.split() == ["0", "1", "2", "3"]


def test_the_descriptors_of_the_caller_do_not_reach_another_commands_terminal(tool: Tool) -> None:
    tool.detached("web", "sleep 60")
    line = " ".join([*tool.argv, "exec", "-t", "web", "ls", "/proc/self/fd"])
    tool.argv = ("/bin/sh", "-c", f"exec 5</etc; {line}")

    status, seen = drive(tool, [])

    assert (status, seen.split()) == (0, ["0", "1", "2", "3"])


def test_a_user_can_open_the_output_by_name(tool: Tool) -> None:
    # Each on its own: what is opened again begins at the file's beginning.
    command = "echo out >/dev/stdout; echo err >/dev/stderr"
    left = tool.run("run", *NOBODY, "--command", command)

    assert (left.status, left.stdout, left.stderr) == (0, "out\n", "err\n")
    tool.assert_nothing_left()


OPEN_BY_NAME = "echo one >/dev/stdout; echo two >/dev/stderr; echo three >$(tty); exit 3"


def test_a_user_can_open_the_terminal_by_name(tool: Tool) -> None:
    status, seen = drive(tool, [], "run", "-t", *NOBODY, "--command", OPEN_BY_NAME)

    assert (status, seen) == (3, "one\r\ntwo\r\nthree\r\n")


def test_a_user_can_open_the_terminal_of_another_command_by_name(tool: Tool) -> None:
    tool.detached("web", "sleep 60")

    status, seen = drive(tool, [], "exec", "-t", *NOBODY, "web", "sh", "-c", OPEN_BY_NAME)

    assert (status, seen) == (3, "one\r\ntwo\r\nthree\r\n")


def test_a_user_does_not_get_the_callers_files(tool: Tool) -> None:
    tool.detached("web", "sleep 60")
    names = ("in", "out", "err", "piped")
    for name in names:
        tool.host.path(f"/run/{name}").touch()
    run = " ".join([*tool.argv, "run", "-i", *NOBODY, "--command", "true"])
    entered = " ".join([*tool.argv, "exec", *NOBODY, "web", "true"])
    line = f"{run} </run/piped; {entered} </run/in >/run/out 2>/run/err"
    tool.host.run(["sh", "-c", line], env=tool.environment())

    assert [tool.host.path(f"/run/{name}").stat().st_uid for name in names] == [0] * len(names)


@pytest.mark.parametrize("flags", [(), ("--user", "daemon")], ids=["spawned", "forked"])
def test_a_command_ignores_no_signal_that_its_launcher_does(
    deaf: Tool, flags: tuple[str, ...]
) -> None:
    assert ignored(deaf.succeed("run", *flags, "--command", IGNORED)) == 0


def test_another_command_ignores_no_signal_that_we_do(deaf: Tool) -> None:
    deaf.detached("web", "sleep 60")

    assert ignored(deaf.succeed("exec", "web", *IGNORED.split())) == 0


@pytest.mark.parametrize("user", [None, "daemon"])
def test_a_command_ignores_no_signal_that_the_agent_does(deaf: Tool, user: str | None) -> None:
    agent = Agent(deaf).ready()
    command = {"value": IGNORED, **({"user": user} if user else {})}
    answer = agent.call("LAUNCH_CONTAINER", container_id=identity("web"), command=command)
    assert answer.status == 200

    assert deaf.succeed("wait", "web") == "0\n"
    assert ignored(deaf.succeed("logs", "web")) == 0
    agent.process.close()


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ({"value": ENDLESS_NAME, "shell": False}, "File name too long"),
        ({"value": ENDLESS_NAME, "shell": False, "user": "daemon"}, "File name too long"),
        ({"value": "true", "user": ENDLESS_NAME}, "in the container's /etc/passwd"),
        ({"value": "true", "user": "ü" * 100_000}, "in the container's /etc/passwd"),
    ],
    ids=["program", "program of another user", "user", "user in escapes"],
)
def test_a_reason_is_told_however_long_it_would_be(
    tool: Tool, command: dict[str, object], reason: str
) -> None:
    task = {"name": "web", "task_id": {"value": "web"}, "command": command}
    tool.host.path("/run/task.json").write_text(json.dumps(task))

    left = tool.run("run", "--task", "/run/task.json")

    assert reason in left.stderr
    assert left.status == (126 if command.get("shell") is False else 1)
    assert len(left.stderr) < 4096
    tool.assert_nothing_left()


def test_a_reason_of_another_command_is_told_however_long_it_would_be(tool: Tool) -> None:
    tool.detached("web", "sleep 60")

    left = tool.run("exec", "web", "/x" * 50_000)

    assert (left.status, "File name too long" in left.stderr) == (126, True)
    assert len(left.stderr) < 4096
