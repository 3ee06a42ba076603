"""Mesos' TaskInfo and TaskGroupInfo, in the JSON form that mesos-execute takes.

As for Mesos, unknown fields mean nothing and ``null`` is absent. What would change how a container
runs and is not ours to give (images, secrets, executors, fetching) is refused, not ignored.
"""

from __future__ import annotations

from typing import NoReturn

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.cni.fields import Section, shown
from mesos_cni_port_mapper.harness.errors import UsageError
from mesos_cni_port_mapper.harness.spec import (
    Spec,
    Volume,
    check_container_id,
    check_hostname,
    check_path,
    check_variable,
    objects_of,
    shell,
)


def parse_task(document: object, source: str) -> Spec:
    """Return the container for a TaskInfo; raises ``UsageError`` naming field or source."""
    try:
        return _task(_object(document, source))
    except CniError as error:
        raise UsageError(error.msg) from error


def parse_task_group(document: object, source: str) -> tuple[Spec, ...]:
    """Return the containers for a TaskGroupInfo, each under its task's ID."""
    try:
        section = _object(document, source)
        key = section.path_of("tasks")
        tasks = [
            _task(Section(item, f"{key}[{index}]"))
            for index, item in enumerate(objects_of(section, "tasks"))
        ]
    except CniError as error:
        raise UsageError(error.msg) from error
    if not tasks:
        _refuse(key, "has no task in it")
    seen: dict[str, int] = {}
    for index, task in enumerate(tasks):
        first = seen.setdefault(task.container_id, index)
        if first != index:
            _refuse(f"{key}[{index}]", f"has the ID of {key}[{first}], {task.container_id!r}")
        if task.parent:
            _refuse(f"{key}[{index}]", "cannot be nested: its ID has a dot")
    return tuple(tasks)


def _object(document: object, source: str) -> Section:
    if not isinstance(document, dict):
        _refuse(source, f"must be an object, not {shown(document)}")
    return Section(document)


def _task(section: Section) -> Spec:
    if section.has("executor"):
        _refuse(section.path_of("executor"), "cannot be chosen; a container's init runs the task")
    name = section.string("name")
    if section.has("task_id"):
        identity = section.section("task_id")
        container_id, id_path = identity.string("value"), identity.path_of("value")
    else:
        container_id, id_path = name, section.path_of("name")
    command = section.section("command")
    container = section.optional_section("container")
    program, argv = _command(command)
    _refuse_foreign(container)
    return Spec(
        container_id=check_container_id(container_id, id_path),
        name=name,
        program=program,
        argv=argv,
        environment=_environment(command),
        user=_user(command),
        networks=tuple(objects_of(container, "network_infos")),
        hostname=_hostname(container),
        volumes=_volumes(container),
        tty=_wants_terminal(container),
    )


def _user(command: Section) -> str | None:
    if not command.has("user"):
        return None
    # Without a name there is nobody to run it, and root is nobody's default.
    return command.string("user") or _refuse(command.path_of("user"), "is empty")


def _wants_terminal(container: Section) -> bool:
    container.optional_section("tty_info")
    return container.has("tty_info")


def _command(section: Section) -> tuple[str, tuple[str, ...]]:
    if section.array("uris"):
        _refuse(section.path_of("uris"), "nothing is fetched here; use a volume")
    value = section.string("value")
    arguments = section.strings("arguments")
    in_shell = section.document.get("shell")
    if in_shell is not None and not isinstance(in_shell, bool):
        _refuse(section.path_of("shell"), f"must be true or false, not {shown(in_shell)}")
    if not value:
        _refuse(section.path_of("value"), "cannot be run")
    path = section.path_of("arguments")
    _refuse_zero_byte(section.path_of("value"), value)
    for index, argument in enumerate(arguments):
        _refuse_zero_byte(f"{path}[{index}]", argument)
    # Unset means true. Arguments of a line of shell have no meaning, and Mesos ignores them too.
    if in_shell is not False:
        return shell(value)
    return value, arguments or (value,)


def _environment(command: Section) -> dict[str, str]:
    section = command.optional_section("environment")
    path = section.path_of("variables")
    variables = {}
    for index, item in enumerate(objects_of(section, "variables")):
        variable = Section(item, f"{path}[{index}]")
        kind = variable.string("type", "VALUE")
        if kind != "VALUE":
            _refuse(variable.path_of("type"), f"{shown(kind)} is not supported, only VALUE")
        name, value = variable.string("name"), variable.string("value")
        _refuse_zero_byte(variable.path_of("value"), value)
        check_variable(name, value, variable.path_of("name"))
        variables[name] = value
    return variables


def _refuse_foreign(container: Section) -> None:
    kind = container.string("type", "MESOS")
    if kind != "MESOS":
        _refuse(container.path_of("type"), f"{shown(kind)} is not supported, only MESOS")
    for key in ("docker", "rlimit_info", "linux_info"):
        if container.has(key):
            _refuse(container.path_of(key), "is not supported")
    mesos = container.optional_section("mesos")
    if mesos.has("image"):
        _refuse(mesos.path_of("image"), "images are not supported; use --rootfs with a directory")


def _hostname(container: Section) -> str | None:
    if not container.has("hostname"):
        return None
    return check_hostname(container.string("hostname"), container.path_of("hostname"))


def _volumes(container: Section) -> tuple[Volume, ...]:
    path = container.path_of("volumes")
    return tuple(
        _volume(Section(item, f"{path}[{index}]"))
        for index, item in enumerate(objects_of(container, "volumes"))
    )


def _volume(section: Section) -> Volume:
    for key in ("image", "source"):
        if section.has(key):
            _refuse(section.path_of(key), "is not supported, only host_path")
    mode = section.string("mode", "RW")
    if mode not in ("RW", "RO"):
        _refuse(section.path_of("mode"), f"must be RW or RO, not {shown(mode)}")
    return Volume(
        host_path=check_path(section.string("host_path"), section.path_of("host_path")),
        container_path=check_path(
            section.string("container_path"), section.path_of("container_path")
        ),
        read_only=mode == "RO",
    )


def _refuse_zero_byte(path: str, text: str) -> None:
    if "\0" in text:
        _refuse(path, "has a zero byte in it")


def _refuse(path: str, complaint: str) -> NoReturn:
    raise UsageError(f"{path}: {complaint}")
