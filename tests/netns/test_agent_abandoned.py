"""Callers of an agent that do not stay for the answer."""

import json
import socket

import pytest

from tests.netns.agents import SOCKET, Agent, identity
from tests.netns.containers import RESULT, Tool
from tests.support.host import Host
from tests.support.waiting import eventually


@pytest.fixture
def tool(host: Host) -> Tool:
    made = Tool(host)
    made.network("net")
    return made


def half_a_call(tool: Tool, kind: str, **fields: object) -> socket.socket:
    """Make a call, and return the connection that nobody reads the answer from."""
    body = json.dumps({"type": kind, kind.lower(): fields})
    caller = socket.socket(socket.AF_UNIX)
    caller.connect(str(tool.host.path(SOCKET)))
    head = f"POST /api/v1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    caller.sendall(f"{head}Content-Type: application/json\r\n\r\n{body}".encode())
    return caller


def descriptors(agent: Agent) -> int:
    listed = agent.tool.host.run(["ls", f"/proc/{agent.process.pid_inside}/fd"])
    return len(listed.text.split())


def test_waits_that_are_given_up_keep_no_descriptors(tool: Tool, agent: Agent) -> None:
    agent.launch("web")
    before = descriptors(agent)
    callers = [half_a_call(tool, "WAIT_CONTAINER", container_id=identity("web")) for _ in range(40)]
    # Each has a connection, and a pipe of the container's.
    waiting = before + 2 * len(callers)
    assert eventually(lambda: descriptors(agent), waiting) == waiting

    for caller in callers:
        caller.close()

    assert eventually(lambda: descriptors(agent), before, 2) == before
    assert agent.states() == {"web": "TASK_RUNNING"}


def test_a_launch_whose_caller_has_gone_goes_on(tool: Tool, agent: Agent) -> None:
    tool.plugins.scripted("fake", {"ADD": f"sleep 1; printf '%s' '{json.dumps(RESULT)}'"})
    caller = half_a_call(
        tool,
        "LAUNCH_CONTAINER",
        container_id=identity("web"),
        command={"value": "sleep 60"},
        container={"type": "MESOS", "network_infos": [{"name": "net"}]},
    )
    tool.plugins.await_call("fake")
    caller.close()

    running = {"web": "TASK_RUNNING"}
    assert eventually(agent.states, running) == running
    counted = 'mesos_cni_launches_total{outcome="ok"} 1.0'
    assert eventually(lambda: counted in agent.get("/metrics").text, True) is True


def test_a_kill_whose_caller_has_gone_is_done(tool: Tool, agent: Agent) -> None:
    agent.launch("web", command="sleep 60")

    half_a_call(tool, "KILL_CONTAINER", container_id=identity("web")).close()

    ended = {"web": "TASK_KILLED"}
    assert eventually(agent.states, ended) == ended
