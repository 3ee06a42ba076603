"""Fifty containers launched at once and stopped at once: none fails, and nothing is left."""

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.netns.agents import Agent, Answer, identity
from tests.netns.containers import CONFIGURATIONS, ROOT, RUNTIME, Tool
from tests.netns.networks import DOCUMENT, NOTHING, tcp, traces
from tests.support.gate import need_file
from tests.support.host import Host
from tests.support.waiting import eventually

MANY = 50
NETWORK = "port-mapper-test"
FOREVER = "exec sleep infinity"
NAMES = [f"web-{number}" for number in range(MANY)]
PORTS = dict(zip(NAMES, range(8000, 8000 + MANY), strict=True))


class RealTool(Tool):
    """`mesos-cni` with our port mapper and Debian's plugins."""

    def environment(self) -> dict[str, str]:
        directories = f"{ROOT}/dist/plugins:/usr/lib/cni"
        return super().environment() | {"MESOS_NETWORK_CNI_PLUGINS_DIR": directories}


@pytest.fixture
def agent(host: Host, frozen: Path) -> Iterator[Agent]:
    need_file(Path("/usr/lib/cni/bridge"), "make setup")
    tool = RealTool(host)
    host.path(f"{CONFIGURATIONS}/test.conf").write_text(json.dumps(DOCUMENT))
    agent = Agent(tool).ready()
    yield agent
    agent.process.close()


def test_fifty_at_once_come_and_go_without_a_trace(agent: Agent) -> None:
    host = agent.tool.host
    links = _links(host)

    launched = _at_once(lambda name: agent.launch(name, _network(name), command=FOREVER))

    assert _failures(launched) == []
    assert agent.states() == dict.fromkeys(NAMES, "TASK_RUNNING")
    addresses = _addresses(agent)
    assert sorted(addresses) == sorted(NAMES)
    assert len(set(addresses.values())) == MANY
    assert _forwarded(host) == {PORTS[name]: addresses[name] for name in NAMES}
    assert len(_links(host)) == len(links) + MANY + 1  # With the bridge.

    killed = _at_once(lambda name: _end(agent, name))

    assert _failures(killed) == []
    assert _at_once(lambda name: _status(agent, name)) == dict.fromkeys(NAMES, 15)
    assert _failures(_at_once(lambda name: _remove(agent, name))) == []
    assert traces(host) == NOTHING
    # The kernel takes a namespace's links away in its own time.
    assert eventually(lambda: _links(host), [*links, "mesos-cni0"]) == [*links, "mesos-cni0"]
    assert _isolated(host) == []
    assert agent.end()[0] == 0
    agent.tool.assert_nothing_left()


def _at_once(work: Callable[[str], Any]) -> dict[str, Any]:
    with ThreadPoolExecutor(MANY) as pool:
        return dict(zip(NAMES, pool.map(work, NAMES), strict=True))


def _failures(answers: dict[str, Answer]) -> list[tuple[str, int, str]]:
    return [(name, each.status, each.text) for name, each in answers.items() if each.status != 200]


def _network(name: str) -> dict[str, Any]:
    return {"name": NETWORK, "port_mappings": [tcp(PORTS[name])]}


def _end(agent: Agent, name: str) -> Answer:
    return agent.call("KILL_CONTAINER", container_id=identity(name), signal=15)


def _status(agent: Agent, name: str) -> int:
    answer = agent.call("WAIT_CONTAINER", container_id=identity(name))
    status: int = answer.document["wait_container"]["exit_status"]
    return status


def _remove(agent: Agent, name: str) -> Answer:
    return agent.call("REMOVE_CONTAINER", container_id=identity(name))


def _addresses(agent: Agent) -> dict[str, str]:
    found = {}
    for name, task in agent.tasks().items():
        (info,) = task["statuses"][-1]["container_status"]["network_infos"]
        (address,) = info["ip_addresses"]
        found[name] = address["ip_address"]
    return found


def _forwarded(host: Host) -> dict[int, str]:
    rules = re.findall(r"--dport (\d+) .* --to-destination ([\d.]+):80", "\n".join(host.ruleset()))
    return {int(port): address for port, address in rules}


def _links(host: Host) -> list[str]:
    links = json.loads(host.run(["ip", "-json", "link"]).stdout)
    return [link["ifname"] for link in links]


def _isolated(host: Host) -> list[str]:
    root = host.path(f"{RUNTIME}/isolators/network/cni")
    return sorted(entry.name for entry in root.iterdir())
