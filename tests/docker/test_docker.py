"""`mesos-cni run --containerizer docker` with an engine, and packets in all four network modes."""

import signal
import sys

from tests.docker.engine import IMAGE, RUN, Engine
from tests.netns.agents import Agent
from tests.netns.containers import FROZEN
from tests.support.gate import need_file
from tests.support.host import CLIENT_IPV4, HOST_IPV4
from tests.support.traffic import Saw, connect_tcp, connect_udp, serve_tcp, serve_udp
from tests.support.waiting import eventually

_SILENT_REGISTRY = """\
import pathlib, socket
listener = socket.create_server(("127.0.0.1", 5555))
pathlib.Path("/run/listening").touch()
caller, _ = listener.accept()
print("asked", flush=True)
caller.recv(1 << 20)
listener.accept()
listener.accept()
"""


def test_on_a_bridge_its_ports_lead_to_it(engine: Engine) -> None:
    ports = ("--port", "8080:80", "--port", "5300:53/udp")
    web = engine.detached("web", "--network", "bridge", *ports)
    serve_tcp(web, 80)
    serve_udp(web, 53)
    client = engine.host.client

    assert connect_tcp(client, HOST_IPV4, 8080) == Saw("web", CLIENT_IPV4, 80)
    assert connect_udp(client, HOST_IPV4, 5300) == Saw("web", CLIENT_IPV4, 53)
    (info,) = engine.infos("web")
    assert info["name"] == "bridge"
    assert info["port_mappings"] == [
        {"container_port": 53, "host_port": 5300, "protocol": "udp"},
        {"container_port": 80, "host_port": 8080, "protocol": "tcp"},
    ]
    (address,) = info["ip_addresses"]
    assert address["protocol"] == "IPv4"
    assert connect_tcp(engine.host, address["ip_address"], 80) != "unreachable"
    assert f"web   running   {engine.tool.status('web')['pid']}" in engine.tool.succeed("ps")


def test_on_a_network_of_the_users_it_has_an_address_of_that(engine: Engine) -> None:
    engine.docker("network", "create", "--subnet", "10.9.8.0/24", "backend")
    one = engine.detached("one", "--networks", "backend", "--port", "8081:80")
    two = engine.detached("two", "--network", "user", "--networks", "backend")
    serve_tcp(one, 80)

    assert engine.infos("one") == [
        {
            "ip_addresses": [{"ip_address": "10.9.8.2", "protocol": "IPv4"}],
            "name": "backend",
            "port_mappings": [{"container_port": 80, "host_port": 8081, "protocol": "tcp"}],
        }
    ]
    assert connect_tcp(two, "10.9.8.2", 80) == Saw("one", "10.9.8.3", 80)
    seen = Saw("one", CLIENT_IPV4, 80)
    assert connect_tcp(engine.host.client, HOST_IPV4, 8081) == seen


def test_on_the_hosts_network_it_has_the_hosts_address(engine: Engine) -> None:
    plain = engine.detached("plain")
    serve_tcp(plain, 8082)

    seen = Saw("plain", CLIENT_IPV4, 8082)
    assert connect_tcp(engine.host.client, HOST_IPV4, 8082) == seen
    address = {"ip_address": HOST_IPV4, "protocol": "IPv4"}
    assert engine.infos("plain") == [{"ip_addresses": [address]}]


def test_without_a_network_it_reaches_nothing(engine: Engine) -> None:
    alone = engine.detached("alone", "--network", "none")

    assert connect_tcp(alone, HOST_IPV4, 80) == "unreachable"
    assert engine.infos("alone") == [{"name": "none"}]


def test_the_agent_says_what_status_says(engine: Engine) -> None:
    engine.detached("told", "--network", "bridge", "--port", "8083:80")
    agent = Agent(engine.tool).ready()

    task = agent.tasks()["told"]
    agent.end()

    assert task["statuses"][-1]["container_status"]["network_infos"] == engine.infos("told")
    mapping = {"host_port": 8083, "container_port": 80}
    docker = {"image": IMAGE, "network": "BRIDGE", "port_mappings": [mapping]}
    assert task["container"] == {"type": "DOCKER", "docker": docker}


def test_it_is_what_was_asked_for(engine: Engine) -> None:
    engine.shell("mkdir -p /run/given && echo given >/run/given/file")
    flags = ("--env", '{"A": "b  c"}', "--hostname", "h", "--network", "none", "--user", "7:8")
    volume = ("--volume", "/run/given:/mnt:ro", "--workdir", "/mnt")
    script = 'echo "$A"; hostname; cat file; touch x; echo last >&2; exit 7'

    left = engine.run(*flags, *volume, "--command", script)

    assert (left.status, left.stdout) == (7, "b  c\nh\ngiven\n")
    assert left.stderr == "touch: x: Read-only file system\nlast\n"


def test_a_program_is_run_without_a_shell_when_asked(engine: Engine) -> None:
    left = engine.run("--no-shell", "--command", "/bin/echo", "--", "-n", "$HOME", "a  b")

    assert (left.status, left.stdout, left.stderr) == (0, "$HOME a  b", "")


def test_a_signal_reaches_the_command(engine: Engine) -> None:
    script = "trap 'echo heard; exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    process = engine.tool.start(*RUN, "--docker_image", IMAGE, "--command", script)
    assert process.stdout_line() == b"ready"

    process.kill(signal.SIGTERM)

    finished = process.wait(20)
    assert (finished.status, finished.stdout) == (5, b"ready\nheard\n")


def test_it_is_looked_after_like_any_other(engine: Engine) -> None:
    engine.detached("kept", command="echo out; sleep 1000")
    assert eventually(lambda: engine.tool.run("logs", "kept").stdout, "out\n") == "out\n"

    engine.tool.succeed("kill", "--grace", "0.1", "kept")

    assert engine.tool.succeed("wait", "kept") == "137\n"
    assert engine.tool.succeed("logs", "kept") == "out\n"
    assert engine.docker("ps", "--all", "--quiet").text == ""
    engine.tool.succeed("cleanup", "kept")


def test_what_docker_does_better_is_left_to_it(engine: Engine) -> None:
    engine.detached("kept")

    entered, counted = engine.tool.run("exec", "kept", "sh"), engine.tool.run("usage", "kept")

    assert (entered.status, counted.status) == (1, 1)
    assert "`docker exec mesos-cni-kept` does that" in entered.stderr
    assert "`docker stats mesos-cni-kept` has the counters" in counted.stderr


def test_a_container_outlives_its_monitor(engine: Engine) -> None:
    script = "trap 'echo two; exit 4' TERM; echo one; while :; do sleep 0.05; done"
    engine.detached("left", "--network", "bridge", command=script)
    assert eventually(lambda: engine.tool.run("logs", "left").stdout, "one\n") == "one\n"
    engine.tool.kill(engine.tool.status("left")["monitor_pid"])
    assert eventually(lambda: engine.tool.state("left"), "running") == "running"

    engine.tool.succeed("recover")
    engine.tool.succeed("kill", "left")

    assert engine.tool.succeed("wait", "left") == "4\n"
    assert engine.tool.succeed("logs", "left") == "one\ntwo\n"


def test_one_that_ended_without_a_monitor_is_put_in_order(engine: Engine) -> None:
    engine.detached("lost", command="echo one; sleep 1000")
    engine.tool.kill(engine.tool.status("lost")["monitor_pid"])
    engine.docker("kill", "mesos-cni-lost")
    assert eventually(lambda: engine.tool.state("lost"), "lost") == "lost"

    engine.tool.succeed("recover")

    assert engine.tool.succeed("wait", "lost") == "137\n"
    assert engine.docker("ps", "--all", "--quiet").text == ""


def test_one_that_docker_has_forgotten_is_forgotten(engine: Engine) -> None:
    engine.detached("lost")
    engine.tool.kill(engine.tool.status("lost")["monitor_pid"])
    engine.docker("rm", "--force", "mesos-cni-lost")
    assert eventually(lambda: engine.tool.state("lost"), "lost") == "lost"

    engine.tool.succeed("cleanup", "lost")

    assert engine.tool.containers() == []


def test_an_image_that_does_not_come_is_not_waited_for(engine: Engine) -> None:
    registry = engine.host.start([sys.executable, "-c", _SILENT_REGISTRY], None)
    assert eventually(engine.host.path("/run/listening").exists, True)
    image = ("--docker_image", "127.0.0.1:5555/never:1")
    process = engine.tool.start(*RUN, *image, "--name", "early", "--command", "true")
    assert registry.stdout_line() == b"asked"

    process.kill(signal.SIGTERM)

    finished = process.wait(10)
    registry.kill()
    assert finished.status == 1
    assert finished.stderr == b"mesos-cni: interrupted while it was being launched\n"
    assert engine.tool.containers() == []


def test_a_container_of_the_same_name_is_not_touched(engine: Engine) -> None:
    engine.docker("run", "--detach", "--name", "mesos-cni-web", IMAGE, "/bin/sleep", "1000")

    refused = engine.run("--name", "web", "--command", "true")

    assert refused.status == 1
    assert 'The container name "/mesos-cni-web" is already in use' in refused.stderr
    assert engine.tool.containers() == []
    engine.docker("rm", "--force", "mesos-cni-web")


def test_a_lost_container_takes_no_other_of_its_name_along(engine: Engine) -> None:
    engine.detached("lost")
    engine.tool.kill(engine.tool.status("lost")["monitor_pid"])
    engine.docker("rm", "--force", "mesos-cni-lost")
    engine.docker("run", "--detach", "--name", "mesos-cni-lost", IMAGE, "/bin/sleep", "1000")
    assert eventually(lambda: engine.tool.state("lost"), "lost") == "lost"

    engine.tool.succeed("cleanup", "lost")

    running = engine.docker("ps", "--format", "{{.Names}}").text
    assert running == "mesos-cni-lost\n"
    engine.docker("rm", "--force", "mesos-cni-lost")
    assert engine.tool.containers() == []


def test_what_the_engine_refuses_leaves_nothing(engine: Engine) -> None:
    engine.detached("first", "--network", "bridge", "--port", "8084:80")
    word = ("--command", "true")

    taken = engine.run("--network", "bridge", "--port", "8084:80", *word)
    unknown = engine.run("--networks", "nowhere", *word)
    missing = engine.run("--no-shell", "--command", "/no/such")
    absent = engine.run(*word, image="127.0.0.1:9/none:1")
    deaf = engine.run("--docker_socket", "/run/nobody.sock", *word)

    assert (taken.status, unknown.status, missing.status) == (1, 1, 127)
    assert (absent.status, deaf.status) == (1, 1)
    assert "port is already allocated" in taken.stderr
    assert unknown.stderr == "mesos-cni: docker: network nowhere not found\n"
    assert "connection refused" in absent.stderr
    assert deaf.stderr.startswith("mesos-cni: docker: the engine at /run/nobody.sock does not")
    assert [left.stderr.count("\n") for left in (taken, missing, absent, deaf)] == [1, 1, 1, 1]
    assert engine.tool.containers() == ["first"]
    assert engine.docker("ps", "--all", "--format", "{{.Names}}").text == "mesos-cni-first\n"


def test_the_frozen_program_can_do_it_too(engine: Engine) -> None:
    need_file(FROZEN, "make build")
    words = [str(FROZEN), *RUN, "--docker_image", IMAGE, "--network", "bridge", "--command"]

    left = engine.host.run([*words, "echo out; exit 3"], env=engine.tool.environment(), check=False)

    assert (left.status, left.text, left.stderr) == (3, "out\n", b"")
