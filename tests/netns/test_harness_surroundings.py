"""Whatever a command was started with: streams that are closed, signals that are ignored."""

import json
import shlex
import sys

import pytest

from tests.netns.agents import Agent, identity
from tests.netns.containers import CONFIGURATIONS, ENDLESS, FROZEN, SOURCE, Left, Tool
from tests.support.gate import need_file
from tests.support.host import Host


@pytest.fixture(params=["source", "frozen"])
def tool(request: pytest.FixtureRequest, host: Host) -> Tool:
    if request.param == "frozen":
        need_file(FROZEN, "make build")
    made = Tool(host, SOURCE if request.param == "source" else [str(FROZEN)])
    made.network("net")
    return made


@pytest.fixture
def source(host: Host) -> Tool:
    made = Tool(host)
    made.network("net")
    return made


def behind(tool: Tool, around: str, *arguments: str) -> Left:
    """Run a command by a shell that does something ``around`` it, as in ``{} <&-``."""
    script = around.format(shlex.join([*tool.argv, *arguments]))
    process = tool.host.start(["/bin/sh", "-c", script], b"", tool.environment())
    try:
        finished = process.wait(30)
    finally:
        process.close()
    return Left(finished.status, finished.stdout.decode(), finished.stderr.decode())


@pytest.mark.parametrize("around", ["{} <&-", "{} >&-", "{} 2>&-", "{} <&- >&- 2>&-"])
def test_a_container_launched_with_closed_streams_has_a_monitor(tool: Tool, around: str) -> None:
    flags = ("--detach", "--name", "web", "--networks", "net", "--command", ENDLESS)

    left = behind(tool, around, "run", *flags)

    assert (left.status, left.stderr) == (0, "")
    assert tool.status("web")["monitored"]
    assert tool.run("recover") == Left(0, "", "")
    tool.succeed("kill", "--grace", "0", "web")
    tool.succeed("cleanup", "web")
    tool.assert_nothing_left()


@pytest.mark.parametrize("command", ["ps", "recover"])
def test_nobody_is_told_where_nobody_listens(tool: Tool, command: str) -> None:
    assert behind(tool, "{} >&- 2>&-", command) == Left(0, "", "")


def test_children_are_asked_how_they_ended_though_they_were_to_be_ignored(source: Tool) -> None:
    source.detached("web", ENDLESS, "--networks", "net")
    ignoring = f"{sys.executable} -c 'import os, signal, sys; {{}}' {{{{}}}}"
    around = ignoring.format(
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )

    assert behind(source, around, "exec", "web", "sh", "-c", "exit 3") == Left(3, "", "")
    assert behind(source, around, "usage", "--json", "web").status == 0
    assert behind(source, around, "kill", "web") == Left(0, "", "")


def test_output_to_somebody_slow_who_does_not_block_is_all_there(source: Tool) -> None:
    slow = (
        "import os, subprocess, sys, time\n"
        "reading, writing = os.pipe()\n"
        "os.set_blocking(writing, False)\n"
        "child = subprocess.Popen(sys.argv[1:], stdout=writing)\n"
        "os.close(writing)\n"
        "time.sleep(1)\n"
        "count = 0\n"
        "while data := os.read(reading, 65536):\n"
        "    count += len(data)\n"
        "print(child.wait(), count)\n"
    )
    command = [*source.argv, "run", "--command", "head -c 1000000 /dev/zero"]
    done = source.host.run([sys.executable, "-c", slow, *command], env=source.environment())

    assert done.text == "0 1000000\n"
    source.assert_nothing_left()


def test_what_is_no_text_is_shown_escaped(source: Tool) -> None:
    flags = ("--networks", "net", "--label")
    run = shlex.join(["run", "--detach", "--name", "web", "--command", ENDLESS, *flags])
    made = behind(source, f"{{}} {run} $(printf 'a=\\377')")

    assert made.status == 0
    assert "\\udcff" in source.succeed("status", "web")
    (info,) = json.loads(source.succeed("status", "--json", "web"))["network_infos"]
    assert info["labels"] == [{"key": "a", "value": "\udcff"}]


SPOKEN = '{"code": 100, "msg": "clear \\u001b[2J and half \\ud800"}'
SHOWN = "clear \\x1b[2J and half \\ud800"


def test_what_a_plugin_says_does_nothing_to_a_terminal(source: Tool) -> None:
    source.plugins.write("spiteful", f"echo {shlex.quote(SPOKEN)}; exit 1")
    source.network("bad", "spiteful")
    agent = Agent(source).ready()
    command = {"command": {"value": "true"}, "container_id": identity("web")}
    container = {"type": "MESOS", "network_infos": [{"name": "bad"}]}
    answer = agent.call("LAUNCH_CONTAINER", **command, container=container)
    agent.end()

    assert SHOWN in source.run("run", "--networks", "bad", "--command", "true").stderr
    assert (answer.status, answer.text.count("\n")) == (500, 1)
    assert SHOWN in answer.text


def test_files_that_are_no_configurations_are_told_to_who_launches_and_by_the_agent(
    source: Tool,
) -> None:
    configurations = source.host.path(CONFIGURATIONS)
    (configurations / "broken.conf").write_text("{")
    (configurations / "net2.conf").write_text((configurations / "net.conf").read_text())
    broken = f"{CONFIGURATIONS}/broken.conf: Expecting property name"
    second = f"{CONFIGURATIONS}/net2.conf: the network 'net' is in {CONFIGURATIONS}/net.conf"

    left = source.run("run", "--networks", "net", "--command", "true")
    assert left.status == 0
    assert [line.startswith("mesos-cni: ") for line in left.stderr.splitlines()] == [True, True]
    assert broken in left.stderr
    assert second in left.stderr
    assert source.run("run", "--command", "true").stderr == ""

    _, said = Agent(source).ready().end()
    assert (said.count(broken), said.count(second)) == (1, 1)
