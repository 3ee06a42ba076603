"""The agent as a service: where it listens, whom it answers, how it comes and goes."""

import configparser
import http.client
import re
import signal
import socket
import stat
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.netns.agents import SOCKET, Agent, Answer, fetch, identity
from tests.netns.containers import FROZEN, ROOT, Left, Tool
from tests.support.gate import need_file
from tests.support.host import HOST_IPV4, Host
from tests.support.process import Process
from tests.support.waiting import eventually

TOKEN = "0123456789abcdef-token"
UNIT = ROOT / "packaging" / "systemd" / "mesos-cni-agent.service"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def tool(host: Host) -> Tool:
    made = Tool(host)
    made.network("net")
    return made


def listening(tool: Tool, *flags: str) -> tuple[Process, str]:
    """Start an agent and return where it says that it listens."""
    process = tool.start("agent", *flags, input=None)
    line = process.stdout_line(15).decode()
    return process, line.removeprefix("listening on ")


def token_file(tool: Tool, mode: int = 0o600) -> str:
    path = tool.host.path("/run/token")
    path.write_text(f"{TOKEN}\n")
    path.chmod(mode)
    return "/run/token"


def test_unless_told_otherwise_it_listens_at_loopback(tool: Tool) -> None:
    process, where = listening(tool)

    assert where == "http://127.0.0.1:5051"
    answer = fetch(tool, "127.0.0.1", 5051, "/state")
    assert answer.document["pid"] == "slave(1)@127.0.0.1:5051"
    elsewhere = tool.host.run(["ss", "-Hltn"]).text.split()
    assert [word for word in elsewhere if word.endswith(":5051")] == ["127.0.0.1:5051"]
    process.kill(signal.SIGTERM)
    assert process.wait(10).status == 0
    tool.assert_nothing_left()


def test_a_page_under_a_foreign_name_is_refused_at_loopback(tool: Tool) -> None:
    process, where = listening(tool, "--ip", "::1", "--port", "0")
    port = int(where.rpartition(":")[2])

    answers = [
        fetch(tool, "::1", port, "/state", {"Host": name}).status
        for name in (f"[::1]:{port}", f"localhost:{port}", f"evil.example:{port}")
    ]
    assert answers == [200, 200, 403]
    process.close()


@pytest.mark.parametrize("ip", ["0.0.0.0", HOST_IPV4, "::"])
def test_beyond_loopback_it_needs_a_token(tool: Tool, ip: str) -> None:
    left = tool.run("agent", "--ip", ip)

    assert left == Left(2, "", f"mesos-cni: --ip: {ip} is not loopback, which needs --token_file\n")
    tool.assert_nothing_left()


def test_only_the_token_lets_in(tool: Tool) -> None:
    process, _ = listening(tool, "--ip", HOST_IPV4, "--token_file", token_file(tool))

    def ask(headers: Mapping[str, str], path: str = "/state") -> Answer:
        return fetch(tool, HOST_IPV4, 5051, path, headers)

    good = {"Authorization": f"Bearer {TOKEN}"}
    assert ask(good).status == 200
    assert ask({**good, "Host": "agent.example"}).status == 200
    for bad in ({}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": f"Basic {TOKEN}"}):
        for path in ("/state", "/metrics", "/containers", "/nowhere"):
            refused = ask(bad, path)
            assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    body = '{"type": "GET_STATE"}'
    call = fetch(tool, HOST_IPV4, 5051, "/api/v1", JSON, method="POST", body=body)
    assert call.status == 401
    assert eventually(lambda: ask({}, "/health").status, 200) == 200
    process.close()


@pytest.mark.parametrize(
    ("mode", "content", "words"),
    [
        (0o640, TOKEN, "has mode 0640"),
        (0o604, TOKEN, "has mode 0604"),
        (0o600, "", "must hold one word"),
        (0o600, "short", "at least 16 characters"),
    ],
)
def test_a_token_file_that_will_not_do_is_refused(
    tool: Tool, mode: int, content: str, words: str
) -> None:
    path = token_file(tool, mode)
    tool.host.path(path).write_text(content)
    left = tool.run("agent", "--token_file", path)

    assert (left.status, left.stderr.count("\n")) == (2, 1)
    assert left.stderr.startswith("mesos-cni: --token_file: ")
    assert words in left.stderr


@pytest.mark.parametrize(
    ("flags", "status", "words"),
    [
        (["--port", "x"], 2, "--port"),
        (["--port", "65536"], 2, "--port"),
        (["--ip", "here"], 2, "--ip: 'here' is not an IP address"),
        (["--ip", "192.0.2.77", "--token_file", "/run/token"], 1, "cannot listen on 192.0.2.77"),
        (["--socket", "agent.sock"], 2, "--socket: must be an absolute path"),
        (["--socket", "/run/no/agent.sock"], 1, "--socket: /run/no: no such directory"),
        (["--socket", "/run/token"], 1, "cannot listen on /run/token: Address already in use"),
        (["--socket", SOCKET, "--port", "1"], 2, "--port: cannot be given together"),
        (["--token_file", "/run/none"], 2, "--token_file: /run/none: No such file"),
        (["--network_cni_config_dir", "/run/none"], 1, "network_cni_config_dir"),
        (["extra"], 2, "extra"),
    ],
)
def test_a_flag_that_cannot_be_is_refused_by_name(
    tool: Tool, flags: list[str], status: int, words: str
) -> None:
    token_file(tool)
    left = tool.run("agent", *flags)

    assert (left.status, left.stdout, left.stderr.count("\n")) == (status, "", 1)
    assert words in left.stderr
    assert eventually(tool.host.processes, {}) == {}


def test_a_socket_is_roots_alone_and_goes_with_the_agent(tool: Tool, agent: Agent) -> None:
    path = tool.host.path(SOCKET)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert agent.end()[0] == 0
    assert not path.exists()


def test_a_socket_that_a_killed_agent_left_is_taken_over(tool: Tool, agent: Agent) -> None:
    agent.kill()
    assert tool.host.path(SOCKET).exists()
    agent.restart()

    assert agent.get("/state").status == 200


def test_a_second_agent_is_refused_and_the_first_not_disturbed(tool: Tool, agent: Agent) -> None:
    for flags in (["--socket", SOCKET], ["--port", "0"]):
        left = tool.run("agent", *flags)
        assert left == Left(1, "", "mesos-cni: another agent looks after /run/mesos\n")
    other = tool.run("--runtime_dir", "/run/elsewhere", "agent", "--socket", SOCKET)

    assert other == Left(1, "", f"mesos-cni: cannot listen on {SOCKET}: Address already in use\n")
    assert agent.get("/health").status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_it_leaves_containers_alone(tool: Tool, agent: Agent, number: int) -> None:
    agent.launch("web", {"name": "net"})

    def wait() -> None:
        with pytest.raises((http.client.HTTPException, OSError)):
            agent.call("WAIT_CONTAINER", container_id=identity("web"))

    waiting = threading.Thread(target=wait)
    waiting.start()
    before = tool.status("web")
    agent.process.kill(number)

    assert agent.process.wait(10).status == 0
    waiting.join()
    assert tool.status("web") == before
    names = [line[0] for line in tool.host.processes().values()]
    assert not [name for name in names if "agent" in name]
    assert tool.plugins.commands("fake") == ["ADD"]


def test_without_its_launcher_it_gives_up(tool: Tool, agent: Agent) -> None:
    agent.launch("web", {"name": "net"})
    (launcher,) = (pid for pid, line in tool.host.processes().items() if "launcher" in line[0])
    tool.kill(launcher)
    finished = agent.process.wait(10)

    assert (finished.status, finished.stderr.count(b"\n")) == (1, 1)
    assert b"the launcher ended" in finished.stderr
    assert tool.state("web") == "running"


def test_systemd_is_told_when_it_is_ready_alive_and_leaving(tool: Tool) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tool.host.path("/run/notify")))
        systemd.settimeout(10)
        environment = {
            **tool.environment(),
            "NOTIFY_SOCKET": "/run/notify",
            "WATCHDOG_USEC": "200000",
        }
        argv = [*tool.argv, "agent", "--socket", SOCKET]
        process = tool.host.start(argv, None, environment)

        assert systemd.recv(1000).startswith(b"READY=1\n")
        assert [systemd.recv(1000) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        process.kill(signal.SIGTERM)
        told = b""
        while told != b"STOPPING=1":
            told = systemd.recv(1000)
        assert process.wait(10).status == 0


def test_a_container_knows_nothing_of_systemd_or_the_token(tool: Tool) -> None:
    environment = {**tool.environment(), "NOTIFY_SOCKET": "/run/notify", "SECRET": "x"}
    argv = [*tool.argv, "agent", "--socket", SOCKET, "--token_file", token_file(tool)]
    process = tool.host.start(argv, None, environment)
    process.stdout_line(15)
    tool.detached("web", "env >/run/seen; ls /proc/self/fd | wc -l >>/run/seen; sleep 60")

    assert "NOTIFY" not in tool.host.path("/run/seen").read_text()
    process.close()


def test_the_unit_keeps_containers_and_matches_the_program(tool: Tool) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[method-assign, assignment]
    unit.read(UNIT)
    service = unit["Service"]

    assert (service["Type"], service["KillMode"]) == ("notify", "process")
    program, *flags = service["ExecStart"].split()
    assert Path(program).name == "mesos-cni"
    assert not [key for key in service if key.startswith(("Private", "Protect", "RuntimeDir"))]
    process, where = listening(tool, *flags[1:])
    assert where == f"unix:{re.sub('.*--socket ', '', service['ExecStart'])}"
    process.close()


def test_the_frozen_program_serves_too(host: Host) -> None:
    need_file(FROZEN, "make build")
    tool = Tool(host, [str(FROZEN)])
    tool.network("net")
    agent = Agent(tool).ready()

    assert agent.launch("web", {"name": "net"}).status == 200
    assert agent.states() == {"web": "TASK_RUNNING"}
    assert "mesos_cni_launches_total" in agent.get("/metrics").text
    agent.kill()
    agent.restart()
    assert agent.call("KILL_CONTAINER", container_id=identity("web")).status == 200
    assert agent.call("WAIT_CONTAINER", container_id=identity("web")).status == 200
    assert agent.call("REMOVE_CONTAINER", container_id=identity("web")).status == 200
    assert agent.end()[0] == 0
    tool.assert_nothing_left()
