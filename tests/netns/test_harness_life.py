"""A container's life without its launcher: detach, look, wait, signal, enter, kill."""

import json
import signal

import pytest

from tests.netns.containers import ADDRESS, ENDLESS, FROZEN, Tool
from tests.support.gate import need_file
from tests.support.host import Host
from tests.support.waiting import eventually

BYE = f"trap 'echo bye; exit 5' TERM; echo hello; {ENDLESS}"
UNTIL_TOLD = "while [ ! -e /run/end ]; do sleep 0.02; done; exit {}"


@pytest.fixture
def tool(host: Host) -> Tool:
    made = Tool(host)
    made.network("net")
    return made


def test_a_detached_container_can_be_looked_at_stopped_and_forgotten(tool: Tool) -> None:
    tool.detached("web", BYE, "--networks", "net", "--port", "8080:80")
    status = tool.status("web")

    assert (status["state"], status["monitored"]) == ("running", True)
    assert status["network_infos"] == [
        {
            "name": "net",
            "ip_addresses": [{"ip_address": ADDRESS, "protocol": "IPv4"}],
            "port_mappings": [{"host_port": 8080, "container_port": 80}],
        }
    ]
    assert tool.succeed("ps").splitlines()[1].split()[:5] == [
        "web",
        "running",
        str(status["pid"]),
        "net",
        ADDRESS,
    ]
    assert tool.succeed("ps", "--quiet") == "web\n"
    assert tool.succeed("kill", "web") == ""
    assert tool.succeed("wait", "web") == "5\n"
    assert tool.succeed("logs", "web") == "hello\nbye\n"
    assert tool.status("web")["ended"]["detached"] is True
    assert tool.plugins.commands("fake") == ["ADD", "DEL"]
    assert tool.succeed("cleanup", "web") == ""
    tool.assert_nothing_left()


def test_the_frozen_program_does_the_same(host: Host) -> None:
    need_file(FROZEN, "make build")
    frozen = Tool(host, [str(FROZEN)])
    frozen.network("net")
    frozen.detached("web", BYE, "--networks", "net")

    assert ADDRESS in frozen.succeed("ps")
    assert frozen.succeed("exec", "web", "hostname") == "web\n"
    frozen.succeed("kill", "web")
    assert frozen.succeed("wait", "web") == "5\n"
    frozen.succeed("cleanup", "--all")
    frozen.assert_nothing_left()


def test_usage_counts_what_goes_over_the_containers_interfaces(tool: Tool) -> None:
    tool.detached("web", ENDLESS, "--networks", "net")

    usage = json.loads(tool.succeed("usage", "--json", "web"))

    assert len(usage) == 8
    assert all(name.startswith("net_") for name in usage)


def test_waiting_ends_with_the_container_and_not_before(tool: Tool) -> None:
    tool.detached("web", UNTIL_TOLD.format(7), "--networks", "net")
    process = tool.start("wait", "web")

    assert tool.run("wait", "--timeout", "0.1", "web").status == 1
    assert process.running
    tool.host.path("/run/end").touch()
    assert process.wait().stdout == b"7\n"
    # It was detached by then.
    assert tool.plugins.commands("fake") == ["ADD", "DEL"]


def test_logs_can_be_followed(tool: Tool) -> None:
    tool.detached("web", "echo one; sleep 0.3; echo two; echo err >&2")
    left = tool.run("logs", "-f", "web")

    assert (left.status, left.stdout, left.stderr) == (0, "one\ntwo\n", "err\n")


def test_a_stubborn_container_is_killed_after_the_grace_period(tool: Tool) -> None:
    tool.detached("web", f"trap '' TERM; {ENDLESS}")
    tool.succeed("kill", "--grace", "0.2", "web")

    assert tool.succeed("wait", "web") == "137\n"
    tool.succeed("cleanup", "web")
    tool.assert_nothing_left()


def test_a_signal_alone_is_sent_and_not_waited_for(tool: Tool) -> None:
    tool.detached("web", f"trap 'echo got' USR1; {ENDLESS}")
    tool.succeed("kill", "--signal", "USR1", "web")

    assert eventually(lambda: tool.succeed("logs", "web"), "got\n") == "got\n"
    assert tool.state("web") == "running"
    tool.succeed("kill", "--signal", "9", "web")
    assert tool.succeed("wait", "web") == "137\n"


def test_a_container_that_is_being_attached_can_be_killed(tool: Tool) -> None:
    tool.plugins.hanging("slow", ["ADD"])
    tool.network("slow", "slow")
    launching = tool.start("run", "-d", "--name", "web", "--networks", "slow", "--command", "true")
    assert eventually(lambda: tool.plugins.commands("slow"), ["ADD"]) == ["ADD"]
    assert tool.state("web") == "starting"

    tool.succeed("kill", "web")

    assert launching.wait(5).status == 1
    assert tool.plugins.commands("slow") == ["ADD", "DEL"]
    tool.assert_nothing_left()


def test_exec_is_in_all_namespaces_and_ends_with_the_commands_status(tool: Tool) -> None:
    tool.detached("web", ENDLESS, "--networks", "net", "--env", '{"A": "b"}')
    shown = "for kind in mnt uts ipc pid net; do readlink /proc/self/ns/$kind; done"
    inner = tool.succeed("exec", "web", "--", "sh", "-c", shown).splitlines()
    init = tool.status("web")["pid"]
    theirs = tool.host.run(["sh", "-c", shown.replace("self", str(init))]).text.splitlines()

    assert inner == theirs
    said = tool.run("exec", "web", "sh", "-c", "echo $A $LIBPROCESS_IP $MESOS_CONTAINER_IP; exit 9")
    assert (said.status, said.stdout) == (9, f"b 0.0.0.0 {ADDRESS}\n")
    assert tool.run("exec", "web", "sh", "-c", "kill -TERM $$").status == 143
    missing = tool.run("exec", "web", "/no/such")
    assert missing.status == 127
    assert missing.stderr == "mesos-cni: cannot run /no/such: No such file or directory\n"


def test_exec_reads_our_input_passes_signals_and_ends_with_the_container(tool: Tool) -> None:
    tool.detached("web", BYE)
    assert tool.run("exec", "web", "cat", input=b"hello").stdout == "hello"
    trapped = tool.start("exec", "web", "sh", "-c", f"trap 'exit 6' INT; echo up; {ENDLESS}")
    assert trapped.stdout_line() == b"up"
    trapped.kill(signal.SIGINT)
    assert trapped.wait().status == 6
    endless = tool.start("exec", "web", "sh", "-c", f"echo up; {ENDLESS}")
    assert endless.stdout_line() == b"up"

    tool.succeed("kill", "web")

    assert endless.wait().status == 137
    tool.succeed("cleanup", "web")
    tool.assert_nothing_left()


def test_a_container_survives_its_launcher(tool: Tool) -> None:
    process = tool.start("run", "--name", "web", "--networks", "net", "--command", BYE)
    assert process.stdout_line() == b"hello"

    process.kill(signal.SIGKILL)
    process.wait()

    assert tool.state("web") == "running"
    assert tool.plugins.commands("fake") == ["ADD"]
    tool.succeed("kill", "web")
    assert tool.succeed("wait", "web") == "5\n"
    tool.succeed("cleanup", "web")
    tool.assert_nothing_left()


def test_a_launcher_that_dies_during_the_launch_does_not_stop_it(tool: Tool) -> None:
    tool.plugins.scripted("slow", {"ADD": 'sleep 0.5; echo \'{"cniVersion":"1.0.0"}\''})
    tool.network("slow", "slow")
    process = tool.start("run", "--name", "web", "--networks", "slow", "--command", BYE)
    assert eventually(lambda: tool.plugins.commands("slow"), ["ADD"]) == ["ADD"]
    process.kill(signal.SIGKILL)

    assert eventually(lambda: tool.state("web"), "running") == "running"
    tool.succeed("kill", "web")
    tool.succeed("cleanup", "web")
    tool.assert_nothing_left()


def test_when_init_is_killed_the_container_has_ended_and_is_detached(tool: Tool) -> None:
    tool.detached("web", ENDLESS, "--networks", "net")
    tool.kill(tool.status("web")["pid"])

    assert tool.succeed("wait", "web") == "137\n"
    assert tool.plugins.commands("fake") == ["ADD", "DEL"]
    tool.succeed("cleanup", "web")
    tool.assert_nothing_left()


def test_many_containers_at_once(tool: Tool) -> None:
    names = [f"c{number}" for number in range(12)]
    flags = ("run", "--detach", "--networks", "net", "--command", ENDLESS)
    processes = [tool.start(*flags, "--name", name) for name in names]
    assert [process.wait(60).status for process in processes] == [0] * len(names)
    processes = [tool.start("kill", "--grace", "0.1", name) for name in names]
    assert [process.wait(60).status for process in processes] == [0] * len(names)

    tool.succeed("cleanup", "--all")
    tool.assert_nothing_left()
