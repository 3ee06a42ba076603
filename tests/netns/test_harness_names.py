"""Containers called like what is in the state root: files, networks, interfaces, directories."""

import json

import pytest

from tests.netns.containers import ADDRESS, ENDLESS, RUNTIME, Tool
from tests.support.host import Host
from tests.support.waiting import eventually

ROOT = f"{RUNTIME}/isolators/network/cni"
FILES = ("ns", "hosts", "hostname")
OTHERS = ("net", "eth0")


@pytest.fixture
def tool(host: Host) -> Tool:
    made = Tool(host)
    made.network("net")
    return made


def own_namespace(tool: Tool, name: str) -> bool:
    """Tell whether the namespace that is kept of a container is the one its init is in."""
    kept = tool.host.path(f"{ROOT}/{name}/ns").stat().st_ino
    return kept == tool.host.path(f"/proc/{tool.status(name)['pid']}/ns/net").stat().st_ino


def kept(tool: Tool, name: str) -> list[str]:
    """Return the files that are kept of a container."""
    return [file for file in tool.host.files(ROOT) if file.startswith(f"{name}/")]


def deleted(tool: Tool) -> list[str]:
    """Return the containers that were detached, in order."""
    calls = tool.plugins.calls("fake")
    return [call.env["CNI_CONTAINERID"] for call in calls if call.command == "DEL"]


def test_containers_called_like_files_do_not_get_into_each_others_way(tool: Tool) -> None:
    names = [*FILES, *OTHERS]
    for name in names:
        tool.detached(name, ENDLESS, "--networks", "net")

    for name in names:
        seen = tool.succeed("exec", name, "sh", "-c", "hostname; cat /etc/hosts")
        assert seen.splitlines() == [name, "127.0.0.1 localhost", f"{ADDRESS} {name}"]
        assert own_namespace(tool, name), name
        assert json.loads(tool.succeed("usage", "--json", name)) != {}
    assert sorted(path.name for path in tool.host.path(ROOT).iterdir()) == sorted(names)
    before = {name: kept(tool, name) for name in names}
    assert tool.succeed("recover") == ""

    for index, name in enumerate(names):
        tool.succeed("kill", "--grace", "0", name)
        tool.succeed("cleanup", name)
        assert deleted(tool) == names[: index + 1]
        assert not tool.host.path(f"{ROOT}/{name}").exists()
        assert {other: kept(tool, other) for other in names[index + 1 :]} == {
            other: before[other] for other in names[index + 1 :]
        }
    tool.assert_nothing_left()


@pytest.mark.parametrize("name", [*FILES, "net"])
def test_a_container_called_like_a_file_is_recovered(tool: Tool, name: str) -> None:
    for each in (name, "other"):
        tool.detached(each, ENDLESS, "--networks", "net")
    status = tool.status(name)
    tool.kill(status["monitor_pid"])
    assert eventually(lambda: tool.status(name)["monitored"], False) is False
    assert tool.succeed("recover") == f"{name}: monitored again\n"
    status = tool.status(name)
    tool.kill(status["monitor_pid"])
    tool.kill(status["pid"])
    assert eventually(lambda: tool.state(name), "lost") == "lost"
    tool.host.run(["rm", "-r", f"{RUNTIME}/containers/{name}"])

    assert tool.succeed("recover") == f"{name}: detached, known to nobody\n"

    assert deleted(tool) == [name]
    assert own_namespace(tool, "other")
    tool.succeed("kill", "--grace", "0", "other")
    tool.succeed("cleanup", "--all")
    tool.assert_nothing_left()


def test_nested_containers_may_be_called_like_files_too(tool: Tool) -> None:
    tool.detached("ns", ENDLESS, "--networks", "net")
    for name in ("ns.hosts", "ns.ns", "ns.net"):
        tool.detached(name, ENDLESS)

    shown = "readlink /proc/self/ns/net; cat /etc/hostname"
    seen = {name: tool.succeed("exec", name, "sh", "-c", shown) for name in tool.containers()}
    assert list(seen) == ["ns", "ns.hosts", "ns.net", "ns.ns"]
    assert len(set(seen.values())) == 1
    assert [path.name for path in tool.host.path(ROOT).iterdir()] == ["ns"]

    tool.succeed("kill", "--grace", "0", "ns")
    tool.succeed("cleanup", "--all")
    assert deleted(tool) == ["ns"]
    tool.assert_nothing_left()
