"""Calls of the operator API, good and bad."""

import json
import signal
from typing import Any

import pytest

from mesos_cni_port_mapper.harness.agent.calls import (
    GetContainers,
    GetState,
    KillContainer,
    LaunchContainer,
    RemoveContainer,
    WaitContainer,
    decode_call,
)
from mesos_cni_port_mapper.harness.errors import UsageError
from mesos_cni_port_mapper.harness.spec import Spec, shell

NAMED = {"container_id": {"value": "web"}}


def call(kind: str, **fields: Any) -> bytes:
    return json.dumps({"type": kind, kind.lower(): fields}).encode()


def launch(**fields: Any) -> bytes:
    return call("LAUNCH_CONTAINER", **{**NAMED, "command": {"value": "true"}, **fields})


def test_a_launch_is_a_specification() -> None:
    program, argv = shell("exit 3")
    networks = [{"name": "net", "port_mappings": [{"host_port": 1, "container_port": 2}]}]

    assert decode_call(
        launch(
            container_id={"value": "b", "parent": {"value": "a"}},
            command={
                "value": "exit 3",
                "environment": {"variables": [{"name": "A", "value": "b"}]},
                "user": "daemon",
            },
            container={"type": "MESOS", "network_infos": networks, "hostname": "h"},
            resources=[{"name": "cpus"}],
        )
    ) == LaunchContainer(
        Spec(
            container_id="a.b",
            name="a.b",
            program=program,
            argv=argv,
            environment={"A": "b"},
            user="daemon",
            networks=tuple(networks),
            hostname="h",
        )
    )


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (call("KILL_CONTAINER", **NAMED), KillContainer("web", signal.SIGKILL)),
        (call("KILL_CONTAINER", **NAMED, signal=15), KillContainer("web", signal.SIGTERM)),
        (call("WAIT_CONTAINER", **NAMED), WaitContainer("web")),
        (call("REMOVE_CONTAINER", **NAMED), RemoveContainer("web")),
        (call("GET_CONTAINERS"), GetContainers(nested=False)),
        (b'{"type": "GET_CONTAINERS"}', GetContainers(nested=False)),
        (call("GET_CONTAINERS", show_nested=True), GetContainers(nested=True)),
        (b'{"type": "GET_STATE"}', GetState()),
    ],
)
def test_other_calls_are_values(body: bytes, wanted: object) -> None:
    assert decode_call(body) == wanted


DEEP = {"value": "a", "parent": {"value": "b", "parent": {"value": 1}}}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body is not JSON: "),
        (b"\xff", "the body is not JSON: "),
        (b"[" * 100_000, "the body is not JSON: "),
        (b"[]", "the body must be an object"),
        (b"{}", "type: is missing"),
        (b'{"type": 1}', "type: must be a string"),
        (b'{"type": "LAUNCH"}', "type: 'LAUNCH' is no call"),
        (b'{"type": "WAIT_CONTAINER"}', "wait_container: is missing"),
        (b'{"type": "WAIT_CONTAINER", "wait_container": 1}', "wait_container: must be an object"),
        (call("WAIT_CONTAINER"), "wait_container.container_id: is missing"),
        (
            call("WAIT_CONTAINER", container_id={"value": "../x"}),
            "wait_container.container_id.value: has a dot",
        ),
        (
            call("WAIT_CONTAINER", container_id={"value": "a/b"}),
            "wait_container.container_id.value: a container's ID",
        ),
        (call("WAIT_CONTAINER", container_id={"value": "a" * 300}), "wait_container.container_id"),
        (call("WAIT_CONTAINER", container_id={"value": ""}), "wait_container.container_id"),
        (
            call("WAIT_CONTAINER", container_id=DEEP),
            "wait_container.container_id.parent.parent.value: must be a string",
        ),
        (call("KILL_CONTAINER", **NAMED, signal=0), "kill_container.signal: "),
        (call("KILL_CONTAINER", **NAMED, signal="TERM"), "kill_container.signal: "),
        (call("KILL_CONTAINER", **NAMED, signal=32), "kill_container.signal: there is no"),
        (call("GET_CONTAINERS", show_nested=1), "get_containers.show_nested: must be true or"),
        (launch(command=None), "launch_container.command: is missing"),
        (launch(command=[]), "launch_container.command: must be an object"),
        (launch(command={}), "launch_container.command.value: is missing"),
        (launch(command={"value": ""}), "launch_container.command.value: "),
        (launch(container=1), "launch_container.container: must be an object"),
        (launch(container={"type": "DOCKER"}), "launch_container.container.type: "),
        (
            launch(container={"network_infos": [{"name": "a"}, 1]}),
            "launch_container.container.network_infos[1]: must be an object",
        ),
        (
            launch(container={"network_infos": [{"name": "a", "port_mappings": [{}]}]}),
            "launch_container.container.network_infos[0].port_mappings[0].host_port: is missing",
        ),
        (launch(container={"hostname": "a b"}), "launch_container.container.hostname: "),
        (
            launch(container={"volumes": [{"host_path": "x", "container_path": "/"}]}),
            "launch_container.container.volumes[0].host_path: ",
        ),
    ],
)
def test_a_bad_call_is_refused_by_the_name_of_the_field(body: bytes, words: str) -> None:
    with pytest.raises(UsageError) as failure:
        decode_call(body)

    assert str(failure.value).startswith(words)
    assert "\n" not in str(failure.value)
