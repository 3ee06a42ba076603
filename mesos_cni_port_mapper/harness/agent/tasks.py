"""What Mesos would say of a container as a task: its states, its IDs, its networks. All pure."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping
from typing import Any

from mesos_cni_port_mapper.harness import containers
from mesos_cni_port_mapper.harness.containers import Container
from mesos_cni_port_mapper.harness.spec import Spec

FRAMEWORK = "mesos-cni"
"""The ID and name of the one framework there is; a Mesos agent would have many."""

NO_RESOURCES = {"cpus": 0.0, "disk": 0.0, "gpus": 0.0, "mem": 0.0}
"""What a task is given of each: nothing is counted here."""

_STATES = {
    containers.STARTING: "TASK_STARTING",
    containers.RUNNING: "TASK_RUNNING",
    # Terminal it is not yet, but nobody should be sent there any more.
    containers.STOPPING: "TASK_KILLING",
    containers.LOST: "TASK_LOST",
}
_BY_SIGNAL = 128
_ENDED_BY_REQUEST = (_BY_SIGNAL + signal.SIGTERM, _BY_SIGNAL + signal.SIGKILL)


def task_state(container: Container) -> str:
    """Return the TaskState for what a container is doing, or for how it ended."""
    ending = container.ending
    if ending is None:
        return _STATES[container.state]
    if ending.status is None:
        return "TASK_LOST"
    if ending.status == 0:
        return "TASK_FINISHED"
    return "TASK_KILLED" if ending.status in _ENDED_BY_REQUEST else "TASK_FAILED"


def wait_status(status: int, number: int | None) -> int:
    """Return an exit status, or the signal there was instead, as wait(2) does: Mesos' form."""
    return status << 8 if number is None else number


def root_of(container_id: str) -> str:
    """Return the ID of the outermost container."""
    return container_id.partition(".")[0]


def encode_container_id(container_id: str) -> dict[str, Any]:
    """Return an ID as the ContainerID message."""
    parent, _, value = container_id.rpartition(".")
    document: dict[str, Any] = {"value": value}
    return {**document, "parent": encode_container_id(parent)} if parent else document


def encode_history(container: Container) -> list[tuple[str, float]]:
    """Return the states that a container has been in, each with the time since when."""
    history = [("TASK_STARTING", container.created)]
    if container.started is not None:
        history.append(("TASK_RUNNING", container.started))
    if container.ending is not None:
        history.append((task_state(container), container.ending.finished))
    return history


def encode_network_info(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return a network of an agent's ``state`` as the NetworkInfo message: its labels nested."""
    document = dict(info)
    if "labels" in document:
        document["labels"] = {"labels": document["labels"]}
    return document


def encode_status(container: Container) -> dict[str, Any]:
    """Return the ContainerStatus message."""
    document: dict[str, Any] = {"container_id": encode_container_id(container.container_id)}
    if container.network_infos:
        document["network_infos"] = [encode_network_info(info) for info in container.network_infos]
    if container.pid is not None:
        document["executor_pid"] = container.pid
    return document


def encode_container_info(spec: Spec) -> dict[str, Any]:
    """Return the ContainerInfo message that was asked for."""
    document = _encode_docker(spec) if spec.docker else _encode_mesos(spec)
    if spec.hostname is not None:
        document["hostname"] = spec.hostname
    if spec.volumes:
        document["volumes"] = [
            {
                "container_path": volume.container_path,
                "host_path": volume.host_path,
                "mode": "RO" if volume.read_only else "RW",
            }
            for volume in spec.volumes
        ]
    if spec.tty:
        document["tty_info"] = {}
    return document


def _encode_mesos(spec: Spec) -> dict[str, Any]:
    document: dict[str, Any] = {"type": "MESOS", "mesos": {}}
    if spec.networks:
        document["network_infos"] = [dict(info) for info in spec.networks]
    return document


def _encode_docker(spec: Spec) -> dict[str, Any]:
    """Return what Mesos asks of Docker: ports beside the image, and a name for USER alone."""
    asked = spec.docker
    if asked is None:
        return {}
    info: dict[str, Any] = {"image": asked.image, "network": asked.network.upper()}
    mappings = [each for network in spec.networks for each in network.get("port_mappings", ())]
    if mappings:
        info["port_mappings"] = mappings
    document: dict[str, Any] = {"type": "DOCKER", "docker": info}
    if asked.network == "user":
        document["network_infos"] = [{"name": network["name"]} for network in spec.networks]
    return document


def is_ended(container: Container) -> bool:
    """Tell whether a container counts as completed."""
    return container.ending is not None


def is_holder(container: Container) -> bool:
    """Tell whether a container runs nothing and only holds namespaces for its nested ones."""
    return container.spec.program is None and container.spec.docker is None


def split(found: Iterable[Container]) -> tuple[list[Container], list[Container]]:
    """Return the tasks among containers: those that go on, and the completed ones."""
    live: list[Container] = []
    completed: list[Container] = []
    for container in found:
        if not is_holder(container):
            (completed if is_ended(container) else live).append(container)
    return live, completed


def group(found: Iterable[Container]) -> dict[str, list[Container]]:
    """Return containers by their outermost one, which Mesos calls the executor's."""
    groups: dict[str, list[Container]] = {}
    for container in found:
        groups.setdefault(root_of(container.container_id), []).append(container)
    return groups
