"""Mesos' tests of launching and ending on CNI networks, each on the real kernel.

Each test has the name of its model; docs/upstream-tests.md says where they differ, and why.
"""

import json

import pytest

from tests.netns.agents import Agent
from tests.netns.containers import RUNTIME
from tests.netns.upstream import MOCK, STATE_ROOT, Upstream, updates
from tests.support.host import Host
from tests.support.waiting import eventually

FIELDS = {
    f"net_{way}_{what}"
    for way in ("rx", "tx")
    for what in ("packets", "bytes", "errors", "dropped")
}


@pytest.fixture
def tool(host: Host) -> Upstream:
    return Upstream(host)


def test_launch_command_task(tool: Upstream, agent: Agent) -> None:
    flags = (*tool.image(), "--detach", "--name", "task", "--networks", MOCK, "--no-shell")
    tool.succeed("run", *flags, "--command", "/sbin/ip", "--", "link")

    assert tool.succeed("wait", "task") == "0\n"
    assert "lo: <LOOPBACK,UP,LOWER_UP>" in tool.succeed("logs", "task")
    assert updates(agent, "task") == ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]


def test_verify_checkpointed_info(tool: Upstream) -> None:
    tool.detached("task", "sleep 1000", "--networks", MOCK)
    root = tool.host.path(STATE_ROOT)
    directory = root / "task"
    files = {str(path.relative_to(directory)) for path in directory.rglob("*")}

    network = {MOCK, f"{MOCK}/network.conf", f"{MOCK}/eth0", f"{MOCK}/eth0/network.info"}
    assert files - {".container.json"} == network | {"ns", "hostname", "hosts", "resolv.conf"}
    assert (directory / "ns").stat().st_dev != directory.stat().st_dev

    tool.succeed("kill", "task")
    assert tool.succeed("wait", "task") == "143\n"
    assert list(root.iterdir()) == []
    tool.succeed("cleanup", "task")
    tool.assert_nothing_left()


def test_failed_plugin(tool: Upstream) -> None:
    tool.mock("echo not JSON; exit 1")

    left = tool.run("run", "--networks", MOCK, "--command", "touch /run/ran")

    assert (left.status, left.stdout) == (1, "")
    assert "not JSON" in left.stderr
    assert len(left.stderr.splitlines()) == 1
    assert tool.plugins.commands("mockPlugin") == ["ADD", "DEL"]
    assert not tool.host.path("/run/ran").exists()
    tool.assert_nothing_left()


def test_destroy_while_preparing(tool: Upstream) -> None:
    # Between `prepare` and the first plugin a launch waits for this lock, which somebody holds.
    directory = f"{RUNTIME}/isolators/network"
    tool.host.path(directory).mkdir(parents=True)
    holder = tool.host.start(["flock", directory, "cat"], None)
    assert eventually(lambda: len(_locks(tool)), 1) == 1
    launching = tool.start(
        "run", "--name", "task", "--networks", MOCK, "--command", "touch /run/ran"
    )
    assert eventually(lambda: any("->" in line for line in _locks(tool)), True) is True
    init = tool.status("task")["pid"]

    killing = tool.start("kill", "task")
    # Init is gone, and the monitor, who alone can undo the launch, goes on waiting.
    assert eventually(lambda: _is_zombie(tool, init), True) is True
    assert (killing.running, launching.running) == (True, True)
    holder.feed(b"")

    assert killing.wait(10).status == 0
    finished = launching.wait(10)
    assert (finished.status, b"interrupted" in finished.stderr) == (1, True)
    # A command that never ran has no exit status.
    assert not tool.host.path("/run/ran").exists()
    assert "'task'" in tool.run("wait", "task").stderr
    tool.assert_nothing_left()


def _locks(tool: Upstream) -> list[str]:
    lines = tool.host.path("/proc/locks").read_text().splitlines()
    file = tool.host.path(f"{RUNTIME}/isolators/network").stat().st_ino
    return [line for line in lines if f":{file} " in line]


def _is_zombie(tool: Upstream, pid: int) -> bool:
    return ") Z " in tool.host.path(f"/proc/{pid}/stat").read_text()


def test_environment_libprocess_ip(tool: Upstream) -> None:
    assert tool.finish('test "x$LIBPROCESS_IP" = x0.0.0.0') == ""
    tool.assert_nothing_left()


def test_dynamic_add_del_of_cni_config(tool: Upstream) -> None:
    tool.unconfigure("mockConfig")
    agent = Agent(tool).ready()
    network = {"name": MOCK}
    refused = agent.launch("first", network)
    tool.configure("mockConfig", {"name": MOCK, "type": "mockPlugin"})
    accepted = agent.launch("second", network)
    tool.unconfigure("mockConfig")
    refused_again = agent.launch("third", network)

    assert [answer.status for answer in (refused, accepted, refused_again)] == [500, 200, 500]
    assert MOCK in refused.text
    assert MOCK in refused_again.text
    assert agent.states() == {"second": "TASK_RUNNING"}
    assert updates(agent, "second") == ["TASK_STARTING", "TASK_RUNNING"]


def test_override_hostname(tool: Upstream) -> None:
    task = {
        "name": "task",
        "command": {"value": 'test "$(hostname)" = test'},
        "container": {"hostname": "test", "network_infos": [{"name": MOCK}]},
    }

    assert tool.succeed("run", "--task", json.dumps(task)) == ""
    tool.assert_nothing_left()


@pytest.mark.parametrize(
    ("flags", "hostname"),
    [
        ((), "parent_container"),
        (("--networks", MOCK, "--hostname", "nested_container"), "nested_container"),
    ],
    ids=["joins its parent", "on its own"],
)
def test_verify_container_hostname(tool: Upstream, flags: tuple[str, ...], hostname: str) -> None:
    shared = tool.host.path("/run/shared")
    shared.mkdir()
    tool.detached("pod", "sleep 1000", "--networks", MOCK, "--hostname", "parent_container")
    image = (*tool.image(), "--volume", "/run/shared:/tmp")

    tool.succeed("run", "--name", "pod.task", *image, *flags, "--command", "touch /tmp/$(hostname)")

    assert [entry.name for entry in shared.iterdir()] == [hostname]
    assert tool.plugins.commands("mockPlugin") == ["ADD", "ADD", "DEL"] if flags else ["ADD"]


def test_verify_resource_statistics(tool: Upstream) -> None:
    tool.veth()
    tool.detached("task", "sleep 1000", "--networks", "veth")
    tool.succeed("exec", "task", "ip", "route", "get", "192.0.2.2")
    usage = json.loads(tool.succeed("usage", "--json", "task"))

    assert set(usage) == FIELDS
    assert all(isinstance(count, int) for count in usage.values())
    tool.succeed("kill", "--grace", "0", "task")
    assert tool.state("task") == "exited"
    assert "vmesos" not in tool.host.run(["ip", "link"]).text
    tool.succeed("cleanup", "task")
    tool.assert_nothing_left()
