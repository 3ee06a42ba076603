"""`mesos-cni agent`: containers over HTTP, on the real kernel."""

import threading
import time
from typing import Any

import pytest

from tests.netns.agents import SOCKET, Agent, Answer, identity
from tests.netns.containers import ADDRESS, CONFIGURATIONS, ENDLESS, RUNTIME, Tool
from tests.support.host import Host
from tests.support.waiting import eventually

NET = {
    "name": "net",
    "labels": {"labels": [{"key": "app", "value": "web"}]},
    "port_mappings": [{"host_port": 8080, "container_port": 80, "protocol": "TCP"}],
}
NOTHING = {"cpus": 0.0, "disk": 0.0, "gpus": 0.0, "mem": 0.0}


@pytest.fixture
def tool(host: Host) -> Tool:
    made = Tool(host)
    made.network("net")
    made.network("other", "second")
    return made


def all_together(agent: Agent, names: list[str], work: Any) -> dict[str, Answer]:
    """Do the same for all names, each in a thread of its own."""
    answers: dict[str, Answer] = {}
    threads = [
        threading.Thread(target=lambda name=name: answers.update({name: work(name)}))
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def status_of(container_id: str, **fields: Any) -> dict[str, Any]:
    return {"container_id": identity(container_id), **fields}


def test_the_state_is_an_agents(tool: Tool, agent: Agent) -> None:
    assert agent.launch("web", NET, {"name": "other"}).status == 200

    state = agent.get("/state").document
    spec = tool.status("web")
    assigned = [{"ip_address": ADDRESS, "protocol": "IPv4"}]
    infos = [
        {
            "name": "net",
            "ip_addresses": assigned,
            "labels": [{"key": "app", "value": "web"}],
            "port_mappings": [{"host_port": 8080, "container_port": 80, "protocol": "TCP"}],
        },
        {"name": "other", "ip_addresses": assigned},
    ]
    task = {
        "id": "web",
        "name": "web",
        "framework_id": "mesos-cni",
        "executor_id": "web",
        "slave_id": state["id"],
        "state": "TASK_RUNNING",
        "resources": NOTHING,
        "role": "*",
        "statuses": [
            {
                "state": "TASK_STARTING",
                "timestamp": spec["created"],
                "container_status": status_of("web"),
            },
            {
                "state": "TASK_RUNNING",
                "timestamp": spec["started"],
                "container_status": status_of("web", network_infos=infos),
            },
        ],
        "container": {"type": "MESOS", "mesos": {}, "network_infos": [NET, {"name": "other"}]},
    }
    executor = {
        "id": "web",
        "name": "web",
        "source": "web",
        "container": "web",
        "directory": f"{RUNTIME}/containers/web",
        "resources": NOTHING,
        "tasks": [task],
        "queued_tasks": [],
        "completed_tasks": [],
    }
    hostname = tool.host.run(["hostname"]).text.strip()
    assert state == {
        "version": "0.1.0",
        "start_time": state["start_time"],
        "id": state["id"],
        "pid": f"slave(1)@{SOCKET}",
        "hostname": hostname,
        "resources": {"cpus": state["resources"]["cpus"], "disk": 0.0, "gpus": 0.0}
        | {"mem": state["resources"]["mem"]},
        "attributes": {},
        "flags": {
            "network_cni_config_dir": CONFIGURATIONS,
            "network_cni_plugins_dir": "/run/plugins",
            "network_cni_root_dir_persist": "false",
            "network_cni_metrics": "true",
            "runtime_dir": RUNTIME,
            "plugin_timeout": "120",
            "isolation": "network/cni",
            "socket": SOCKET,
        },
        "frameworks": [
            {
                "id": "mesos-cni",
                "name": "mesos-cni",
                "user": "root",
                "failover_timeout": 0.0,
                "checkpoint": True,
                "hostname": hostname,
                "roles": ["*"],
                "role": "*",
                "executors": [executor],
                "completed_executors": [],
            }
        ],
        "completed_frameworks": [],
    }
    for path in ("/state.json", "/slave(1)/state"):
        assert agent.get(path).document == state


@pytest.mark.parametrize(
    ("command", "wanted"), [("exit 143", 143 << 8), ("kill -TERM $$", 15), ("kill -KILL $$", 9)]
)
def test_a_status_is_told_from_a_signal(agent: Agent, command: str, wanted: int) -> None:
    agent.launch("web", NET, command=command)

    ended = agent.call("WAIT_CONTAINER", container_id=identity("web"))

    assert ended.document["wait_container"] == {"exit_status": wanted}


def test_the_plugin_gets_what_was_asked_for(tool: Tool, agent: Agent) -> None:
    agent.launch("web", NET)

    (add,) = tool.plugins.calls("fake")
    assert add.config["args"]["org.apache.mesos"]["network_info"] == NET
    assert add.env["CNI_CONTAINERID"] == "web"


def test_a_containers_life_over_http(tool: Tool, agent: Agent) -> None:
    assert agent.launch("web", NET, command="trap 'exit 3' TERM; " + ENDLESS).status == 200
    named = {"container_id": identity("web")}
    ended: list[Answer] = []
    waiting = threading.Thread(target=lambda: ended.append(agent.call("WAIT_CONTAINER", **named)))
    waiting.start()
    # The shell must have come to its trap.
    time.sleep(0.3)
    assert agent.call("KILL_CONTAINER", **named, signal=15).status == 200
    waiting.join()

    (answer,) = ended
    assert answer.document == {"type": "WAIT_CONTAINER", "wait_container": {"exit_status": 3 << 8}}
    assert agent.states() == {"web": "TASK_FAILED"}
    assert agent.call("KILL_CONTAINER", **named).status == 404
    assert agent.call("WAIT_CONTAINER", **named).status == 200
    assert agent.call("REMOVE_CONTAINER", **named).status == 200
    assert agent.call("WAIT_CONTAINER", **named).status == 404
    assert agent.states() == {}
    assert agent.end()[0] == 0
    tool.assert_nothing_left()


def test_a_nested_container_shares_its_parents_network(tool: Tool, agent: Agent) -> None:
    agent.launch("web", NET)
    assert agent.launch("web.in").status == 200

    statuses = {name: task["statuses"][-1] for name, task in agent.tasks().items()}
    inner, outer = (statuses[name]["container_status"] for name in ("web.in", "web"))
    assert inner["container_id"] == identity("web.in")
    assert inner["network_infos"] == outer["network_infos"]
    assert agent.launch("nobody.in").status == 404


def test_a_launch_that_fails_says_why_and_leaves_nothing(tool: Tool, agent: Agent) -> None:
    tool.plugins.failing("fake", 99, "no more addresses", ["ADD"])
    answer = agent.launch("web", {"name": "net"})

    assert answer.status == 500
    assert "no more addresses" in answer.text
    assert answer.text.count("\n") == 1
    assert agent.launch("web", {"name": "unheard-of"}).status == 500
    assert agent.states() == {}
    agent.end()
    tool.assert_nothing_left()


def test_the_same_launch_again_is_accepted_and_another_refused(tool: Tool, agent: Agent) -> None:
    assert agent.launch("web", NET).status == 200
    assert agent.launch("web", NET).status == 202
    other = agent.launch("web")

    assert (other.status, "already" in other.text) == (409, True)
    assert agent.call("REMOVE_CONTAINER", container_id=identity("web")).status == 409
    agent.call("KILL_CONTAINER", container_id=identity("web"))
    agent.call("WAIT_CONTAINER", container_id=identity("web"))
    assert agent.launch("web", NET).status == 409
    assert tool.plugins.commands("fake") == ["ADD", "DEL"]


def test_a_launch_can_be_given_up(tool: Tool, agent: Agent) -> None:
    tool.plugins.hanging("fake", ["ADD"])
    launched: list[Answer] = []
    launching = threading.Thread(target=lambda: launched.append(agent.launch("web", NET)))
    launching.start()
    tool.plugins.await_call("fake")

    began = time.monotonic()
    assert agent.states() == {"web": "TASK_STARTING"}
    assert time.monotonic() - began < 1
    assert agent.call("KILL_CONTAINER", container_id=identity("web"), signal=10).status == 409
    assert agent.call("KILL_CONTAINER", container_id=identity("web")).status == 200
    launching.join()

    assert (launched[0].status, "interrupted" in launched[0].text) == (500, True)
    agent.end()
    tool.assert_nothing_left()


def test_many_are_launched_and_ended_at_once(tool: Tool, agent: Agent) -> None:
    names = [f"c{number}" for number in range(20)]
    launched = all_together(agent, names, lambda name: agent.launch(name, NET))

    assert {answer.status for answer in launched.values()} == {200}
    assert agent.states() == dict.fromkeys(names, "TASK_RUNNING")
    assert sorted(tool.plugins.commands("fake")) == ["ADD"] * 20

    for call in ("KILL_CONTAINER", "WAIT_CONTAINER", "REMOVE_CONTAINER"):
        ended = all_together(
            agent,
            names,
            lambda name, call=call: agent.call(call, container_id=identity(name)),
        )
        assert {answer.status for answer in ended.values()} == {200}
    assert sorted(tool.plugins.commands("fake")) == ["ADD"] * 20 + ["DEL"] * 20
    assert eventually(tool.containers, []) == []
    agent.end()
    tool.assert_nothing_left()
