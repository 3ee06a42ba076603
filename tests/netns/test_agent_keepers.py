"""One process looks after many containers of an agent, and may be killed as any other."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from mesos_cni_port_mapper.harness.agent.keepers import MOST
from tests.netns.agents import Agent, identity
from tests.netns.containers import FROZEN, SOURCE, Tool
from tests.support.gate import need_file
from tests.support.host import Host
from tests.support.waiting import eventually

NET = {"name": "net"}
OBEDIENT = "trap 'exit 3' TERM; while :; do sleep 0.05; done"
ENDED = {"exit_status": 3 << 8}


@pytest.fixture(params=["source", "frozen"])
def tool(host: Host, request: pytest.FixtureRequest) -> Tool:
    if request.param == "frozen":
        need_file(FROZEN, "make build")
    made = Tool(host, SOURCE if request.param == "source" else [str(FROZEN)])
    made.network("net")
    return made


def launch(agent: Agent, *names: str) -> None:
    assert [agent.launch(name, NET, command=OBEDIENT).status for name in names] == [200] * len(
        names
    )


def end(agent: Agent, name: str) -> object:
    agent.call("KILL_CONTAINER", container_id=identity(name), signal=15)
    return agent.call("WAIT_CONTAINER", container_id=identity(name)).document["wait_container"]


def keeper(tool: Tool, name: str) -> int:
    pid: int = tool.status(name)["monitor_pid"]
    return pid


def cradles(tool: Tool) -> list[int]:
    found = tool.host.processes().items()
    return [pid for pid, words in found if words[0].startswith("mesos-cni: cradle")]


def test_containers_share_a_keeper_and_one_with_a_terminal_has_a_monitor(
    tool: Tool, agent: Agent
) -> None:
    launch(agent, "a", "b")
    answer = agent.call(
        "LAUNCH_CONTAINER",
        container_id=identity("tty"),
        command={"value": OBEDIENT},
        container={"type": "MESOS", "tty_info": {}},
    )

    assert answer.status == 200
    assert keeper(tool, "a") == keeper(tool, "b") != keeper(tool, "tty")
    assert [end(agent, name) for name in ("a", "tty")] == [ENDED] * 2
    assert tool.status("b")["state"] == "running"


def test_a_signal_to_a_keeper_is_meant_for_none_of_its_containers(tool: Tool, agent: Agent) -> None:
    launch(agent, "a", "b")

    tool.kill(keeper(tool, "a"), signal.SIGTERM)
    time.sleep(0.3)

    assert [tool.status(name)["state"] for name in ("a", "b")] == ["running"] * 2
    assert [end(agent, name) for name in ("a", "b")] == [ENDED] * 2


def test_an_init_whose_keeper_was_killed_is_reaped(tool: Tool, agent: Agent) -> None:
    launch(agent, "a")
    killed = keeper(tool, "a")
    tool.kill(killed)
    assert eventually(lambda: keeper(tool, "a") not in (None, killed), True, 10)

    assert end(agent, "a") == ENDED

    def zombies() -> list[str]:
        parent = str(cradles(tool)[0])
        return tool.host.run(["ps", "-o", "stat=", "--ppid", parent], check=False).text.split()

    assert eventually(zombies, [], 5) == []


def test_launches_that_fail_leave_nothing_open_in_a_keeper(tool: Tool, agent: Agent) -> None:
    launch(agent, "a")
    files = tool.host.path(f"/proc/{keeper(tool, 'a')}/fd")
    before = len(list(files.iterdir()))

    assert [agent.launch(f"b{each}", {"name": "nope"}).status for each in range(5)] == [500] * 5

    assert eventually(lambda: len(list(files.iterdir())), before) == before


def test_a_keeper_has_no_more_than_it_has_room_for(tool: Tool, agent: Agent) -> None:
    names = [f"c{number}" for number in range(MOST + 1)]
    for name in names:
        assert agent.launch(name, command=OBEDIENT).status == 200

    keepers = [keeper(tool, name) for name in names]
    assert len(set(keepers[:-1])) == 1
    assert keepers[-1] != keepers[0]
    # It goes with its last container, although the agent is there.
    assert end(agent, names[-1]) == ENDED
    for name in names[:-1]:
        agent.call("KILL_CONTAINER", container_id=identity(name), signal=9)
    assert eventually(lambda: keepers[0] in tool.host.processes(), False) is False


def test_containers_survive_their_keeper_and_get_monitors(tool: Tool, agent: Agent) -> None:
    launch(agent, "a", "b", "c")
    before = {name: tool.status(name) for name in "abc"}
    victim = before["a"]["monitor_pid"]
    tool.kill(victim)

    launch(agent, "new")
    everybody = [True] * 3
    monitored = eventually(lambda: [tool.status(name)["monitored"] for name in "abc"], everybody)
    assert monitored == everybody
    for name in "abc":
        assert tool.status(name)["pid"] == before[name]["pid"]
        assert keeper(tool, name) != victim
        assert end(agent, name) == ENDED
    assert end(agent, "new") == ENDED
    assert sorted(tool.plugins.commands("fake")) == ["ADD"] * 4 + ["DEL"] * 4


def test_what_a_keeper_was_handed_before_it_died_is_launched_by_another(
    tool: Tool, agent: Agent
) -> None:
    launch(agent, "a")
    victim = keeper(tool, "a")
    tool.kill(victim, signal.SIGSTOP)

    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(agent.launch, name, NET, command=OBEDIENT) for name in ("b", "c")]
        # Handed on as soon as they are asked for; nobody can see that it was.
        time.sleep(0.5)
        tool.kill(victim)

    assert [answer.result().status for answer in answers] == [200, 200]
    assert keeper(tool, "b") == keeper(tool, "c") != victim
    assert [end(agent, name) for name in "abc"] == [ENDED] * 3
    assert sorted(tool.plugins.commands("fake")) == ["ADD"] * 3 + ["DEL"] * 3


def test_plugins_that_hang_keep_no_other_container_from_its_network(
    tool: Tool, agent: Agent
) -> None:
    tool.plugins.hanging("hanging", commands=["ADD"])
    tool.network("stuck", plugin="hanging")
    names = [f"stuck{number}" for number in range(4 * len(os.sched_getaffinity(0)))]
    with ThreadPoolExecutor(len(names)) as pool:
        launches = [pool.submit(agent.launch, name, {"name": "stuck"}) for name in names]
        tool.plugins.await_call("hanging")
        launch(agent, "web")
        assert [each.done() for each in launches] == [False] * len(names)
        for name in names:
            agent.call("KILL_CONTAINER", container_id=identity(name), signal=9)
        assert [each.result().status for each in launches] == [500] * len(names)
    assert end(agent, "web") == ENDED


def test_a_cradle_that_was_killed_takes_nothing_with_it(tool: Tool, agent: Agent) -> None:
    launch(agent, "a")
    before = tool.status("a")
    (victim,) = cradles(tool)
    tool.kill(victim)

    # The first may be asked for before the keeper has noticed.
    answers = [agent.launch("b", NET, command=OBEDIENT).status for _ in range(2)]
    assert answers in ([200, 202], [500, 200])
    assert tool.status("a") == before
    assert cradles(tool) not in ([], [victim])
    assert [end(agent, name) for name in "ab"] == [ENDED] * 2
    assert tool.plugins.commands("fake") == ["ADD", "ADD", "DEL", "DEL"]


def test_keepers_outlive_the_agent_and_go_with_their_containers(tool: Tool, agent: Agent) -> None:
    launch(agent, "a", "b")
    before = {name: tool.status(name) for name in "ab"}
    agent.kill()

    assert {name: tool.status(name) for name in "ab"} == before
    for name in "ab":
        tool.succeed("kill", name)
        assert tool.succeed("wait", name) in ("3\n", "143\n")
    assert tool.plugins.commands("fake") == ["ADD", "ADD", "DEL", "DEL"]
    assert eventually(tool.host.processes, {}) == {}


def test_a_launch_is_given_up_and_others_of_the_keeper_are_not(tool: Tool, agent: Agent) -> None:
    launch(agent, "a")
    tool.plugins.hanging("slow", ["ADD"])
    tool.network("slow", "slow")
    with ThreadPoolExecutor(1) as pool:
        launching = pool.submit(agent.launch, "given-up", {"name": "slow"})
        tool.plugins.await_call("slow")
        agent.call("KILL_CONTAINER", container_id=identity("given-up"))
        answer = launching.result(5)

    assert (answer.status, "interrupted" in answer.text) == (500, True)
    assert agent.states() == {"a": "TASK_RUNNING"}
    assert tool.plugins.commands("slow") == ["ADD", "DEL"]
    launch(agent, "b")
    assert keeper(tool, "a") == keeper(tool, "b")
