"""Plugins that hang when an agent has a container detached: nobody else waits for them."""

import pytest

from tests.netns.agents import Agent
from tests.netns.containers import Tool
from tests.support.host import Host
from tests.support.waiting import eventually

STUCK = ("a", "b")


@pytest.fixture
def tool(host: Host) -> Tool:
    made = Tool(host)
    made.plugins.hanging("hanging", ["DEL"])
    made.network("stuck", plugin="hanging")
    return made


def launch(agent: Agent) -> None:
    assert [agent.launch(name, {"name": "stuck"}).status for name in STUCK] == [200, 200]
    assert agent.launch("web").status == 200


def kill_all_but_web(tool: Tool) -> None:
    """Kill everybody's monitor and two of the containers, with no time for help in between."""
    seen = [tool.status(name) for name in STUCK]
    pids = {str(each[kind]) for each in seen for kind in ("pid", "monitor_pid")}
    tool.host.run(["kill", "-9", *pids])


def test_a_container_gets_a_monitor_while_others_are_being_detached(
    tool: Tool, agent: Agent
) -> None:
    launch(agent)
    kill_all_but_web(tool)

    assert eventually(lambda: tool.status("web")["monitored"], True) is True
    called = ["ADD", "ADD", "DEL", "DEL"]
    assert eventually(lambda: tool.plugins.commands("hanging"), called) == called
    assert agent.launch("new").status == 200
    # Nobody is sent after those who are there already.
    assert eventually(lambda: len(tool.plugins.commands("hanging")), 5, 3) == 4


def test_a_container_gets_a_monitor_while_the_agent_recovers(tool: Tool, agent: Agent) -> None:
    launch(agent)
    agent.kill()
    kill_all_but_web(tool)
    again = Agent(tool)
    tool.plugins.await_call("hanging", "DEL")

    assert again.get("/health").status == 503
    assert eventually(lambda: tool.status("web")["monitored"], True) is True
    called = ["ADD", "ADD", "DEL", "DEL"]
    assert eventually(lambda: tool.plugins.commands("hanging"), called) == called
    assert again.get("/health").status == 503
