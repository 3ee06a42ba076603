"""Bad requests to the agent: each is answered in one line, and leaves nothing."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.netns.agents import Agent, identity
from tests.netns.containers import Tool
from tests.support.host import Host

DEEP: Any = json.loads("[" * 500 + "]" * 500)
NAMED = {"container_id": identity("web"), "command": {"value": "true"}}


@pytest.fixture
def agent(host: Host) -> Iterator[Agent]:
    tool = Tool(host)
    tool.network("net")
    made = Agent(tool).ready()
    yield made
    assert made.end() == (0, "mesos-cni agent: leaving; containers keep running\n")
    tool.assert_nothing_left()


def launch(**fields: Any) -> bytes:
    call = {"type": "LAUNCH_CONTAINER", "launch_container": {**NAMED, **fields}}
    return json.dumps(call).encode()


def on(*networks: object) -> dict[str, Any]:
    return {"container": {"type": "MESOS", "network_infos": networks}}


def test_bad_bodies_are_answered_in_a_line_that_names_the_field(agent: Agent) -> None:
    wanted = {
        b"": (400, "the body is not JSON"),
        b"\x00\xff": (400, "the body is not JSON"),
        b"[" * 50000: (400, "the body is not JSON"),
        b"[1]": (400, "the body must be an object"),
        b'{"type": "SUBSCRIBE"}': (400, "type: "),
        launch(container_id=None): (400, "launch_container.container_id: is missing"),
        launch(container_id={"value": "../x"}): (400, "launch_container.container_id.value: "),
        launch(container_id={"value": "x" * 300}): (400, "launch_container.container_id.value: "),
        launch(container_id=identity("gone.in")): (404, "Container 'gone'"),
        launch(command={"value": 1}): (400, "launch_container.command.value: "),
        launch(**on(1)): (400, "launch_container.container.network_infos[0]: "),
        launch(**on({"name": "../x"})): (500, "the network name '../x' begins with a dot"),
        launch(**on({"name": "net"}, {"name": "net"})): (500, "twice"),
        launch(**on({"name": "other"})): (500, "'other': known networks: net"),
        launch(**on({"name": "net", "x": float("nan")})): (400, "the body is not JSON: NaN"),
        launch(**on({"name": "net", "x": DEEP})): (400, "the body is not JSON: nested too deeply"),
        launch(command={"value": "\ud800"}): (400, "launch_container.command.value: '\\ud800' has"),
        launch(command={"value": "/no/such", "shell": False}): (500, "cannot run /no/such"),
        launch(
            container={"volumes": [{"host_path": "/no", "container_path": "/x", "mode": "RW"}]}
        ): (400, "host_path /no: no such file"),
    }
    answers = {body: agent.post(body) for body in wanted}

    assert {body: answer.status for body, answer in answers.items()} == {
        body: status for body, (status, _) in wanted.items()
    }
    for body, (_, words) in wanted.items():
        answer = answers[body]
        assert words in answer.text
        assert answer.text.count("\n") == 1
        assert "Traceback" not in answer.text
        assert answer.headers["Content-Type"].startswith("text/plain")
    assert agent.get("/containers").document == []
    assert agent.states() == {}


@pytest.mark.parametrize("kind", ["KILL_CONTAINER", "WAIT_CONTAINER", "REMOVE_CONTAINER"])
def test_a_container_that_is_not_there_is_not_found(agent: Agent, kind: str) -> None:
    answer = agent.call(kind, container_id=identity("web"))

    assert (answer.status, answer.text) == (
        404,
        "Container 'web' cannot be found (or is already killed)\n",
    )


def test_a_body_too_large_is_refused_and_the_agent_goes_on(agent: Agent) -> None:
    assert agent.post(b" " * (1 << 20) + b"{}").status == 413
    assert agent.get("/state").status == 200
