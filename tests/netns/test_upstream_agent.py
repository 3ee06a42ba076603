"""Mesos' tests with an agent that is restarted, an executor, or the port mapper.

Each test has the name of its model; docs/upstream-tests.md says where they differ, and why.
"""

import json
import re
from pathlib import Path

import pytest

from tests.netns import upstream
from tests.netns.agents import SOCKET, Agent, identity
from tests.netns.containers import ENDLESS, RUNTIME
from tests.netns.upstream import (
    MOCK,
    MOCK_ADDRESS,
    PYTHON,
    STATE_ROOT,
    Upstream,
    networks_of,
    updates,
)
from tests.support.host import HOST_IPV4, Host
from tests.support.traffic import connect_tcp

CHAIN = "MESOS-TEST-PORT-MAPPER-CHAIN"
UPSTREAM_TESTS = Path(__file__).parents[2] / "docs/upstream-tests.md"
HOW_MANY = 21

# What `nc -l -p PORT` is: one connection is taken, and that is the end of it.
LISTEN = """\
import socket, sys
server = socket.create_server(("", int(sys.argv[1])))
print("listening", flush=True)
connection, peer = server.accept()
connection.sendall(b'{"name": "%s", "peer": "", "port": 0}' % sys.argv[2].encode())
"""


@pytest.fixture
def tool(host: Host) -> Upstream:
    return Upstream(host)


def group(command: str) -> str:
    return json.dumps({"tasks": [{"name": "task", "command": {"value": command}}]})


def test_slave_recovery(tool: Upstream, agent: Agent) -> None:
    tool.mock(f"printf %s '{json.dumps(upstream.MOCK_RESULT)}'", "touch /run/called")
    called = tool.host.path("/run/called")
    agent.launch("task", {"name": MOCK}, command="sleep 1000")

    agent.kill()
    agent.restart()

    assert agent.states() == {"task": "TASK_RUNNING"}
    assert not called.exists()
    agent.call("KILL_CONTAINER", container_id=identity("task"))
    agent.call("WAIT_CONTAINER", container_id=identity("task"))
    assert agent.states() == {"task": "TASK_KILLED"}
    assert called.exists()


@pytest.mark.parametrize(
    ("networks", "address"), [("", HOST_IPV4), (MOCK, MOCK_ADDRESS)], ids=["host", "mock"]
)
def test_verify_container_ip(tool: Upstream, networks: str, address: str) -> None:
    task = group(f'test "x$MESOS_CONTAINER_IP" = x{address}')

    assert tool.succeed("run", "--networks", networks, "--task_group", task) == ""
    tool.assert_nothing_left()


def test_port_mapper(tool: Upstream, frozen: Path) -> None:
    tool.veth()
    network = {
        "name": f"{MOCK}portMapper",
        "type": "mesos-cni-port-mapper",
        "chain": CHAIN,
        "delegate": {"type": "vethPlugin"},
    }
    tool.configure("mockPortMapper", network)
    path = f"/run/plugins:{frozen.parent}"
    ports = {"one": (31001, 8001), "two": (31002, 8002), "three": (31003, 8003)}
    running = {}
    for name, (outer, inner) in ports.items():
        info = {
            "name": network["name"],
            "port_mappings": [{"host_port": outer, "container_port": inner}],
        }
        arguments = [PYTHON, "-c", LISTEN, str(inner), name]
        task = {
            "name": name,
            "command": {"shell": False, "value": PYTHON, "arguments": arguments},
            "container": {"network_infos": [info]},
        }
        flags = ("--network_cni_plugins_dir", path, "--task", json.dumps(task))
        running[name] = tool.start("run", *flags)
    for process in running.values():
        assert process.stdout_line(15) == b"listening", process.wait(5)

    assert [len(tool.status(name)["network_infos"]) for name in ports] == [1, 1, 1]
    assert len(tool.host.chain(CHAIN) or ()) == len(ports)
    for name, (outer, _) in ports.items():
        outcome = connect_tcp(tool.host, HOST_IPV4, outer, timeout=5)
        assert getattr(outcome, "name", outcome) == name
    assert {name: process.wait(15).status for name, process in running.items()} == (
        dict.fromkeys(ports, 0)
    )
    # The original leaves an empty chain.
    assert tool.host.chain(CHAIN) is None


def test_verify_cni_root_dir(tool: Upstream, agent: Agent) -> None:
    assert tool.host.path(STATE_ROOT).is_dir()
    agent.end()
    flags = ("--socket", SOCKET, "--work_dir", "/run/work", "--network_cni_root_dir_persist")
    persistent = tool.host.path("/run/work/isolators/network/cni")
    assert not persistent.exists()

    agent.flags = flags
    agent.restart()

    assert persistent.is_dir()


def test_cleanup_after_reboot(tool: Upstream) -> None:
    check = 'test -z "${CNI_NETNS+set}" || nsenter --net="$CNI_NETNS" true || exit 1'
    tool.mock(f"printf %s '{json.dumps(upstream.MOCK_RESULT)}'", f"{check}; touch /run/deleted")
    flags = ("--socket", SOCKET, "--work_dir", "/run/work", "--network_cni_root_dir_persist")
    agent = Agent(tool, *flags).ready()
    agent.launch("task", {"name": MOCK}, command="sleep 1000")
    status = tool.status("task")

    agent.kill()
    for pid in (status["monitor_pid"], status["pid"]):
        tool.kill(pid)
    _reboot(tool)
    assert not tool.host.path("/run/deleted").exists()
    agent.restart()

    assert agent.states() == {}
    assert tool.host.path("/run/deleted").exists()
    _, delete = tool.plugins.calls("mockPlugin")
    assert "CNI_NETNS" not in delete.env
    assert list(tool.host.path("/run/work/isolators/network/cni").iterdir()) == []


def _reboot(tool: Upstream) -> None:
    """Take away what does not survive a reboot: mounts and the runtime directory."""
    table = tool.host.path("/proc/1/mountinfo").read_text()
    points = [line.split()[4] for line in table.splitlines()]
    for point in reversed(points):
        if point.startswith("/run/work/"):
            tool.host.run(["umount", point])
    tool.host.run(["rm", "-r", RUNTIME])


def test_verify_nested_container_ip_after_reboot(tool: Upstream, agent: Agent) -> None:
    tool.veth()
    flags = ("--detach", "--name", "pod", "--networks", "veth")
    tool.succeed("run", *flags, "--task_group", group(ENDLESS))

    agent.kill()
    agent.restart()
    assert agent.states() == {"pod.task": "TASK_RUNNING"}
    agent.call("KILL_CONTAINER", container_id=identity("pod.task"))
    agent.call("WAIT_CONTAINER", container_id=identity("pod.task"))

    assert updates(agent, "pod.task") == ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"]
    (info,) = networks_of(agent, "pod.task")
    (address,) = info["ip_addresses"]
    assert address["ip_address"].startswith("203.0.113.")


def test_every_one_of_the_original_tests_has_its_counterpart() -> None:
    rows = re.findall(r"^\| (\d+) \|.*$", UPSTREAM_TESTS.read_text(), re.MULTILINE)
    named = re.findall(r"`(test_upstream_\w+\.py)::(test_\w+)`", UPSTREAM_TESTS.read_text())
    here = Path(__file__).parent

    assert rows == [str(number) for number in range(1, HOW_MANY + 1)]
    assert len(named) == HOW_MANY
    for file, name in named:
        assert f"\ndef {name}(" in (here / file).read_text(), name
