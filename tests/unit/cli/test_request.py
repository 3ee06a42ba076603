"""Which container the flags of `run` mean."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mesos_cni_port_mapper.cli.request import (
    Request,
    parse_label,
    parse_networks,
    parse_port,
    parse_volume,
    plan_run,
    with_extras,
)
from mesos_cni_port_mapper.harness.errors import UsageError
from mesos_cni_port_mapper.harness.spec import Spec, Volume

TASK = {"name": "t", "task_id": {"value": "t"}, "command": {"value": "true"}}


def planned(**flags: Any) -> Spec:
    (spec,) = plan_run(Request(**flags))
    return spec


def test_every_flag_has_its_place() -> None:
    spec = planned(
        name="web",
        command_line="echo",
        env='{"A": "b"}',
        networks="one,,two",
        rootfs="/r",
        hostname="h",
        ports=("8080:80", "53:5353/UDP"),
        labels=("a=b", "c"),
        volumes=("/x:/y:ro",),
        user="u",
        workdir="/w",
        tty=True,
    )

    first = {
        "name": "one",
        "port_mappings": [
            {"host_port": 8080, "container_port": 80},
            {"host_port": 53, "container_port": 5353, "protocol": "UDP"},
        ],
        "labels": {"labels": [{"key": "a", "value": "b"}, {"key": "c"}]},
    }
    assert spec == Spec(
        container_id="web",
        name="web",
        program="/bin/sh",
        argv=("sh", "-c", "echo"),
        environment={"A": "b"},
        networks=(first, {"name": "two"}),
        hostname="h",
        rootfs="/r",
        volumes=(Volume(host_path="/x", container_path="/y", read_only=True),),
        user="u",
        working_directory="/w",
        tty=True,
    )


@pytest.mark.parametrize(
    ("flags", "program", "argv"),
    [
        ({"command_line": "a b"}, "/bin/sh", ("sh", "-c", "a b")),
        ({"command_line": "/a", "shell": False}, "/a", ("/a",)),
        ({"command_line": "/a", "shell": False, "arguments": ("b",)}, "/a", ("/a", "b")),
        ({"arguments": ("ls", "-l")}, "ls", ("ls", "-l")),
    ],
)
def test_the_command_is_a_line_or_a_program(
    flags: dict[str, Any], program: str, argv: tuple[str, ...]
) -> None:
    spec = planned(**flags)
    assert (spec.program, tuple(spec.argv)) == (program, argv)


def test_a_name_is_made_up_and_never_twice_the_same() -> None:
    names = {planned(command_line="x").container_id for _ in range(50)}
    assert len(names) == 50


def test_a_task_takes_ports_and_labels_for_its_first_named_network() -> None:
    infos = [{}, {"name": "net", "port_mappings": [{"host_port": 1, "container_port": 2}]}]
    task = {**TASK, "container": {"network_infos": infos}}

    spec = planned(task=json.dumps(task), ports=("3:4",))

    assert spec.networks[0] == {}
    ports = [mapping["host_port"] for mapping in spec.networks[1]["port_mappings"]]
    assert ports == [1, 3]


def test_a_group_is_a_parent_with_the_networks_and_nested_tasks() -> None:
    text = json.dumps({"tasks": [TASK, {**TASK, "task_id": {"value": "u"}}]})
    parent, *tasks = plan_run(
        Request(name="pod", task_group=text, networks="net", ports=("1:2",), user="web")
    )

    assert (parent.container_id, parent.program, len(parent.networks)) == ("pod", None, 1)
    assert [(task.container_id, task.parent) for task in tasks] == [
        ("pod.t", "pod"),
        ("pod.u", "pod"),
    ]
    assert [task.networks for task in tasks] == [(), ()]
    assert [task.user for task in (parent, *tasks)] == [None, "web", "web"]


@pytest.mark.parametrize(
    "text", ["80", "80:", ":80", "a:b", "0:1", "1:65536", "1:2/", "1:2/x", "1:2:3"]
)
def test_a_port_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--port: "):
        parse_port(text)


def test_a_label_may_have_any_value_or_none() -> None:
    assert parse_label("a=b=c") == {"key": "a", "value": "b=c"}
    assert parse_label("a=") == {"key": "a", "value": ""}
    assert parse_label("a") == {"key": "a"}


@pytest.mark.parametrize("text", ["", "/a", "a:/b", "/a:b", "/a:/b:x", "/a:/b:ro:x", "/a:/../b"])
def test_a_volume_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--volume: "):
        parse_volume(text)


@pytest.mark.parametrize(
    ("text", "names"), [(None, []), ("", []), (",", []), ("a", ["a"]), ("a,,b,", ["a", "b"])]
)
def test_empty_network_names_mean_nothing(text: str | None, names: list[str]) -> None:
    assert [network["name"] for network in parse_networks(text)] == names


def test_a_port_needs_a_network() -> None:
    with pytest.raises(UsageError, match=r"^--port: needs a network"):
        with_extras(({},), ("1:2",), ())


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"task": "{}", "name": "x"}, "--name"),
        ({"task": "{}", "networks": "x"}, "--networks"),
        ({"task": "{}", "arguments": ("x",)}, "--arguments"),
        ({"task_group": "{}", "command_line": "x"}, "--command"),
        ({"task_group": "{}", "tty": True}, "--tty"),
        ({"task_group": "{}", "task": "{}"}, "--task_group"),
        ({}, "--command"),
        ({"command_line": ""}, "--command"),
        ({"command_line": "x", "arguments": ("y",)}, "--command"),
        ({"command_line": "a\0"}, "--command"),
    ],
)
def test_flags_that_exclude_each_other_are_named(flags: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=f"^{named}: "):
        plan_run(Request(**flags))


def test_documents_come_from_files_too(tmp_path: Path) -> None:
    file = tmp_path / "env.json"
    file.write_text('{"A": "b"}')
    request = Request(command_line="x")

    for text in (str(file), f"file://{file}"):
        (spec,) = plan_run(replace(request, env=text))
        assert spec.environment == {"A": "b"}
