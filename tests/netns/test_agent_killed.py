"""An agent that is killed again and again while it is asked: nothing is lost, or done twice."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

import pytest

from tests.netns.agents import Agent, Answer, identity
from tests.netns.containers import CONFIGURATIONS, RESULT, RUNTIME
from tests.netns.fleet_networks import FAKE, REAL, MixedTool, configuration_of
from tests.netns.networks import NOTHING, tcp, traces
from tests.support.gate import need_file
from tests.support.host import Host
from tests.support.waiting import eventually

SEED, KILLS, CALLERS = 13, 14, 3
FOREVER = "exec sleep infinity"


@dataclass
class Caller:
    """Somebody who launches and kills containers, and asks again whenever nobody has answered."""

    agent: Agent
    number: int
    running: dict[str, list[str]] = field(default_factory=dict)
    killed: list[str] = field(default_factory=list)
    unanswered: int = 0

    def work(self, over: Event) -> None:
        """Launch and kill until it is over."""
        random = Random(self.number)
        while not over.is_set():
            if len(self.running) > random.randrange(8):
                self.kill(random.choice(list(self.running)))
            else:
                self.launch()

    def launch(self) -> None:
        """Launch another container."""
        count = len(self.running) + len(self.killed)
        name, port = f"c-{self.number}-{count}", 8000 + 100 * self.number + count
        infos = ({"name": FAKE}, {"name": REAL, "port_mappings": [tcp(port)]})
        answers = self.insist(lambda: self.agent.launch(name, *infos, command=FOREVER))
        # Somebody may have begun it who did not live to say so.
        assert answers in ([200], [0, 200], [0, 202]), (name, answers)
        assert eventually(lambda: bool(self.addresses(name)), True) is True
        self.running[name] = self.addresses(name)

    def kill(self, name: str) -> None:
        """Kill a container and wait until it is detached."""
        answers = self.insist(lambda: self._call("KILL_CONTAINER", name))
        assert answers in ([200], [0, 200], [0, 404]), (name, answers)
        assert self.insist(lambda: self._call("WAIT_CONTAINER", name))[-1] == 200
        self.killed.append(name)
        del self.running[name]

    def addresses(self, name: str) -> list[str]:
        """Return the addresses that a container was given, none before it runs."""
        path = self.agent.tool.host.path(f"{RUNTIME}/containers/{name}/attached.json")
        return addresses_of(json.loads(path.read_bytes())["network_infos"]) if path.exists() else []

    def insist(self, ask: Callable[[], Answer]) -> list[int]:
        """Ask until there is an answer; return its status, after 0 if it took several attempts."""
        lost = []
        while True:
            try:
                answer = ask()
            except (FileNotFoundError, ConnectionRefusedError):
                answer = None  # There was nobody to hear it.
            except (ConnectionError, HTTPException):
                answer, lost = None, [0]
                self.unanswered += 1
            if answer is not None and answer.status != 503:
                return [*lost, answer.status]
            time.sleep(0.02)

    def _call(self, kind: str, name: str) -> Answer:
        return self.agent.call(kind, container_id=identity(name))


def addresses_of(infos: list[dict[str, Any]]) -> list[str]:
    return [each["ip_address"] for info in infos for each in info["ip_addresses"]]


@pytest.fixture
def tool(frozen: Path, host: Host) -> MixedTool:
    need_file(Path("/usr/lib/cni/bridge"), "make setup")
    made = MixedTool(host)
    # Some take so long that the next agent is there before they are done.
    add = f"sleep 0.$(($$ % 10)); printf %s '{json.dumps(RESULT)}'"
    made.plugins.scripted(FAKE, {"ADD": add, "DEL": "sleep 0.$(($$ % 4))"})
    for name in (FAKE, REAL):
        path = host.path(f"{CONFIGURATIONS}/{name}.conf")
        path.write_text(json.dumps(configuration_of(name, 1)))
    return made


def links(tool: MixedTool) -> int:
    shown = tool.host.run(["ip", "-json", "link", "show", "type", "veth"]).stdout
    return len(json.loads(shown))


def commands(tool: MixedTool) -> dict[str, list[str]]:
    """Return what the recording plugin was told to do, by container."""
    found: dict[str, list[str]] = {}
    for call in tool.plugins.calls(FAKE):
        found.setdefault(call.env["CNI_CONTAINERID"], []).append(call.command)
    return found


def inside(tool: MixedTool, name: str) -> list[str]:
    """Return the addresses on the real network that a container sees."""
    argv = ["nsenter", "-t", str(tool.status(name)["pid"]), "--net", "ip", "-json", "-4", "address"]
    shown = json.loads(tool.host.run([*argv, "show", "dev", "eth1"]).stdout)
    return [each["local"] for each in shown[0]["addr_info"]]


def killed_again_and_again(tool: MixedTool, seed: int) -> list[Caller]:
    """Have an agent asked by several while it is killed; return what these know at the end."""
    random, over = Random(seed), Event()
    agent = Agent(tool)
    callers = [Caller(agent, number) for number in range(CALLERS)]
    with ThreadPoolExecutor(CALLERS) as pool:
        try:
            working = [pool.submit(caller.work, over) for caller in callers]
            for _ in range(KILLS):
                # It takes half a second to be there, and may be killed before that, too.
                time.sleep(random.uniform(0.1, 1.6))
                agent.kill()
                agent.process.close()
                agent.process = Agent(tool).process
        finally:
            over.set()
        for each in working:
            each.result()
    return callers


def test_nothing_is_lost_or_done_twice_whenever_the_agent_is_killed(tool: MixedTool) -> None:
    before = links(tool)
    callers = killed_again_and_again(tool, SEED)
    agent = callers[0].agent.ready()
    running = {name: had for caller in callers for name, had in caller.running.items()}
    killed = [name for caller in callers for name in caller.killed]
    assert sum(caller.unanswered for caller in callers) > 0
    assert min(len(running), len(killed)) >= CALLERS

    tasks = agent.tasks()
    assert {name: task["state"] for name, task in tasks.items()} == {
        **dict.fromkeys(running, "TASK_RUNNING"),
        **dict.fromkeys(killed, "TASK_KILLED"),
    }
    for name, had in running.items():
        status = tasks[name]["statuses"][-1]["container_status"]
        assert addresses_of(status["network_infos"]) == had
        assert inside(tool, name) == had[1:]
    assert commands(tool) == {
        **{name: ["ADD"] for name in running},
        **{name: ["ADD", "DEL"] for name in killed},
    }
    assert links(tool) - before == len(traces(tool.host).leases) == len(running)

    for caller in callers:
        for name in list(caller.running):
            caller.kill(name)
    tool.succeed("recover")
    tool.succeed("cleanup", "--all")
    assert agent.end()[0] == 0
    agent.process.close()
    tool.assert_nothing_left()
    assert traces(tool.host) == NOTHING
    assert eventually(lambda: links(tool), before) == before
