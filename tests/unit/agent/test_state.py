"""The two documents that tell everything, and the one that lists containers."""

from typing import Any

from mesos_cni_port_mapper.harness.agent.listing import encode_containers, encode_get_containers
from mesos_cni_port_mapper.harness.agent.state import encode_get_state, encode_state
from mesos_cni_port_mapper.harness.agent.tasks import encode_network_info
from tests.unit.agent.containers import AGENT, NETWORK, container, ended

NOTHING = {"cpus": 0.0, "disk": 0.0, "gpus": 0.0, "mem": 0.0}


def only_framework(state: dict[str, Any], key: str = "frameworks") -> dict[str, Any]:
    (framework,) = state[key]
    assert isinstance(framework, dict)
    return framework


def ids(executors: list[dict[str, Any]], kind: str = "tasks") -> dict[str, list[str]]:
    return {each["id"]: [task["id"] for task in each[kind]] for each in executors}


def test_a_task_has_a_status_for_each_state_it_was_in() -> None:
    (executor,) = only_framework(encode_state(AGENT, [container()]))["executors"]
    (task,) = executor["tasks"]

    assert task == {
        "id": "web",
        "name": "web",
        "framework_id": "mesos-cni",
        "executor_id": "web",
        "slave_id": "agent-S0",
        "state": "TASK_RUNNING",
        "resources": NOTHING,
        "role": "*",
        "statuses": [
            {
                "state": "TASK_STARTING",
                "timestamp": 100.0,
                "container_status": {"container_id": {"value": "web"}},
            },
            {
                "state": "TASK_RUNNING",
                "timestamp": 101.0,
                "container_status": {
                    "container_id": {"value": "web"},
                    "network_infos": [NETWORK],
                },
            },
        ],
        "container": {"type": "MESOS", "mesos": {}},
    }


def test_an_agent_without_containers_has_no_framework() -> None:
    assert encode_state(AGENT, []) == {
        "version": "1",
        "start_time": 50.0,
        "id": "agent-S0",
        "pid": "slave(1)@127.0.0.1:5051",
        "hostname": "host",
        "resources": {"cpus": 2.0},
        "attributes": {},
        "flags": {"port": "5051"},
        "frameworks": [],
        "completed_frameworks": [],
    }


def test_what_has_ended_is_completed() -> None:
    both = only_framework(encode_state(AGENT, [container("a"), ended("b")]))
    state = encode_state(AGENT, [ended("b")])

    assert ids(both["executors"]) == {"a": ["a"]}
    assert ids(both["completed_executors"]) == {"b": []}
    assert ids(both["completed_executors"], "completed_tasks") == {"b": ["b"]}
    assert state["frameworks"] == []
    assert ids(only_framework(state, "completed_frameworks")["completed_executors"]) == {"b": []}


def test_the_tasks_of_a_group_are_those_of_one_executor() -> None:
    found = [container("pod", program=None), container("pod.a"), ended("pod.b")]
    (executor,) = only_framework(encode_state(AGENT, found))["executors"]

    assert executor["type"] == "DEFAULT"
    assert ids([executor]) == {"pod": ["pod.a"]}
    assert ids([executor], "completed_tasks") == {"pod": ["pod.b"]}
    status = executor["tasks"][0]["statuses"][-1]["container_status"]
    assert status["container_id"] == {"value": "a", "parent": {"value": "pod"}}


def test_a_task_whose_executor_is_missing_is_still_listed() -> None:
    (executor,) = only_framework(encode_state(AGENT, [container("pod.a")]))["executors"]

    assert (executor["id"], executor["name"]) == ("pod", "")


def test_the_operator_api_has_the_same_in_lists() -> None:
    found = [container("pod", program=None), container("pod.a"), ended("b")]
    document = encode_get_state(AGENT, found)

    tasks = document["get_tasks"]
    (task,), (completed,) = tasks["launched_tasks"], tasks["completed_tasks"]
    assert task["task_id"] == {"value": "pod.a"}
    assert task["statuses"][-1]["container_status"] == {
        "container_id": {"value": "a", "parent": {"value": "pod"}},
        "network_infos": [encode_network_info(NETWORK)],
        "executor_pid": 7,
    }
    assert completed["state"] == "TASK_FINISHED"
    executors = document["get_executors"]
    names = {
        key: [each["executor_info"]["executor_id"]["value"] for each in executors[key]]
        for key in executors
    }
    assert names == {"executors": ["pod"], "completed_executors": ["b"]}
    (framework,) = document["get_frameworks"]["frameworks"]
    assert framework["framework_info"]["id"] == {"value": "mesos-cni"}


def test_listings_have_what_has_not_ended_and_nested_ones_on_demand() -> None:
    found = [container("web"), container("web.in"), ended("old")]
    counters = {"web": {"net_rx_bytes": 1}}
    plain = encode_containers(found, counters, 5.0, nested=False)
    messages = encode_get_containers(found, counters, 5.0, nested=True)["containers"]

    assert plain == [
        {
            "framework_id": "mesos-cni",
            "executor_id": "web",
            "executor_name": "web",
            "source": "web",
            "container_id": "web",
            "status": {
                "container_id": {"value": "web"},
                "network_infos": [encode_network_info(NETWORK)],
                "executor_pid": 7,
            },
            "statistics": {"timestamp": 5.0, "net_rx_bytes": 1},
        }
    ]
    assert [each["container_id"] for each in messages] == [
        {"value": "web"},
        {"value": "in", "parent": {"value": "web"}},
    ]
    assert messages[1]["resource_statistics"] == {"timestamp": 5.0}
