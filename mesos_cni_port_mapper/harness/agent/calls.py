"""Calls of the v1 operator API: their JSON, read into values. Nothing is done here."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.cni.fields import Section, refuse, shown
from mesos_cni_port_mapper.harness.documents import decode_document
from mesos_cni_port_mapper.harness.errors import UsageError
from mesos_cni_port_mapper.harness.isolation import request_of
from mesos_cni_port_mapper.harness.spec import Spec, check_container_id
from mesos_cni_port_mapper.harness.task import parse_task
from mesos_cni_port_mapper.linux import signals


@dataclass(frozen=True, slots=True)
class LaunchContainer:
    """Launch a container."""

    spec: Spec


@dataclass(frozen=True, slots=True)
class KillContainer:
    """Send a signal to a container."""

    container_id: str
    number: int


@dataclass(frozen=True, slots=True)
class WaitContainer:
    """Answer when a container has ended."""

    container_id: str


@dataclass(frozen=True, slots=True)
class RemoveContainer:
    """Forget a container that has ended."""

    container_id: str


@dataclass(frozen=True, slots=True)
class GetContainers:
    """List containers."""

    nested: bool


@dataclass(frozen=True, slots=True)
class GetState:
    """Tell everything."""


Call = LaunchContainer | KillContainer | WaitContainer | RemoveContainer | GetContainers | GetState


def decode_call(data: bytes) -> Call:
    """Read the body of a request; raises ``UsageError`` naming the field that is wrong."""
    try:
        document = decode_document(data)
    except ValueError as error:
        raise UsageError(f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise UsageError(f"the body must be an object, not {shown(document)}")
    try:
        return _call(Section(document))
    except CniError as error:
        raise UsageError(error.msg) from error


def _call(section: Section) -> Call:
    kind = section.string("type")
    decode = _DECODERS.get(kind)
    if decode is None:
        refuse("type", f"{shown(kind)} is no call of this agent")
    return decode(section)


def _launch(call: Section) -> LaunchContainer:
    section = call.section("launch_container")
    container_id = _container_id(section)
    section.section("command")
    task: dict[str, Any] = {
        "name": container_id,
        "command": section.document["command"],
        "container": section.document.get("container"),
    }
    try:
        spec = parse_task(task, section.path)
        request_of(spec, "container.network_infos")
    except UsageError as error:
        # A task is read as a document of its own; here it is part of another.
        raise UsageError(f"{section.path}.{error}") from error
    return LaunchContainer(spec)


def _kill(call: Section) -> KillContainer:
    section = call.section("kill_container")
    if not section.has("signal"):
        return KillContainer(_container_id(section), signal.SIGKILL)
    number = section.integer("signal", 1, signal.NSIG - 1)
    if number not in signals.ALL:
        refuse(section.path_of("signal"), f"there is no signal {number}")
    return KillContainer(_container_id(section), number)


def _container_id(section: Section) -> str:
    """Return the ID that a ContainerID message means; its innermost level stands outermost."""
    levels: list[str] = []
    here: Section | None = section.section("container_id")
    path = here.path_of("value") if here else ""
    while here is not None:
        value = here.string("value")
        if "." in value:
            refuse(here.path_of("value"), f"has a dot in it, {shown(value)}; use parent")
        levels.append(value)
        here = here.section("parent") if here.has("parent") else None
    return check_container_id(".".join(reversed(levels)), path)


def _flag(section: Section, key: str) -> bool:
    value = section.document.get(key)
    if value is not None and not isinstance(value, bool):
        refuse(section.path_of(key), f"must be true or false, not {shown(value)}")
    return value is True


_DECODERS: dict[str, Callable[[Section], Call]] = {
    "LAUNCH_CONTAINER": _launch,
    "KILL_CONTAINER": _kill,
    "WAIT_CONTAINER": lambda call: WaitContainer(_container_id(call.section("wait_container"))),
    "REMOVE_CONTAINER": lambda call: RemoveContainer(
        _container_id(call.section("remove_container"))
    ),
    "GET_CONTAINERS": lambda call: GetContainers(
        _flag(call.optional_section("get_containers"), "show_nested")
    ),
    "GET_STATE": lambda _: GetState(),
}
