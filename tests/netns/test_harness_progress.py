"""What takes a while is shown to who sits at a terminal, and to nobody else."""

import re

import pytest

from tests.netns.containers import Tool
from tests.netns.terminals import drive
from tests.support.host import Host

DEAF = "trap '' TERM; while :; do sleep 0.05; done"


@pytest.fixture
def tool(host: Host) -> Tool:
    made = Tool(host)
    made.network("net")
    return made


def test_ending_a_container_that_takes_its_time_is_shown_at_a_terminal(tool: Tool) -> None:
    tool.detached("web", DEAF)

    status, seen = drive(tool, [], "kill", "--grace", "3", "web")

    assert status == 0
    assert re.search("ending web \x1b\\[33m0:00:0[2-5]", seen)
    # It takes itself away again, and gives the cursor back.
    assert seen.endswith("\x1b[?25h\r\x1b[1A\x1b[2K")


def test_a_launch_that_takes_its_time_is_shown_before_the_output(tool: Tool) -> None:
    tool.plugins.write("slow", "[ $CNI_COMMAND = DEL ] || sleep 3; echo '{}'")
    tool.network("far", "slow")

    status, seen = drive(
        tool, [], "run", "--name", "web", "--networks", "far", "--command", "echo done"
    )

    assert status == 0
    assert seen.index("launching web") < seen.index("done")
    tool.assert_nothing_left()


def test_what_takes_no_time_shows_nothing(tool: Tool) -> None:
    tool.detached("web", "true")

    assert drive(tool, [], "wait", "web") == (0, "0\r\n")


def test_a_pipe_sees_nothing_of_it(tool: Tool) -> None:
    tool.detached("web", DEAF)

    left = tool.run("kill", "--grace", "3", "web")

    assert (left.status, left.stdout, left.stderr) == (0, "", "")


def test_an_interrupted_wait_leaves_no_display(tool: Tool) -> None:
    tool.detached("web", DEAF)

    status, seen = drive(tool, [("waiting for web", "\x03")], "wait", "web")

    assert status == 130
    assert seen.endswith("mesos-cni: interrupted\r\n")
    assert [words for words in tool.host.processes().values() if "wait" in words] == []
