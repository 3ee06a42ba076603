"""Killed monitors and inits, and what only the isolator knows: `recover` puts it in order."""

import json
import signal
from typing import Any

import pytest

from tests.netns.agents import Agent
from tests.netns.containers import ENDLESS, RUNTIME, Tool
from tests.support.host import Host
from tests.support.waiting import eventually

BYE = f"trap 'echo bye; exit 5' TERM; echo hello; {ENDLESS}"
UNTIL_TOLD = "while [ ! -e /run/end ]; do sleep 0.02; done; exit {}"


@pytest.fixture
def tool(host: Host) -> Tool:
    made = Tool(host)
    made.network("net")
    return made


def record(tool: Tool, name: str, file: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        tool.host.path(f"{RUNTIME}/containers/{name}/{file}").read_bytes()
    )
    return document


def test_a_container_survives_its_monitor_and_recovers_another(tool: Tool) -> None:
    tool.detached("web", BYE, "--networks", "net")
    before = tool.status("web")
    tool.kill(before["monitor_pid"])
    assert eventually(lambda: tool.status("web")["monitored"], False) is False
    assert "running, no monitor" in tool.succeed("ps")

    assert tool.succeed("recover") == "web: monitored again\n"

    after = tool.status("web")
    assert (after["state"], after["monitored"], after["pid"]) == ("running", True, before["pid"])
    assert after["network_infos"] == before["network_infos"]
    assert tool.plugins.commands("fake") == ["ADD"]
    assert tool.succeed("recover") == ""
    tool.succeed("kill", "web")
    assert tool.succeed("wait", "web") == "5\n"
    assert tool.succeed("logs", "web") == "hello\nbye\n"
    assert tool.plugins.commands("fake") == ["ADD", "DEL"]
    tool.succeed("cleanup", "web")
    tool.assert_nothing_left()


@pytest.mark.parametrize(("victims", "status"), [(("monitor_pid", "pid"), "?"), ((), "3")])
def test_a_container_that_ended_without_a_monitor_is_detached_by_recover(
    tool: Tool, victims: tuple[str, ...], status: str
) -> None:
    tool.detached("web", UNTIL_TOLD.format(3), "--networks", "net")
    before = tool.status("web")
    for victim in victims or ("monitor_pid",):
        tool.kill(before[victim])
    tool.host.path("/run/end").touch()
    assert eventually(lambda: tool.state("web"), "lost") == "lost"
    assert "recover" in tool.run("wait", "web").stderr

    assert tool.succeed("recover") == "web: detached\n"

    assert tool.succeed("wait", "web") == f"{status}\n"
    assert tool.plugins.commands("fake") == ["ADD", "DEL"]
    tool.succeed("cleanup", "web")
    tool.assert_nothing_left()


def test_a_monitor_killed_while_attaching_leaves_nothing_after_recover(tool: Tool) -> None:
    tool.plugins.hanging("slow", ["ADD"])
    tool.network("slow", "slow")
    launching = tool.start("run", "--name", "web", "--networks", "slow", "--command", "true")
    assert eventually(lambda: tool.plugins.commands("slow"), ["ADD"]) == ["ADD"]
    tool.kill(tool.status("web")["monitor_pid"])

    assert launching.wait(5).status == 1
    # Init and the plugin do not outlive it.
    assert eventually(tool.host.processes, {}) == {}
    assert tool.state("web") == "lost"
    assert tool.succeed("recover") == "web: detached\n"
    assert tool.plugins.commands("slow") == ["ADD", "DEL"]
    tool.succeed("cleanup", "web")
    tool.assert_nothing_left()


def test_cleanup_finishes_a_lost_container_by_itself(tool: Tool) -> None:
    tool.detached("web", ENDLESS, "--networks", "net")
    status = tool.status("web")
    tool.kill(status["monitor_pid"])
    assert "has not ended" in tool.run("cleanup", "web").stderr
    tool.kill(status["pid"])
    assert eventually(lambda: tool.state("web"), "lost") == "lost"

    tool.succeed("cleanup", "web")

    assert tool.plugins.commands("fake") == ["ADD", "DEL"]
    tool.assert_nothing_left()


def test_a_process_that_got_the_number_later_is_not_the_container(tool: Tool) -> None:
    tool.detached("web", ENDLESS)
    status = tool.status("web")
    tool.kill(status["monitor_pid"])
    tool.kill(status["pid"])
    assert eventually(lambda: tool.state("web"), "lost") == "lost"
    other = tool.host.start(["sleep", "60"])
    init = record(tool, "web", "init.json")
    path = tool.host.path(f"{RUNTIME}/containers/web/init.json")
    path.write_text(json.dumps({**init, "pid": other.pid_inside}))

    assert tool.state("web") == "lost"
    assert tool.run("kill", "--signal", "KILL", "web").status == 1
    assert tool.succeed("recover") == "web: detached\n"
    assert other.running


def test_what_only_the_isolator_knows_is_detached_and_what_lives_is_not(tool: Tool) -> None:
    for name in ("web", "old"):
        tool.detached(name, ENDLESS, "--networks", "net")
    old = tool.status("old")
    tool.kill(old["monitor_pid"])
    tool.kill(old["pid"])
    tool.host.run(["rm", "-r", f"{RUNTIME}/containers/old"])

    assert tool.succeed("recover") == "old: detached, known to nobody\n"

    calls = [(call.command, call.env["CNI_CONTAINERID"]) for call in tool.plugins.calls("fake")]
    assert calls == [("ADD", "web"), ("ADD", "old"), ("DEL", "old")]


def test_recovery_leaves_alone_what_is_being_attached(tool: Tool) -> None:
    tool.plugins.hanging("slow", ["ADD"])
    tool.network("slow", "slow")
    launching = tool.start("run", "--name", "web", "--networks", "slow", "--command", "true")
    assert eventually(lambda: tool.plugins.commands("slow"), ["ADD"]) == ["ADD"]

    assert tool.succeed("recover") == ""

    assert tool.plugins.commands("slow") == ["ADD"]
    assert tool.state("web") == "starting"
    launching.kill(signal.SIGINT)
    launching.wait()
    tool.assert_nothing_left()


def test_recovery_tells_the_isolator_again_what_it_has_forgotten(tool: Tool) -> None:
    tool.detached("web", ENDLESS, "--networks", "net")
    record = tool.host.path(f"{RUNTIME}/isolators/network/cni/web/.container.json")
    before = record.read_bytes()
    record.unlink()

    tool.run("recover")

    assert record.read_bytes() == before


def test_recovery_reports_what_it_cannot_read_and_goes_on(tool: Tool) -> None:
    tool.detached("web", ENDLESS)
    tool.detached("bad", ENDLESS)
    monitor = tool.status("web")["monitor_pid"]
    tool.host.path(f"{RUNTIME}/containers/bad/spec.json").write_text("{")
    containers = tool.host.path(f"{RUNTIME}/containers")
    (containers / "stray").touch()
    (containers / "link").symlink_to("/run")
    # No process has this PID: it is beyond the kernel's limit.
    (containers / ".new-4194305-dead").mkdir()
    (containers / ".old-4194305-dead").mkdir()
    tool.kill(monitor)

    left = tool.run("recover")

    assert (left.status, left.stdout) == (1, "web: monitored again\n")
    unread, *others = left.stderr.splitlines()
    assert "bad/spec.json" in unread
    assert others == [
        f"mesos-cni: {RUNTIME}/containers/{name}: it is no container's directory"
        for name in ("link", "stray")
    ]
    assert sorted(entry.name for entry in containers.iterdir()) == ["bad", "link", "stray", "web"]
    assert "web" in tool.run("ps").stdout


@pytest.mark.parametrize(
    ("record", "content", "named"),
    [
        ("spec.json", {"spec": "x"}, "spec: must be an object"),
        (
            "spec.json",
            {"spec": {"container_id": "web"}, "created": "x"},
            "created: must be a number",
        ),
        (
            "spec.json",
            {"spec": {"container_id": "web"}, "settings": []},
            "settings: must be an object",
        ),
        (
            "spec.json",
            {"spec": {"container_id": "no"}},
            "spec.container_id: is of another container",
        ),
        ("attached.json", {"network_infos": 5}, "network_infos: must be an array"),
        (
            "attached.json",
            {"network_infos": [{"ip_addresses": [1]}]},
            "network_infos.ip_addresses[0]: must",
        ),
        ("attached.json", {"started": "x"}, "started: must be a number"),
        ("attached.json", {"environment": {"A": 1}}, "environment.A: must be a string"),
        ("exit.json", {"status": "x"}, "status: must be a whole number"),
        ("exit.json", {"finished": []}, "finished: must be a number"),
        ("init.json", {"pid": "x"}, "pid: must be a whole number"),
    ],
)
def test_a_record_of_another_shape_is_named_and_ends_nobody(
    tool: Tool, record: str, content: object, named: str
) -> None:
    tool.detached("web", ENDLESS)
    tool.detached("other", ENDLESS)
    path = tool.host.path(f"{RUNTIME}/containers/web/{record}")
    before = path.read_text() if path.exists() else None
    path.write_text(json.dumps(content))
    complaint = f"mesos-cni: {RUNTIME}/containers/web/{record}: {named}"

    for command in (("ps", "--quiet"), ("recover",), ("status", "web")):
        left = tool.run(*command)
        assert (left.status, left.stderr.count("\n")) == (1, 1)
        assert left.stderr.startswith(complaint)
    agent = Agent(tool).ready()
    assert list(agent.states()) == ["other"]
    assert agent.end()[0] == 0

    if before is None:
        path.unlink()
    else:
        path.write_text(before)
    tool.succeed("kill", "--grace", "0", "web")


def test_settings_of_another_shape_are_named(tool: Tool) -> None:
    tool.detached("web", ENDLESS)
    path = tool.host.path(f"{RUNTIME}/containers/web/spec.json")
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "settings": {"plugin_timeout": "x"}}))

    left = tool.run("usage", "web")

    assert (left.status, left.stderr) == (
        1,
        "mesos-cni: spec.json: settings.plugin_timeout: cannot be 'x'\n",
    )


def test_a_running_container_of_whose_networks_nothing_is_known_is_named(tool: Tool) -> None:
    for name in ("web", "other"):
        tool.detached(name, ENDLESS, "--networks", "net")
    directory = f"{RUNTIME}/isolators/network/cni/web"
    tool.host.run(["sh", "-c", f"umount {directory}/ns && rm -r {directory}"])

    left = tool.run("recover")

    complaint = "mesos-cni: web: it runs, and nothing is known of its networks any more\n"
    assert (left.status, left.stdout, left.stderr) == (1, "", complaint)
