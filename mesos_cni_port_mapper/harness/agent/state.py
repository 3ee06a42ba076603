"""The documents of ``/state`` and of the v1 call GET_STATE, made from what is known. All pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mesos_cni_port_mapper.harness.agent.tasks import (
    FRAMEWORK,
    NO_RESOURCES,
    encode_container_id,
    encode_container_info,
    encode_history,
    encode_status,
    group,
    is_ended,
    is_holder,
    root_of,
    split,
    task_state,
)
from mesos_cni_port_mapper.harness.containers import Container


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentInfo:
    """What an agent says of itself."""

    agent_id: str
    hostname: str
    version: str
    pid: str
    start_time: float
    directory: str
    flags: Mapping[str, str]
    resources: Mapping[str, float]


def encode_state(agent: AgentInfo, found: Sequence[Container]) -> dict[str, Any]:
    """Return the ``state`` of an agent, as tools that look for tasks and addresses know it."""
    executors: list[dict[str, Any]] = []
    completed: list[dict[str, Any]] = []
    for name, members in group(found).items():
        ended = all(is_ended(member) for member in members)
        (completed if ended else executors).append(_executor(agent, name, members))
    framework = {
        "id": FRAMEWORK,
        "name": FRAMEWORK,
        "user": "root",
        "failover_timeout": 0.0,
        "checkpoint": True,
        "hostname": agent.hostname,
        "roles": ["*"],
        "role": "*",
        "executors": executors,
        "completed_executors": completed,
    }
    return {
        "version": agent.version,
        "start_time": agent.start_time,
        "id": agent.agent_id,
        "pid": agent.pid,
        "hostname": agent.hostname,
        "resources": dict(agent.resources),
        "attributes": {},
        "flags": dict(agent.flags),
        # A framework with nothing that goes on is a completed one, as in Mesos.
        "frameworks": [framework] if executors else [],
        "completed_frameworks": [framework] if completed and not executors else [],
    }


def encode_get_state(agent: AgentInfo, found: Sequence[Container]) -> dict[str, Any]:
    """Return the ``get_state`` of the v1 operator API: the messages, each kind in a list."""
    live, completed = split(found)
    groups = group(found).items()
    executors = [_executor_message(name, members) for name, members in groups]
    ended = [all(is_ended(member) for member in members) for _, members in groups]
    pairs = list(zip(executors, ended, strict=True))
    return {
        "get_tasks": {
            "launched_tasks": [_task_message(agent, each) for each in live],
            "completed_tasks": [_task_message(agent, each) for each in completed],
        },
        "get_executors": {
            "executors": [each for each, is_over in pairs if not is_over],
            "completed_executors": [each for each, is_over in pairs if is_over],
        },
        "get_frameworks": {
            "frameworks": [{"framework_info": _framework_message(agent)}] if found else [],
            "completed_frameworks": [],
        },
    }


def _executor(agent: AgentInfo, name: str, members: Sequence[Container]) -> dict[str, Any]:
    live, completed = split(members)
    document: dict[str, Any] = {
        "id": name,
        "name": _name_of(name, members),
        "source": name,
        "container": name,
        "directory": f"{agent.directory}/{name}",
        "resources": NO_RESOURCES,
        "tasks": [_task(agent, each) for each in live],
        "queued_tasks": [],
        "completed_tasks": [_task(agent, each) for each in completed],
    }
    if _has_holder(members):
        document["type"] = "DEFAULT"
    return document


def _task(agent: AgentInfo, container: Container) -> dict[str, Any]:
    return {
        "id": container.container_id,
        "name": container.spec.name,
        "framework_id": FRAMEWORK,
        "executor_id": root_of(container.container_id),
        "slave_id": agent.agent_id,
        "state": task_state(container),
        "resources": NO_RESOURCES,
        "role": "*",
        "statuses": [
            {
                "state": state,
                "timestamp": moment,
                "container_status": _flat_status(container, state),
            }
            for state, moment in encode_history(container)
        ],
        "container": encode_container_info(container.spec),
    }


def _flat_status(container: Container, state: str) -> dict[str, Any]:
    document: dict[str, Any] = {"container_id": encode_container_id(container.container_id)}
    if container.network_infos and state != "TASK_STARTING":
        document["network_infos"] = [dict(info) for info in container.network_infos]
    return document


def _task_message(agent: AgentInfo, container: Container) -> dict[str, Any]:
    task_id, agent_id = {"value": container.container_id}, {"value": agent.agent_id}
    return {
        "name": container.spec.name,
        "task_id": task_id,
        "framework_id": {"value": FRAMEWORK},
        "executor_id": {"value": root_of(container.container_id)},
        "agent_id": agent_id,
        "state": task_state(container),
        "resources": [],
        "statuses": [
            {
                "task_id": task_id,
                "agent_id": agent_id,
                "state": state,
                "source": "SOURCE_AGENT",
                "timestamp": moment,
                "container_status": (
                    {"container_id": encode_container_id(container.container_id)}
                    if state == "TASK_STARTING"
                    else encode_status(container)
                ),
            }
            for state, moment in encode_history(container)
        ],
        "container": encode_container_info(container.spec),
    }


def _executor_message(name: str, members: Sequence[Container]) -> dict[str, Any]:
    info: dict[str, Any] = {
        "executor_id": {"value": name},
        "framework_id": {"value": FRAMEWORK},
        "name": _name_of(name, members),
        "source": name,
        "type": "DEFAULT" if _has_holder(members) else "CUSTOM",
    }
    return {"executor_info": info}


def _framework_message(agent: AgentInfo) -> dict[str, Any]:
    return {
        "id": {"value": FRAMEWORK},
        "name": FRAMEWORK,
        "user": "root",
        "hostname": agent.hostname,
        "checkpoint": True,
        "roles": ["*"],
    }


def _name_of(container_id: str, members: Iterable[Container]) -> str:
    return next((each.spec.name for each in members if each.container_id == container_id), "")


def _has_holder(members: Iterable[Container]) -> bool:
    return any(is_holder(each) for each in members)
