"""`mesos-cni run` in the foreground: a container is as good as the command itself."""

import signal

import pytest

from tests.netns.containers import ADDRESS, ENDLESS, FROZEN, Tool
from tests.support.gate import need, need_file
from tests.support.host import Host
from tests.support.waiting import eventually


@pytest.fixture(params=["source", "frozen"])
def tool(request: pytest.FixtureRequest, host: Host) -> Tool:
    if request.param == "source":
        return Tool(host)
    need_file(FROZEN, "make build")
    return Tool(host, [str(FROZEN)])


@pytest.fixture
def source(host: Host) -> Tool:
    return Tool(host)


@pytest.mark.parametrize(
    ("command", "status"), [("exit 3", 3), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
)
def test_the_exit_status_is_the_commands(source: Tool, command: str, status: int) -> None:
    assert source.run("run", "--command", command).status == status
    source.assert_nothing_left()


def test_output_comes_on_the_stream_it_was_written_to(tool: Tool) -> None:
    left = tool.run("run", "--command", "echo out; echo err >&2; sleep 0.1; echo last")

    assert (left.status, left.stdout, left.stderr) == (0, "out\nlast\n", "err\n")
    tool.assert_nothing_left()


def test_a_program_is_run_without_a_shell_when_asked(source: Tool) -> None:
    left = source.run("run", "--no-shell", "--command", "/bin/echo", "--", "-n", "$HOME", "a  b")

    assert left.stdout == "$HOME a  b"


@pytest.mark.parametrize(
    ("program", "status", "words"),
    [
        ("/no/such", 127, "cannot run /no/such: No such file or directory"),
        ("/etc/passwd", 126, "cannot run /etc/passwd: Permission denied"),
    ],
)
def test_a_program_that_cannot_be_run_is_named(
    source: Tool, program: str, status: int, words: str
) -> None:
    left = source.run("run", "--no-shell", "--command", program)

    assert (left.status, left.stderr) == (status, f"mesos-cni: {words}\n")
    source.assert_nothing_left()


def test_environment_user_and_directory_are_what_was_asked_for(source: Tool) -> None:
    left = source.run(
        "run", "--env", '{"A": "b c"}', "--user", "daemon", "--workdir", "/usr", "--command",
        "echo $A; id -un; pwd; echo $HOME; env | cut -d= -f1 | sort | xargs",
    )  # fmt: skip

    names = "A HOME MESOS_CONTAINER_IP PATH PWD"
    assert left.stdout.splitlines() == ["b c", "daemon", "/usr", "/usr/sbin", names]


def test_each_container_has_namespaces_of_its_own_and_without_a_network_the_hosts(
    source: Tool,
) -> None:
    shown = "for kind in mnt uts ipc pid net; do readlink /proc/self/ns/$kind; done"
    ours = source.host.run(["sh", "-c", shown]).text.splitlines()
    theirs = source.run("run", "--command", shown).stdout.splitlines()

    differs = [mine != other for mine, other in zip(ours, theirs, strict=True)]
    assert differs == [True, True, True, True, False]


def test_the_container_sees_its_own_processes_only(source: Tool) -> None:
    left = source.run("run", "--name", "web", "--command", "ps -o pid= -o args= ax; true")

    assert left.stdout.splitlines()[0].split(maxsplit=1) == ["1", "mesos-cni: init of web"]
    assert len(left.stdout.splitlines()) <= 3


def test_init_reaps_what_nobody_else_waits_for(source: Tool) -> None:
    # Each of these outlives its parent, and ends.
    orphans = "for n in 1 2 3 4 5; do sh -c 'sleep 0.05 &'; done; sleep 0.5; ps -o stat= ax"
    states = source.run("run", "--command", orphans).stdout.split()

    assert states != []
    assert [state for state in states if state.startswith("Z")] == []


def test_what_the_command_leaves_running_ends_with_it(source: Tool) -> None:
    assert source.run("run", "--command", "setsid sleep 60 & exit 0").status == 0
    source.assert_nothing_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_signals_reach_the_command(tool: Tool, number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    process = tool.start("run", "--command", f"trap 'exit 42' {name}; echo ready; {ENDLESS}")
    assert process.stdout_line() == b"ready"

    process.kill(number)

    assert process.wait().status == 42
    tool.assert_nothing_left()


def test_a_container_reads_nothing_unless_it_may(source: Tool) -> None:
    assert source.run("run", "--command", "cat", input=b"secret").stdout == ""
    assert source.run("run", "-i", "--command", "cat", input=b"hello").stdout == "hello"


def test_a_reader_that_leaves_ends_the_container_as_it_would_a_command(source: Tool) -> None:
    line = " ".join([*source.argv, "run", "--command", "yes", "|", "head", "-n1"])
    finished = source.host.run(["sh", "-c", line], env=source.environment())

    assert finished.text == "y\n"
    source.assert_nothing_left()


def test_networks_are_attached_in_order_and_detached_at_the_end(tool: Tool) -> None:
    tool.network("one", "first")
    tool.network("two", "second")
    left = tool.run(
        "run", "--name", "web", "--networks", "one,two", "--port", "8080:80/udp",
        "--label", "app=web", "--command", "cat /etc/hosts; hostname; echo $MESOS_CONTAINER_IP",
    )  # fmt: skip

    hosts = ["127.0.0.1 localhost", f"{ADDRESS} web"]
    assert left.stdout.splitlines()[:2] == hosts
    assert left.stdout.splitlines()[-2:] == ["web", ADDRESS]
    for plugin, network, ifname in (("first", "one", "eth0"), ("second", "two", "eth1")):
        add, delete = tool.plugins.calls(plugin)
        assert (add.command, delete.command) == ("ADD", "DEL")
        assert add.env["CNI_IFNAME"] == ifname
        info = add.config["args"]["org.apache.mesos"]["network_info"]
        extra = {} if network == "two" else {
            "labels": {"labels": [{"key": "app", "value": "web"}]},
            "port_mappings": [{"container_port": 80, "host_port": 8080, "protocol": "udp"}],
        }  # fmt: skip
        assert info == {"name": network, **extra}
    tool.assert_nothing_left()


def test_a_network_that_fails_fails_the_launch_and_leaves_nothing(tool: Tool) -> None:
    tool.plugins.failing("broken", 7, "out of cheese", ["ADD"])
    tool.network("good")
    tool.network("bad", "broken")
    left = tool.run("run", "--networks", "good,bad", "--command", "echo never")

    assert (left.status, left.stdout) == (1, "")
    assert "out of cheese" in left.stderr
    assert len(left.stderr.splitlines()) == 1
    assert tool.plugins.commands("fake") == ["ADD", "DEL"]
    assert tool.plugins.commands("broken") == ["ADD", "DEL"]
    tool.assert_nothing_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_launch_that_hangs_can_be_interrupted(tool: Tool, number: int) -> None:
    tool.plugins.hanging("slow", ["ADD"])
    tool.network("slow", "slow")
    process = tool.start("run", "--networks", "slow", "--command", "echo never")
    assert eventually(lambda: tool.plugins.commands("slow"), ["ADD"]) == ["ADD"]

    process.kill(number)

    finished = process.wait(10)
    assert (finished.status, finished.stdout) == (1, b"")
    assert b"interrupted" in finished.stderr
    assert tool.plugins.commands("slow") == ["ADD", "DEL"]
    tool.assert_nothing_left()


def test_a_plugin_has_a_deadline(source: Tool) -> None:
    source.plugins.hanging("slow", ["ADD"])
    source.network("slow", "slow")
    left = source.run("run", "--plugin_timeout", "0.3", "--networks", "slow", "--command", "true")

    assert left.status == 1
    source.assert_nothing_left()


def test_a_detach_that_fails_is_told_and_can_be_repeated(source: Tool) -> None:
    source.plugins.failing("stuck", 11, "not now", ["DEL"])
    source.network("net", "stuck")
    left = source.run("run", "--name", "web", "--networks", "net", "--command", "exit 0")

    assert left.status == 1
    assert "not now" in left.stderr
    assert source.containers() == ["web"]
    again = source.run("cleanup", "web")
    assert (again.status, "not now" in again.stderr) == (1, True)
    source.plugins.recording("stuck")
    assert source.succeed("cleanup", "web") == ""
    source.assert_nothing_left()


def test_a_name_is_taken_until_its_container_is_cleaned_up(source: Tool) -> None:
    source.detached("web", "exit 0")
    source.succeed("wait", "web")
    left = source.run("run", "--name", "web", "--command", "true")

    assert (left.status, left.stderr) == (1, "mesos-cni: there is a container 'web' already\n")
    source.succeed("cleanup", "web")
    source.assert_nothing_left()


def test_the_descriptors_of_the_caller_do_not_reach_the_container(source: Tool) -> None:
    line = " ".join([*source.argv, "run", "--command", "'ls /proc/self/fd | xargs'"])
    finished = source.host.run(
        ["sh", "-c", f"exec 7</etc/passwd; {line}"], env=source.environment()
    )

    # The fourth is by which ls reads the directory.
    assert finished.text == "0 1 2 3\n"


@pytest.mark.parametrize("number", ["TERM", "INT", "HUP"])
def test_a_signal_that_comes_as_soon_as_there_is_a_container_ends_it(
    source: Tool, number: str
) -> None:
    need("strace")
    # The first child it collects is the one that has just begotten the monitor.
    injection = ("-e", f"inject=wait4:signal={number}:when=1", "-e", "trace=wait4")
    source.argv = ("strace", "-qq", "-o", "/dev/null", *injection, *source.argv)

    left = source.run("run", "--command", ENDLESS)

    assert left.status != 0
    source.assert_nothing_left()
