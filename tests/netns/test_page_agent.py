"""docs/agent.md: each of its requests is sent, and answered as the page says."""

import configparser
import json
import re
from typing import Any

import pytest

from tests.netns.agents import Agent
from tests.netns.containers import ROOT, Tool
from tests.netns.recipes import Step, matches, parse_blocks, parse_transcript
from tests.support.host import Host

PAGE = (ROOT / "docs/agent.md").read_text(encoding="utf-8")
CONTAINER = json.loads(*parse_blocks(PAGE, "json"))
DEFINITION, *REQUESTS = [
    step
    for block in parse_blocks(PAGE, "console")
    if block.startswith("$ ")
    for step in parse_transcript(block)
]
# Not every machine has curl, which sends a POST where it is given a body.
ASK = re.compile(r"ask http://localhost(/\S+)( --json @- <<EOF\n(.*)\nEOF)?", re.DOTALL)


@pytest.fixture
def tool(host: Host) -> Tool:
    made = Tool(host)
    made.network(CONTAINER["status"]["network_infos"][0]["name"])
    return made


def ask(agent: Agent, step: Step) -> tuple[int, str]:
    """Send what a step sends."""
    asked = ASK.fullmatch(step.command)
    assert asked, step.command
    path, has_body, body = asked.groups()
    assert not has_body or path == "/api/v1"
    answer = agent.post(body.encode()) if has_body else agent.get(path)
    return answer.status, answer.text


def shape(document: Any) -> Any:
    """Return a document with the kinds of its values in their place."""
    if isinstance(document, dict):
        return {key: shape(value) for key, value in document.items()}
    if isinstance(document, list):
        return [shape(value) for value in document]
    return type(document)


def test_every_request_is_answered_as_the_page_says(tool: Tool, agent: Agent) -> None:
    seen = []
    for step in REQUESTS:
        status, text = ask(agent, step)

        assert matches(step.output, text.splitlines()), f"{step.command}\n{text}"
        seen.append(status)
        if "LAUNCH_CONTAINER" in step.command:
            (listed,) = agent.get("/containers").document
            assert shape(listed) == shape(CONTAINER)
            assert listed["status"]["network_infos"] == CONTAINER["status"]["network_infos"]

    assert seen == [200] * (len(REQUESTS) - 1) + [404]
    assert agent.end()[0] == 0
    tool.assert_nothing_left()


def test_requests_go_where_the_unit_listens() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read(ROOT / "packaging/systemd/mesos-cni-agent.service")
    socket = unit["Service"]["ExecStart"].rpartition(" ")[2]

    assert f"--unix-socket {socket} " in DEFINITION.command
    assert f"at `{socket}`" in " ".join(PAGE.split())
