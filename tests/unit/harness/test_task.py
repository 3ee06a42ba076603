"""TaskInfo and TaskGroupInfo, as mesos-execute takes them."""

from typing import Any

import pytest

from mesos_cni_port_mapper.harness.errors import UsageError
from mesos_cni_port_mapper.harness.spec import Spec, Volume
from mesos_cni_port_mapper.harness.task import parse_task, parse_task_group


def info(**more: Any) -> dict[str, Any]:
    return {"name": "web", "task_id": {"value": "web-1"}, "command": {"value": "true"}, **more}


def test_a_task_becomes_a_container() -> None:
    document = info(
        command={
            "value": "echo $A",
            "user": "web",
            "environment": {"variables": [{"name": "A", "value": "b"}, {"name": "C", "value": ""}]},
        },
        container={
            "type": "MESOS",
            "hostname": "h",
            "network_infos": [{"name": "net"}, {}],
            "volumes": [
                {"mode": "RO", "host_path": "/a", "container_path": "/b"},
                {"host_path": "/c", "container_path": "/d"},
            ],
            "tty_info": {},
        },
        resources=[{"anything": "goes"}],
    )

    assert parse_task(document, "--task") == Spec(
        container_id="web-1",
        name="web",
        program="/bin/sh",
        argv=("sh", "-c", "echo $A"),
        environment={"A": "b", "C": ""},
        user="web",
        networks=({"name": "net"}, {}),
        hostname="h",
        volumes=(
            Volume(host_path="/a", container_path="/b", read_only=True),
            Volume(host_path="/c", container_path="/d"),
        ),
        tty=True,
    )


@pytest.mark.parametrize(
    ("command", "program", "argv"),
    [
        ({"value": "a b"}, "/bin/sh", ("sh", "-c", "a b")),
        ({"value": "a b", "shell": True, "arguments": ["x"]}, "/bin/sh", ("sh", "-c", "a b")),
        ({"value": "/a", "shell": None}, "/bin/sh", ("sh", "-c", "/a")),
        ({"value": "/a", "shell": False}, "/a", ("/a",)),
        ({"value": "/a", "shell": False, "arguments": ["b", "c"]}, "/a", ("b", "c")),
    ],
)
def test_a_shell_runs_the_command_unless_told_otherwise(
    command: dict[str, Any], program: str, argv: tuple[str, ...]
) -> None:
    spec = parse_task(info(command=command), "--task")

    assert (spec.program, tuple(spec.argv)) == (program, argv)


def test_a_task_without_an_id_has_its_name() -> None:
    assert parse_task(info(task_id=None), "--task").container_id == "web"


@pytest.mark.parametrize("document", [None, [], "x", 1])
def test_what_is_no_object_is_named_by_where_it_came_from(document: object) -> None:
    with pytest.raises(UsageError, match=r"^--task: must be an object"):
        parse_task(document, "--task")


def test_a_secret_is_refused_and_not_left_out() -> None:
    variables = [{"name": "A", "type": "SECRET", "secret": {}}]
    command = {"value": "x", "environment": {"variables": variables}}

    with pytest.raises(UsageError, match=r"^command\.environment\.variables\[0\]\.type: "):
        parse_task(info(command=command), "--task")


def test_each_task_of_a_group_is_a_container() -> None:
    tasks = [info(task_id={"value": name}) for name in ("a", "b")]

    found = parse_task_group({"tasks": tasks}, "--task_group")

    assert [spec.container_id for spec in found] == ["a", "b"]


@pytest.mark.parametrize(
    ("tasks", "complaint"),
    [
        ([], "^tasks: has no task"),
        ([1], r"^tasks\[0\]: must be an object"),
        ([info(), info()], r"^tasks\[1\]: has the ID of tasks\[0\]"),
        ([info(task_id={"value": "a.b"})], r"^tasks\[0\]: cannot be nested"),
        ([info(), info(command={})], r"^tasks\[1\]\.command\.value: is missing"),
    ],
)
def test_a_task_of_a_group_is_named_by_its_place(tasks: list[Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parse_task_group({"tasks": tasks}, "--task_group")
