"""Tasks and task groups as Mesos' frameworks write them, and containers nested in others."""

import json
import signal
from typing import Any

import pytest

from tests.netns.containers import ADDRESS, ENDLESS, Tool
from tests.support.host import Host
from tests.support.waiting import eventually


@pytest.fixture
def tool(host: Host) -> Tool:
    made = Tool(host)
    made.network("net")
    made.network("other", "second")
    return made


def task(name: str, command: str, **container: Any) -> dict[str, Any]:
    return {
        "name": name,
        "task_id": {"value": name},
        "agent_id": {"value": ""},
        "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}}],
        "command": {"value": command},
        "container": {"type": "MESOS", **container},
    }


def group(*tasks: dict[str, Any]) -> str:
    return json.dumps({"tasks": list(tasks)})


def test_a_task_is_run_with_all_it_asks_for(tool: Tool) -> None:
    tool.host.path("/run/data").mkdir()
    tool.host.path("/run/data/here").write_text("data\n")
    document = task(
        "web",
        "hostname; echo $A; cat /mnt/here; echo $MESOS_CONTAINER_IP; (: >/mnt/x) 2>&1 || exit 5",
        hostname="h.example",
        network_infos=[{"name": "net", "labels": {"labels": [{"key": "k", "value": "v"}]}}],
        volumes=[{"mode": "RO", "host_path": "/run/data", "container_path": "/mnt"}],
    )
    document["command"]["environment"] = {"variables": [{"name": "A", "value": "b"}]}
    left = tool.run("run", "--task", json.dumps(document))

    assert left.status == 5
    assert left.stdout.splitlines()[:4] == ["h.example", "b", "data", ADDRESS]
    (add, _) = tool.plugins.calls("fake")
    info = add.config["args"]["org.apache.mesos"]["network_info"]
    assert info == {"name": "net", "labels": {"labels": [{"key": "k", "value": "v"}]}}
    tool.assert_nothing_left()


def test_a_task_can_be_in_a_file_and_without_a_shell(tool: Tool) -> None:
    document = task("web", "/bin/echo")
    document["command"].update(shell=False, arguments=["echo", "$A", "b"])
    tool.host.path("/run/task.json").write_text(json.dumps(document))

    assert tool.succeed("run", "--task", "/run/task.json") == "$A b\n"
    assert tool.succeed("run", "--task", "file:///run/task.json") == "$A b\n"


def test_the_tasks_of_a_group_share_their_parents_network(tool: Tool) -> None:
    show = "hostname; readlink /proc/self/ns/net; readlink /proc/self/ns/uts; cat /etc/hosts"
    tasks = group(task("a", f"({show}) >/run/a"), task("b", f"({show}) >/run/b"))
    left = tool.run("run", "--name", "pod", "--networks", "net", "--task_group", tasks)

    assert (left.status, left.stderr) == (0, "")
    a, b = (tool.host.path(f"/run/{name}").read_text() for name in "ab")
    assert a == b
    assert a.splitlines()[0] == "pod"
    assert f"{ADDRESS} pod" in a
    assert tool.plugins.commands("fake") == ["ADD", "DEL"]
    for name in "ab":
        tool.host.path(f"/run/{name}").unlink()
    tool.assert_nothing_left()


def test_a_task_of_a_group_can_have_a_network_of_its_own(tool: Tool) -> None:
    own = task("b", "hostname", network_infos=[{"name": "other"}], hostname="own")
    left = tool.run("run", "--name", "pod", "--networks", "net", "--task_group", group(own))

    assert left.stdout == "own\n"
    (add, _) = tool.plugins.calls("second")
    assert add.env["CNI_CONTAINERID"] == "pod.b"
    tool.assert_nothing_left()


def test_when_a_task_fails_the_group_ends(tool: Tool) -> None:
    tasks = group(task("good", ENDLESS), task("bad", "sleep 0.2; exit 9"))

    assert tool.run("run", "--networks", "net", "--task_group", tasks).status == 9
    assert tool.plugins.commands("fake") == ["ADD", "DEL"]
    tool.assert_nothing_left()


def test_a_task_that_cannot_be_launched_takes_the_group_with_it(tool: Tool) -> None:
    bad = task("bad", "true", network_infos=[{"name": "nope"}])
    left = tool.run("run", "--networks", "net", "--task_group", group(task("a", ENDLESS), bad))

    assert left.status == 1
    assert "'nope'" in left.stderr
    assert len(left.stderr.splitlines()) == 1
    tool.assert_nothing_left()


def test_a_group_can_be_interrupted(tool: Tool) -> None:
    tasks = group(task("a", f"echo up; {ENDLESS}"), task("b", ENDLESS))
    process = tool.start("run", "--networks", "net", "--task_group", tasks)
    assert process.stdout_line() == b"up"

    process.kill(signal.SIGINT)

    assert process.wait().status == 143
    tool.assert_nothing_left()


def test_a_group_that_is_still_being_attached_can_be_interrupted(tool: Tool) -> None:
    tool.plugins.hanging("slow", ["ADD"])
    tool.network("far", "slow")
    tasks = group(task("a", ENDLESS))
    process = tool.start("run", "--networks", "far", "--task_group", tasks)
    tool.plugins.await_call("slow")

    process.kill(signal.SIGINT)

    finished = process.wait(10)
    assert (finished.status, finished.stderr) == (130, b"mesos-cni: interrupted\n")
    tool.assert_nothing_left()


def test_a_detached_group_is_listed_and_can_be_ended(tool: Tool) -> None:
    flags = ("--detach", "--name", "pod", "--networks", "net")
    said = tool.succeed("run", *flags, "--task_group", group(task("a", ENDLESS)))

    assert said == "pod\npod.a\n"
    assert tool.succeed("exec", "pod.a", "sh", "-c", "echo $MESOS_CONTAINER_IP") == f"{ADDRESS}\n"
    infos = tool.status("pod.a")["network_infos"]
    assert infos == tool.status("pod")["network_infos"]
    for name in ("pod.a", "pod"):
        tool.succeed("kill", name)
        tool.succeed("cleanup", name)
    tool.assert_nothing_left()


def test_a_container_can_be_nested_in_a_running_one_only(tool: Tool) -> None:
    tool.detached("web", ENDLESS, "--networks", "net")
    theirs = tool.succeed("exec", "web", "readlink", "/proc/self/ns/net")

    assert tool.succeed("run", "--name", "web.in", "--command", "readlink /proc/self/ns/net") == (
        theirs
    )
    tool.succeed("kill", "--grace", "0", "web")
    left = tool.run("run", "--name", "web.in", "--command", "true")
    assert (left.status, "'web', which does not run" in left.stderr) == (1, True)


def test_nested_containers_end_with_the_one_they_are_in(tool: Tool) -> None:
    tool.detached("web", ENDLESS, "--networks", "net")
    tool.detached("web.in", ENDLESS)
    tool.detached("web.own", ENDLESS, "--networks", "other")

    tool.succeed("kill", "--grace", "0", "web")

    assert eventually(lambda: tool.state("web.in"), "exited") == "exited"
    assert eventually(lambda: tool.state("web.own"), "exited") == "exited"
    tool.succeed("cleanup", "--all")
    tool.assert_nothing_left()
