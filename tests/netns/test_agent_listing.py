"""What the agent tells of containers besides their state: processes, counters, numbers."""

import json
import sys
import time
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.netns.agents import Agent, identity
from tests.netns.containers import ADDRESS, RUNTIME, Tool
from tests.support.host import Host

NET = {
    "name": "net",
    "labels": {"labels": [{"key": "app", "value": "web"}]},
    "port_mappings": [{"host_port": 8080, "container_port": 80, "protocol": "TCP"}],
}
SEND = """\
import socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x" * 99, ("10.9.9.8", 9))
"""


@pytest.fixture
def tool(host: Host) -> Tool:
    made = Tool(host)
    made.network("net")
    made.network("other", "second")
    return made


def task_of(
    name: str,
    agent_id: str,
    infos: list[dict[str, Any]],
    moments: dict[str, float],
    more: dict[str, int],
) -> dict[str, Any]:
    """Return a Task message: its states with their times, and all but the first with networks."""
    ids = {"task_id": {"value": name}, "agent_id": {"value": agent_id}}
    status = {"container_id": identity(name)}
    return {
        **ids,
        "name": name,
        "framework_id": {"value": "mesos-cni"},
        "executor_id": {"value": name},
        "state": list(moments)[-1],
        "resources": [],
        "statuses": [
            {
                **ids,
                "state": state,
                "source": "SOURCE_AGENT",
                "timestamp": moment,
                "container_status": (
                    status
                    if state == "TASK_STARTING"
                    else {**status, "network_infos": infos, **more}
                ),
            }
            for state, moment in moments.items()
        ],
        "container": {"type": "MESOS", "mesos": {}, "network_infos": [NET]},
    }


def executor_of(name: str) -> dict[str, Any]:
    ids = {"executor_id": {"value": name}, "framework_id": {"value": "mesos-cni"}}
    return {"executor_info": {**ids, "name": name, "source": name, "type": "CUSTOM"}}


def test_containers_are_listed_with_processes_and_counters(tool: Tool, agent: Agent) -> None:
    result = {"cniVersion": "1.0.0", "ips": [{"address": "10.9.9.9/24"}]}
    tool.plugins.scripted(
        "fake",
        {
            "ADD": 'nsenter --net="$CNI_NETNS" ip link add "$CNI_IFNAME" type veth peer name x\n'
            'nsenter --net="$CNI_NETNS" ip link set "$CNI_IFNAME" up\n'
            'nsenter --net="$CNI_NETNS" ip link set x up\n'
            f"printf '%s' '{json.dumps(result)}'"
        },
    )
    agent.launch("web", NET)
    agent.launch("web.in")
    tool.succeed("exec", "web", "ip", "address", "add", "10.9.9.9/24", "dev", "eth0")
    tool.succeed("exec", "web", sys.executable, "-c", SEND)

    (listed,) = agent.get("/containers").document
    assert listed["status"]["network_infos"] == [
        {**NET, "ip_addresses": [{"ip_address": "10.9.9.9", "protocol": "IPv4"}]}
    ]
    assert listed["status"]["executor_pid"] == tool.status("web")["pid"]
    usage = json.loads(tool.succeed("usage", "--json", "web"))
    counted = {key: value for key, value in listed["statistics"].items() if key != "timestamp"}
    assert set(counted) == set(usage)
    assert 0 < counted["net_tx_packets"] <= usage["net_tx_packets"]

    response = agent.call("GET_CONTAINERS", show_nested=True).document["get_containers"]
    assert [each["container_id"] for each in response["containers"]] == [
        identity("web"),
        identity("web.in"),
    ]
    assert response["containers"][0]["container_status"] == listed["status"]
    assert agent.get("/containers?container_id=nobody").document == []


def test_get_state_has_what_runs_and_what_has_ended_in_lists(tool: Tool, agent: Agent) -> None:
    agent.launch("web", NET)
    agent.launch("old", NET, command="exit 3")
    agent.call("WAIT_CONTAINER", container_id=identity("old"))
    agent_id = agent.get("/state").document["id"]
    old, web = tool.status("old"), tool.status("web")

    answer = agent.call("GET_STATE")

    assert (answer.status, sorted(answer.document)) == (200, ["get_state", "type"])
    assert answer.document["type"] == "GET_STATE"
    state = answer.document["get_state"]
    infos = [{**NET, "ip_addresses": [{"ip_address": ADDRESS, "protocol": "IPv4"}]}]
    pid = {"executor_pid": web["pid"]}
    moments = {"TASK_STARTING": web["created"], "TASK_RUNNING": web["started"]}
    assert state["get_tasks"]["launched_tasks"] == [task_of("web", agent_id, infos, moments, pid)]
    moments = {
        "TASK_STARTING": old["created"],
        "TASK_RUNNING": old["started"],
        "TASK_FAILED": old["ended"]["finished"],
    }
    assert state["get_tasks"]["completed_tasks"] == [task_of("old", agent_id, infos, moments, {})]
    assert state["get_executors"] == {
        "executors": [executor_of("web")],
        "completed_executors": [executor_of("old")],
    }
    (framework,) = state["get_frameworks"]["frameworks"]
    assert framework["framework_info"]["id"] == {"value": "mesos-cni"}
    assert state["get_frameworks"]["completed_frameworks"] == []


def test_a_corrupt_container_is_reported_and_stepped_over(tool: Tool, agent: Agent) -> None:
    agent.launch("web", NET)
    agent.launch("bad")
    spec = tool.host.path(f"{RUNTIME}/containers/bad/spec.json")
    before = spec.read_bytes()
    spec.write_bytes(b'{"spec": 1')

    assert list(agent.tasks()) == ["web"]
    assert [each["container_id"] for each in agent.get("/containers").document] == ["web"]
    assert "mesos_cni_unreadable_containers 1.0" in agent.get("/metrics").text
    time.sleep(1.5)
    spec.write_bytes(before)
    _, said = agent.end()
    assert said.count("spec.json") == 1


def test_whoever_ends_a_container_needs_no_more_than_its_ending(tool: Tool, agent: Agent) -> None:
    agent.launch("bad")
    directory = tool.host.path(f"{RUNTIME}/containers/bad")
    (directory / "spec.json").write_bytes(b'{"spec": 1')

    assert agent.call("KILL_CONTAINER", container_id=identity("bad")).status == 200
    assert agent.call("WAIT_CONTAINER", container_id=identity("bad")).status == 200
    (directory / "exit.json").write_bytes(b'{"status": 1')
    wait = agent.call("WAIT_CONTAINER", container_id=identity("bad"))
    assert (wait.status, "exit.json" in wait.text, wait.text.count("\n")) == (500, True, 1)


def test_metrics_are_what_prometheus_reads(tool: Tool, agent: Agent) -> None:
    agent.launch("web", NET)
    agent.launch("bad", {"name": "unheard-of"})
    families = {
        family.name: family for family in text_string_to_metric_families(agent.get("/metrics").text)
    }

    launches = {
        each.labels["outcome"]: each.value for each in families["mesos_cni_launches"].samples
    }
    states = {each.labels["state"]: each.value for each in families["mesos_cni_containers"].samples}
    assert launches == {"ok": 1, "failed": 1}
    assert states == {"starting": 0, "running": 1, "stopping": 0, "exited": 0, "lost": 0}
    (received,) = families["mesos_cni_container_net_rx_bytes"].samples
    assert received.labels == {"container_id": "web"}
