"""An agent's built-in plugins are served by processes that stay, and may be killed as any other."""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import pytest

from mesos_cni_port_mapper.isolator.workers import PROGRAM
from tests.netns.agents import Agent, Answer, identity
from tests.netns.containers import FROZEN, Tool
from tests.support.gate import need_file
from tests.support.host import Host
from tests.support.waiting import eventually

NET = {"name": "net"}
LEASES = "/run/leases"
_LOCK = "exec 9</proc/self/ns/net; flock 9; echo locked; exec cat"


@pytest.fixture
def tool(host: Host) -> Tool:
    need_file(FROZEN, "make build")
    made = Tool(host, [str(FROZEN)])
    ipam = {"type": "host-local", "subnet": "192.168.7.0/24", "dataDir": LEASES}
    # The plugin is the one beside the program: there is none in the operator's directory.
    document = {"cniVersion": "1.0.0", "name": "net", "type": "bridge", "bridge": "br0"}
    more = {"isGateway": True, "ipMasq": True, "ipam": ipam}
    host.path("/run/networks/net.conf").write_text(json.dumps(document | more))
    return made


def delegates(host: Host) -> list[int]:
    """Return the process that workers come from, and the workers after it."""
    found = host.processes().items()
    return sorted(pid for pid, words in found if words[0].endswith(f"/{PROGRAM}"))


def keeper(host: Host) -> int:
    found = host.processes().items()
    (pid,) = [pid for pid, words in found if "monitor of many" in words[0]]
    return pid


def left(host: Host) -> tuple[list[str], list[str], list[str]]:
    """Return what attachments consist of: ports, leases and rules."""
    links = json.loads(host.run(["ip", "-json", "link", "show", "type", "veth"]).text or "[]")
    ports = [link["ifname"] for link in links if link.get("master") == "br0"]
    directory = host.path(f"{LEASES}/net")
    leases = [each.name for each in directory.glob("192.*")] if directory.is_dir() else []
    return ports, leases, [rule for rule in host.ruleset() if "CNI-" in rule]


def end(agent: Agent, name: str) -> None:
    agent.call("KILL_CONTAINER", container_id=identity(name), signal=9)
    agent.call("WAIT_CONTAINER", container_id=identity(name))


@contextmanager
def stuck(agent: Agent, name: str) -> Iterator[tuple[int, Future[Answer]]]:
    """Launch a container whose plugin waits for a lock of ours; give its worker and the answer."""
    host = agent.tool.host
    holder = host.start(["/bin/sh", "-c", _LOCK], input=None)
    try:
        # Nobody can have the lock twice: another's attempt is refused when the first has it.
        probe = ["flock", "--nonblock", "/proc/self/ns/net", "true"]
        assert eventually(lambda: host.run(probe, check=False).status, 1) == 1
        known = delegates(host)
        with ThreadPoolExecutor(1) as pool:
            launching = pool.submit(agent.launch, name, NET)
            eventually(lambda: len(delegates(host)), len(known) + 1)
            (worker,) = set(delegates(host)) - set(known)
            # It has its address by then, and nothing else.
            assert eventually(lambda: len(left(host)[1]), 1) == 1
            yield worker, launching
    finally:
        holder.close()


def test_one_process_attaches_one_container_after_another(tool: Tool, agent: Agent) -> None:
    before = delegates(tool.host)
    assert len(before) == 1

    for name in ("a", "b"):
        assert agent.launch(name, NET).status == 200

    after = delegates(tool.host)
    assert (after[:1], len(after)) == (before, 2)
    ports, leases, rules = left(tool.host)
    assert (len(ports), sorted(leases)) == (2, ["192.168.7.2", "192.168.7.3"])
    assert rules != []
    statuses = [agent.tasks()[name]["statuses"][-1] for name in ("a", "b")]
    networks = [status["container_status"]["network_infos"] for status in statuses]
    assert [each[0]["ip_addresses"][0]["ip_address"] for each in networks] == sorted(leases)
    for name in ("a", "b"):
        end(agent, name)
    assert left(tool.host) == ([], [], [])
    # Whoever has nothing to do leaves.
    assert eventually(lambda: delegates(tool.host), before, 15) == before
    agent.end()
    assert eventually(lambda: delegates(tool.host), []) == []


def test_a_worker_that_was_killed_fails_one_launch_which_is_undone(
    tool: Tool, agent: Agent
) -> None:
    with stuck(agent, "a") as (worker, launching):
        tool.kill(worker)
        answer = launching.result(10)

    assert (answer.status, "failed (its process is gone)" in answer.text) == (500, True)
    assert left(tool.host) == ([], [], [])
    assert agent.launch("b", NET).status == 200
    end(agent, "b")
    assert left(tool.host) == ([], [], [])


def test_a_worker_dies_with_the_keeper_that_asked_it(tool: Tool, agent: Agent) -> None:
    with stuck(agent, "a") as (worker, launching):
        tool.kill(keeper(tool.host))
        assert launching.result(10).status == 500
        assert eventually(lambda: worker in delegates(tool.host), False) is False

    tool.succeed("recover")
    assert left(tool.host) == ([], [], [])


def test_when_the_process_that_workers_come_from_was_killed_there_is_another(
    tool: Tool, agent: Agent
) -> None:
    assert agent.launch("a", NET).status == 200
    before = delegates(tool.host)
    for victim in before:
        tool.kill(victim)

    assert agent.launch("b", NET).status == 200

    assert len(delegates(tool.host)) == 2
    assert set(delegates(tool.host)).isdisjoint(before)
    # The keeper of the first cannot ask it, and has the container detached by a program.
    for name in ("a", "b"):
        end(agent, name)
    assert left(tool.host) == ([], [], [])
    assert len(delegates(tool.host)) == 2


def test_where_the_program_of_workers_is_broken_plugins_are_programs(host: Host) -> None:
    tool = Tool(host)
    tool.network("net")
    directory = host.path("/run/plugins/.mesos-cni-delegates")
    directory.mkdir()
    host.path("/run/plugins/fake").rename(directory / "fake")
    broken = directory / PROGRAM
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    agent = Agent(tool).ready()

    try:
        assert [agent.launch(name, NET).status for name in ("a", "b")] == [200, 200]
        assert tool.plugins.commands("fake") == ["ADD", "ADD"]
        for name in ("a", "b"):
            end(agent, name)
        assert tool.plugins.commands("fake") == ["ADD", "ADD", "DEL", "DEL"]
    finally:
        agent.process.close()


def test_workers_that_are_killed_again_and_again_leave_nothing(tool: Tool, agent: Agent) -> None:
    over = Event()

    def kill_some() -> int:
        killed = 0
        while not over.wait(0.15):
            for victim in delegates(tool.host)[1:2]:
                tool.host.run(["kill", "-9", str(victim)], check=False)
                killed += 1
        return killed

    def live(number: int) -> int:
        status = agent.launch(f"c{number}", NET).status
        end(agent, f"c{number}")
        return status

    with ThreadPoolExecutor(9) as pool:
        killing = pool.submit(kill_some)
        try:
            statuses = list(pool.map(live, range(40)))
        finally:
            over.set()

    assert killing.result() > 0
    assert set(statuses) <= {200, 500}
    assert statuses.count(200) > len(statuses) / 2
    # Whatever could not be detached is tried again.
    tool.succeed("recover")
    assert left(tool.host) == ([], [], [])


def test_an_operators_plugin_of_the_same_name_is_the_one_that_is_run(
    tool: Tool, agent: Agent
) -> None:
    tool.network("own", plugin="bridge")

    assert agent.launch("a", {"name": "own"}).status == 200

    assert tool.plugins.commands("bridge") == ["ADD"]
    assert len(delegates(tool.host)) == 1
    end(agent, "a")
