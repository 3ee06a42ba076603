"""An agent may die at any moment: containers do not notice, and the next one finds them all."""

import json
import signal
import sys
import time

import pytest

from tests.netns.agents import SOCKET, Agent, identity
from tests.netns.containers import ADDRESS, RUNTIME, Tool
from tests.support.host import Host
from tests.support.waiting import eventually

NET = {"name": "net"}
# A caller that is not answered, because whom it asked is killed.
HALF_A_CALL = """\
import socket, sys
body = sys.argv[2].encode()
caller = socket.socket(socket.AF_UNIX)
caller.connect(sys.argv[1])
head = f"POST /api/v1 HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Length: {len(body)}\\r\\n"
caller.sendall(head.encode() + b"Content-Type: application/json\\r\\n\\r\\n" + body)
caller.recv(1)
"""
STATE_ROOT = f"{RUNTIME}/isolators/network/cni"


@pytest.fixture
def tool(host: Host) -> Tool:
    made = Tool(host)
    made.network("net")
    made.network("other", "second")
    return made


def addresses(agent: Agent) -> dict[str, list[str]]:
    return {
        name: [
            address["ip_address"]
            for info in task["statuses"][-1]["container_status"]["network_infos"]
            for address in info["ip_addresses"]
        ]
        for name, task in agent.tasks().items()
    }


def test_a_killed_agent_takes_nothing_with_it(tool: Tool, agent: Agent) -> None:
    for name in ("a", "b"):
        agent.launch(name, NET, {"name": "other"})
    before = {name: tool.status(name) for name in "ab"}
    task = agent.tasks()["a"]

    agent.kill()
    # Nothing of the agent's own goes on without it.
    assert (
        eventually(
            lambda: [line for line in tool.host.processes().values() if "launcher" in line[0]], []
        )
        == []
    )
    assert {name: tool.status(name) for name in "ab"} == before
    agent.restart()

    assert {name: tool.status(name) for name in "ab"} == before
    assert agent.tasks()["a"] == task
    assert addresses(agent) == {"a": [ADDRESS, ADDRESS], "b": [ADDRESS, ADDRESS]}
    assert tool.plugins.commands("fake") == ["ADD", "ADD"]
    assert tool.plugins.commands("second") == ["ADD", "ADD"]

    agent.call("KILL_CONTAINER", container_id=identity("a"))
    answer = agent.call("WAIT_CONTAINER", container_id=identity("a"))
    assert answer.document["wait_container"] == {"exit_status": 9}
    assert tool.plugins.commands("fake") == ["ADD", "ADD", "DEL"]


def test_an_agent_killed_while_it_launches_leaves_a_container(tool: Tool, agent: Agent) -> None:
    slow = f"sleep 1; printf '%s' '{json.dumps({'cniVersion': '1.0.0', 'ips': []})}'"
    tool.plugins.scripted("fake", {"ADD": slow})
    body = {
        "container_id": identity("web"),
        "command": {"value": "sleep 60"},
        "container": {"network_infos": [NET]},
    }
    document = {"type": "LAUNCH_CONTAINER", "launch_container": body}
    client = tool.host.start(
        [sys.executable, "-c", HALF_A_CALL, SOCKET, json.dumps(document)], None
    )
    tool.plugins.await_call("fake")
    agent.kill()
    client.wait(5)
    agent.restart()

    assert eventually(agent.states, {"web": "TASK_RUNNING"}) == {"web": "TASK_RUNNING"}
    assert tool.plugins.commands("fake") == ["ADD"]


def test_orphans_are_detached_at_the_start(tool: Tool, agent: Agent) -> None:
    for name in ("kept", "lost"):
        agent.launch(name, NET)
    agent.kill()
    # As if the directory had been lost, and with it all that the harness knew.
    status = tool.status("lost")
    tool.kill(status["monitor_pid"])
    tool.kill(status["pid"])
    tool.host.run(["rm", "-r", f"{RUNTIME}/containers/lost"])
    agent.restart()

    assert agent.states() == {"kept": "TASK_RUNNING"}
    deleted = [call for call in tool.plugins.calls("fake") if call.command == "DEL"]
    assert [call.env["CNI_CONTAINERID"] for call in deleted] == ["lost"]
    assert not tool.host.path(f"{STATE_ROOT}/lost").exists()
    assert "lost was known to nobody and is detached" in agent.end()[1]


def test_a_container_that_ended_meanwhile_is_found_ended(tool: Tool, agent: Agent) -> None:
    agent.launch("web", NET)
    agent.kill()
    tool.succeed("kill", "web")
    agent.restart()

    assert agent.states() == {"web": "TASK_KILLED"}
    assert tool.plugins.commands("fake") == ["ADD", "DEL"]


def test_a_monitor_that_was_killed_is_replaced_while_the_agent_runs(
    tool: Tool, agent: Agent
) -> None:
    agent.launch("web", NET)
    first = tool.status("web")
    tool.kill(first["monitor_pid"])

    assert eventually(lambda: tool.status("web")["monitored"], True) is True
    second = tool.status("web")
    assert second["monitor_pid"] != first["monitor_pid"]
    assert second["pid"] == first["pid"]
    assert tool.plugins.commands("fake") == ["ADD"]
    assert "web is monitored again" in agent.end()[1]


def test_a_container_that_lost_its_monitor_and_its_life_is_detached(
    tool: Tool, agent: Agent
) -> None:
    agent.launch("web", NET)
    status = tool.status("web")
    tool.kill(status["monitor_pid"])
    tool.kill(status["pid"])

    answer = agent.call("WAIT_CONTAINER", container_id=identity("web"))
    assert answer.status == 200
    assert tool.plugins.commands("fake") == ["ADD", "DEL"]


def test_a_plugin_that_hangs_in_the_recovery_keeps_nobody_from_asking(
    tool: Tool, agent: Agent
) -> None:
    agent.launch("web", NET)
    agent.launch("kept")
    agent.kill()
    status = tool.status("web")
    tool.kill(status["monitor_pid"])
    tool.kill(status["pid"])
    tool.plugins.hanging("fake", ["DEL"])
    again = Agent(tool)
    tool.plugins.await_call("fake", "DEL")

    began = time.monotonic()
    assert again.get("/health").status == 503
    assert again.states()["kept"] == "TASK_RUNNING"
    assert again.launch("new").status == 503
    assert again.call("KILL_CONTAINER", container_id=identity("kept")).status == 200
    assert time.monotonic() - began < 2
    again.process.kill(signal.SIGTERM)
    # The recovery goes on without it.
    assert again.process.wait(5, drain=False).status == 0


def test_a_container_that_could_not_be_detached_is_detached_when_its_plugin_works_again(
    tool: Tool, agent: Agent
) -> None:
    tool.plugins.failing("fake", 11, "not now", ["DEL"])
    agent.launch("web", NET, command="exit 3")
    agent.call("WAIT_CONTAINER", container_id=identity("web"))
    before = tool.status("web")["ended"]
    assert (before["status"], before["detached"]) == (3, False)

    tool.plugins.recording("fake")

    assert eventually(lambda: tool.status("web")["ended"]["detached"], True) is True
    after = tool.status("web")["ended"]
    assert (after["status"], after["finished"]) == (3, before["finished"])
    assert not tool.host.path(f"{STATE_ROOT}/web").exists()
    assert "web is detached" in agent.end()[1]
