"""Decide from the flags of `run` which containers are meant. Nothing is launched here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mesos_cni_port_mapper.cli.flags import json_or_file
from mesos_cni_port_mapper.cni.fields import shown
from mesos_cni_port_mapper.harness.errors import UsageError
from mesos_cni_port_mapper.harness.isolation import request_of
from mesos_cni_port_mapper.harness.spec import (
    Spec,
    Volume,
    check_container_id,
    check_hostname,
    check_path,
    check_variable,
    shell,
)
from mesos_cni_port_mapper.harness.task import parse_task, parse_task_group

_HIGHEST_PORT, _MOST_DIGITS = 65535, 5
_PROTOCOLS = ("tcp", "udp", "sctp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The flags of `run`, as they were given."""

    name: str | None = None
    command_line: str | None = None
    shell: bool = True
    env: str | None = None
    networks: str | None = None
    rootfs: str | None = None
    hostname: str | None = None
    task: str | None = None
    task_group: str | None = None
    ports: Sequence[str] = ()
    labels: Sequence[str] = ()
    volumes: Sequence[str] = ()
    user: str | None = None
    workdir: str | None = None
    tty: bool = False
    arguments: Sequence[str] = ()
    docker_image: str | None = None
    network: str | None = None

    def texts(self) -> dict[str, str | None]:
        """Return the flags that mean nothing when they are empty."""
        names = ("env", "rootfs", "task", "task_group", "user", "workdir", "docker_image")
        return {name: getattr(self, name) for name in names}


def plan_run(request: Request) -> tuple[Spec, ...]:
    """Return the container that is meant; of a task group, first the one that holds the others."""
    refuse_empty(**request.texts())
    _refuse_docker(request)
    if request.task is not None and request.task_group is not None:
        raise UsageError("--task_group: cannot be given together with --task")
    if request.task_group is not None:
        return _group(request)
    if request.task is not None:
        return (_checked(_of_task(request), "container.network_infos"),)
    return (_checked(_of_flags(request), "--networks"),)


def _of_flags(request: Request) -> Spec:
    name = made_up_name() if request.name is None else request.name
    program, argv = parse_command(request)
    return _adorned(
        request,
        Spec(
            container_id=check_container_id(name, "--name"),
            name=name,
            program=program,
            argv=argv,
            environment=parse_environment(request.env),
            networks=parse_networks(request.networks),
            hostname=parse_hostname(request),
        ),
    )


def _of_task(request: Request) -> Spec:
    _refuse(request, "--task", "name", "command_line", "env", "networks", "hostname", "arguments")
    task = parse_task(json_or_file(request.task or "", "--task"), "--task")
    return _adorned(request, _checked(task, "container.network_infos"))


def _group(request: Request) -> tuple[Spec, ...]:
    """Return the containers of a group: the parent has the networks, as Mesos' executor has."""
    _refuse(request, "--task_group", "command_line", "env", "arguments", "tty", "rootfs", "workdir")
    document = json_or_file(request.task_group or "", "--task_group")
    tasks = parse_task_group(document, "--task_group")
    name = f"group-{os.urandom(4).hex()}" if request.name is None else request.name
    parent = _adorned(
        replace(request, user=None, volumes=()),
        Spec(
            container_id=check_container_id(name, "--name"),
            name=name,
            networks=parse_networks(request.networks),
            hostname=parse_hostname(request),
        ),
    )
    children = [
        _adorned(
            replace(request, ports=(), labels=()),
            replace(task, container_id=f"{parent.container_id}.{task.container_id}"),
        )
        for task in tasks
    ]
    return (
        _checked(parent, "--networks"),
        *(
            _checked(child, f"tasks[{index}].container.network_infos")
            for index, child in enumerate(children)
        ),
    )


def _checked(spec: Spec, path: str) -> Spec:
    """Have the isolator look at the networks, so that a complaint names the field it is about."""
    check_container_id(spec.container_id, "--name")
    request_of(spec, path)
    return spec


def refuse_empty(**flags: str | None) -> None:
    """Refuse flags with nothing in them, as of a variable of a script that is not set."""
    for name, given in flags.items():
        if given == "":
            raise UsageError(f"--{name}: is empty")


def _refuse_docker(request: Request) -> None:
    if request.docker_image is not None:
        other = "use --containerizer docker, or --rootfs with a directory"
        raise UsageError(f"--docker_image: images are Docker's; {other}")
    if request.network is not None:
        other = "CNI networks are named by --networks"
        raise UsageError(f"--network: needs --containerizer docker; {other}")


def _refuse(request: Request, flag: str, *names: str) -> None:
    for name in names:
        if getattr(request, name):
            other = {"command_line": "command", "arguments": "arguments"}.get(name, name)
            raise UsageError(f"--{other}: cannot be given together with {flag}")


def _adorned(request: Request, spec: Spec) -> Spec:
    """Add what counts for tasks as well."""
    return replace(
        spec,
        rootfs=os.path.abspath(request.rootfs) if request.rootfs else spec.rootfs,
        networks=with_extras(spec.networks, request.ports, request.labels),
        volumes=(*spec.volumes, *(parse_volume(text) for text in request.volumes)),
        user=request.user or spec.user,
        working_directory=(
            check_path(request.workdir, "--workdir") if request.workdir else spec.working_directory
        ),
        tty=spec.tty or request.tty,
    )


def made_up_name() -> str:
    """Return an ID for a container that was given none."""
    return f"c-{os.urandom(4).hex()}"


def parse_command(request: Request) -> tuple[str, tuple[str, ...]]:
    """Read ``--command``, its shell and the arguments."""
    line, arguments = request.command_line, tuple(request.arguments)
    if "\0" in "".join((line or "", *arguments)):
        raise UsageError("--command: has a zero byte in it")
    if line is None:
        if not arguments:
            raise UsageError("--command: is missing, and so are arguments")
        return arguments[0], arguments
    if not line:
        raise UsageError("--command: is empty")
    if request.shell:
        if arguments:
            raise UsageError("--command: arguments besides it need --no-shell")
        return shell(line)
    return line, (line, *arguments)


def parse_hostname(request: Request) -> str | None:
    """Read ``--hostname``."""
    if request.hostname is None:
        return None
    return check_hostname(request.hostname, "--hostname")


def parse_environment(text: str | None) -> dict[str, str]:
    """Read ``--env``."""
    if text is None:
        return {}
    document = json_or_file(text, "--env")
    if not isinstance(document, dict):
        raise UsageError(f"--env: must be an object, not {shown(document)}")
    for name, value in document.items():
        if not isinstance(value, str):
            raise UsageError(f"--env: {name}: must be a string, not {shown(value)}")
        check_variable(name, value, "--env")
    return document


def parse_networks(text: str | None) -> tuple[dict[str, Any], ...]:
    """Read ``--networks``: each name a network, and empty ones none, as mesos-execute does."""
    return tuple({"name": name} for name in (text or "").split(",") if name)


def parse_port(text: str) -> dict[str, Any]:
    """Read ``8080:80/udp`` as a port mapping."""
    ports, slash, protocol = text.partition("/")
    host, colon, container = ports.partition(":")
    if not colon:
        raise UsageError(f"--port: must be HOST:CONTAINER or HOST:CONTAINER/udp, not {shown(text)}")
    if slash and protocol.lower() not in _PROTOCOLS:
        raise UsageError(f"--port: {shown(protocol)} is none of {', '.join(_PROTOCOLS)}")
    mapping: dict[str, Any] = {"host_port": _port(host), "container_port": _port(container)}
    return {**mapping, "protocol": protocol} if slash else mapping


def _port(text: str) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    if not (is_number and 1 <= int(text) <= _HIGHEST_PORT):
        raise UsageError(f"--port: a port is from 1 to {_HIGHEST_PORT}, not {shown(text)}")
    return int(text)


def parse_label(text: str) -> dict[str, str]:
    """Read ``key=value``; without ``=`` the label has no value."""
    key, equals, value = text.partition("=")
    if not key:
        raise UsageError(f"--label: must be KEY=VALUE, not {shown(text)}")
    return {"key": key, "value": value} if equals else {"key": key}


def parse_volume(text: str) -> Volume:
    """Read ``/host:/container`` or ``/host:/container:ro``."""
    parts = text.split(":")
    if len(parts) not in (2, 3) or parts[2:] not in ([], ["ro"], ["rw"]):
        raise UsageError(f"--volume: must be HOST_PATH:CONTAINER_PATH[:ro], not {shown(text)}")
    return Volume(
        host_path=check_path(parts[0], "--volume"),
        container_path=check_path(parts[1], "--volume"),
        read_only=parts[2:] == ["ro"],
    )


def with_extras(
    networks: Sequence[Any], ports: Sequence[str], labels: Sequence[str]
) -> tuple[dict[str, Any], ...]:
    """Return the networks with port mappings and labels on the first that has a name."""
    mappings = [parse_port(text) for text in ports]
    words = [parse_label(text) for text in labels]
    result = [dict(network) for network in networks]
    if not mappings and not words:
        return tuple(result)
    first = next((network for network in result if network.get("name")), None)
    if first is None:
        flag = "--port" if mappings else "--label"
        raise UsageError(f"{flag}: needs a network to be given to")
    if mappings:
        first["port_mappings"] = [*(first.get("port_mappings") or ()), *mappings]
    if words:
        given = first.get("labels") or {}
        first["labels"] = {"labels": [*(given.get("labels") or ()), *words]}
    return tuple(result)
