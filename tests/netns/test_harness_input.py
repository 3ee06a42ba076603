"""Whatever is wrong with what was asked for: one line that names it, and nothing left behind."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.netns.containers import Tool
from tests.support.host import Host

RUN = ("run", "--command", "true")
TASK: dict[str, Any] = {"name": "web", "task_id": {"value": "web"}, "command": {"value": "true"}}
NOT_A_NUMBER = float("nan")
DEEP: Any = json.loads("[" * 500 + "]" * 500)


@pytest.fixture
def tool(host: Host) -> Tool:
    made = Tool(host)
    made.network("net")
    return made


def refused(tool: Tool, *arguments: str) -> tuple[int, str]:
    left = tool.run(*arguments)
    assert left.stdout == ""
    assert len(left.stderr.splitlines()) == 1
    assert left.stderr.startswith("mesos-cni: ")
    assert "Traceback" not in left.stderr
    tool.assert_nothing_left()
    return left.status, left.stderr.removeprefix("mesos-cni: ").rstrip("\n")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("run",), "--command"),
        ((*RUN, "--name", "../x"), "--name"),
        ((*RUN, "--name", ""), "--name"),
        ((*RUN, "--name", "a" * 300), "--name"),
        ((*RUN, "--name", "a..b"), "--name"),
        ((*RUN, "--name", ".a"), "--name"),
        ((*RUN, "--env", "["), "--env"),
        ((*RUN, "--env", "[]"), "--env"),
        ((*RUN, "--env", '{"A": 1}'), "--env: A"),
        ((*RUN, "--env", '{"A=B": ""}'), "--env"),
        ((*RUN, "--env", "/no/such"), "--env"),
        ((*RUN, "--env", ""), "--env: is empty"),
        ((*RUN, "--env", '{"A": NaN}'), "--env: not JSON: NaN"),
        ((*RUN, "--env", '{"A": "\\ud800"}'), "--env: A: '\\ud800' has half"),
        ((*RUN, "--env", '{"\\ud800": ""}'), "--env: a key: '\\ud800' has half"),
        ((*RUN, "--hostname", "a b"), "--hostname"),
        ((*RUN, "--hostname", "a" * 65), "--hostname"),
        ((*RUN, "--rootfs", "/no/such"), "--rootfs"),
        ((*RUN, "--rootfs", ""), "--rootfs: is empty"),
        ((*RUN, "--user", ""), "--user: is empty"),
        ((*RUN, "--port", "80:80"), "--port"),
        ((*RUN, "--networks", "net", "--port", "0:80"), "--port"),
        ((*RUN, "--networks", "net", "--port", "80"), "--port"),
        ((*RUN, "--networks", "net", "--port", "8" * 5000 + ":80"), "--port"),
        ((*RUN, "--networks", "net", "--port", "80:65536"), "--port"),
        ((*RUN, "--networks", "net", "--port", "80:80/icmp"), "--port"),
        ((*RUN, "--networks", "net", "--label", "=x"), "--label"),
        ((*RUN, "--label", "a=b"), "--label"),
        ((*RUN, "--volume", "a:b"), "--volume"),
        ((*RUN, "--volume", "/a"), "--volume"),
        ((*RUN, "--volume", "/run/../etc:/x"), "--volume"),
        ((*RUN, "--volume", "/no/such:/x"), "host_path /no/such"),
        ((*RUN, "--workdir", "x"), "--workdir"),
        ((*RUN, "--workdir", ""), "--workdir: is empty"),
        ((*RUN, "--runtime_dir", ""), "--runtime_dir: is empty"),
        ((*RUN, "--docker_socket", "/run/docker.sock"), "--docker_socket"),
        ((*RUN, "--tty"), "--tty"),
        ((*RUN, "--plugin_timeout", "0"), "--plugin_timeout"),
        ((*RUN, "--plugin-timeout", "x"), "--plugin_timeout"),
        ((*RUN, "--plugin_timeout", "nan"), "--plugin_timeout"),
        ((*RUN, "--default_container_dns", ""), "--default_container_dns: is empty"),
        ((*RUN, "--default_container_dns", '{"x": NaN}'), "--default_container_dns: not JSON"),
        ((*RUN, "--default_container_dns", "{"), "--default_container_dns"),
        ((*RUN, "--default_container_dns", '{"mesos": 1}'), "--default_container_dns.mesos"),
        ((*RUN, "--network_cni_root_dir_persist=maybe"), "--network_cni_root_dir_persist"),
        ((*RUN, "--network_cni_root_dir_persist"), "--work_dir"),
        ((*RUN, "extra"), "--command"),
        ((*RUN, "--no-such-flag"), "--no-such-flag"),
        (("run", "--task", "{}", "--command", "true"), "--command"),
        (("run", "--task", "{}", "--task_group", "{}"), "--task_group"),
        (("run", "--task", "[]"), "--task"),
        (("run", "--task", ""), "--task: is empty"),
        (("run", "--task_group", ""), "--task_group: is empty"),
        (("run", "--task", "nothing"), "--task"),
        (("run", "--task_group", "{}"), "tasks"),
        (("kill", "--signal", "NOPE", "web"), "--signal"),
        (("kill", "../web"), "CONTAINER_ID"),
        (("kill",), "CONTAINER_ID"),
        (("cleanup",), "CONTAINER_ID"),
        (("exec", "web"), "ARGUMENTS"),
        (("exec", "--user", "", "web", "true"), "--user: is empty"),
        (("exec", "--env", "", "web", "true"), "--env: is empty"),
        (("exec", "--workdir", "", "web", "true"), "--workdir: is empty"),
        (("wait", "--timeout", "-1", "web"), "--timeout"),
        (("wait", "--timeout", "nan", "web"), "--timeout"),
        (("kill", "--grace", "nan", "web"), "--grace"),
        (("nonsense",), "nonsense"),
    ],
)  # fmt: skip
def test_a_flag_that_cannot_be_meant_is_named(
    tool: Tool, arguments: tuple[str, ...], named: str
) -> None:
    status, words = refused(tool, *arguments)

    assert status == 2
    assert named in words


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": None, "task_id": None}, "name"),
        ({"task_id": {}}, "task_id.value"),
        ({"task_id": {"value": "a/b"}}, "task_id.value"),
        ({"command": None}, "command"),
        ({"command": {}}, "command.value"),
        ({"command": {"value": 1}}, "command.value"),
        ({"command": {"value": "x\0"}}, "command.value"),
        ({"command": {"value": "x", "user": ""}}, "command.user"),
        ({"command": {"value": "\ud800"}}, "command.value"),
        ({"command": {"value": "x", "arguments": ["", "\0"]}}, "command.arguments[1]"),
        ({"command": {"value": "x", "shell": "no"}}, "command.shell"),
        ({"command": {"value": "x", "arguments": [1]}}, "command.arguments[0]"),
        ({"command": {"value": "x", "uris": [{"value": "y"}]}}, "command.uris"),
        (
            {"command": {"value": "x", "environment": {"variables": [{"name": "A"}]}}},
            "command.environment.variables[0].value",
        ),
        (
            {
                "command": {
                    "value": "x",
                    "environment": {"variables": [{"name": "A", "value": "\0"}]},
                }
            },
            "command.environment.variables[0].value",
        ),
        ({"executor": {}}, "executor"),
        ({"container": {"tty_info": 5}}, "container.tty_info"),
        ({"container": {"network_infos": [{"name": "net", "x": NOT_A_NUMBER}]}}, "not JSON"),
        ({"container": {"network_infos": [{"name": "net", "x": DEEP}]}}, "not JSON"),
        ({"container": {"type": "DOCKER"}}, "container.type"),
        ({"container": {"mesos": {"image": {}}}}, "container.mesos.image"),
        ({"container": {"hostname": "a b"}}, "container.hostname"),
        ({"container": {"network_infos": {}}}, "container.network_infos"),
        ({"container": {"network_infos": [{"name": 1}]}}, "container.network_infos[0].name"),
        (
            {"container": {"network_infos": [{"name": "net", "port_mappings": [{}]}]}},
            "container.network_infos[0].port_mappings[0].host_port",
        ),
        ({"container": {"volumes": [{"host_path": "/x"}]}}, "container.volumes[0].container_path"),
        (
            {"container": {"volumes": [{"host_path": "x", "container_path": "/y"}]}},
            "container.volumes[0].host_path",
        ),
        (
            {"container": {"volumes": [{"host_path": "/", "container_path": "/y", "mode": "X"}]}},
            "container.volumes[0].mode",
        ),
    ],
)
def test_a_field_that_cannot_be_meant_is_named(
    tool: Tool, change: Mapping[str, object], named: str
) -> None:
    status, words = refused(tool, "run", "--task", json.dumps({**TASK, **change}))

    assert status == 2
    assert f"{named}:" in words


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((*RUN, "--networks", "nope"), "'nope': known networks: net"),
        ((*RUN, "--networks", "net,net"), "net"),
        ((*RUN, "--networks", "../x"), "'../x'"),
        ((*RUN, "--networks", "net", "--network_cni_config_dir", "/no/such"), "/no/such"),
        ((*RUN, "--name", "a.b"), "'a'"),
        ((*RUN, "--user", "nobody-here"), "nobody-here"),
        ((*RUN, "--user", "1" * 5000), "user: there is no"),
        ((*RUN, "--workdir", "/no/such"), "working directory /no/such: "),
        ((*RUN, "--runtime_dir", "/etc/passwd"), "/etc/passwd"),
        (("status", "web"), "'web'"),
        (("kill", "web"), "'web'"),
        (("logs", "web"), "'web'"),
        (("wait", "web"), "'web'"),
        (("usage", "web"), "'web'"),
        (("exec", "web", "true"), "'web'"),
        (("cleanup", "web"), "'web'"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_named(tool: Tool, arguments: tuple[str, ...], named: str) -> None:
    status, words = refused(tool, *arguments)

    assert status in (1, 126)
    assert named in words


def test_links_planted_in_the_state_directory_are_not_followed(tool: Tool) -> None:
    containers = tool.host.path("/run/mesos/containers")
    containers.mkdir(parents=True)
    victim = tool.host.path("/run/victim")
    victim.mkdir()
    # All that a container that has ended would have.
    (victim / "spec.json").write_text('{"spec": {"container_id": "web"}}')
    (victim / "exit.json").write_text('{"status": 0, "detached": true}')
    (containers / "web").symlink_to("/run/victim")

    for arguments in (("status", "web"), ("cleanup", "web"), (*RUN, "--name", "web")):
        assert tool.run(*arguments).status == 1
    assert tool.run("ps", "--quiet").stdout == ""
    assert sorted(entry.name for entry in victim.iterdir()) == ["exit.json", "spec.json"]


@pytest.mark.parametrize(
    "place", ["containers", "isolators", "isolators/network", "isolators/network/cni"]
)
def test_a_link_in_place_of_a_directory_of_ours_is_refused(tool: Tool, place: str) -> None:
    planted = tool.host.path(f"/run/mesos/{place}")
    planted.parent.mkdir(parents=True)
    victim = tool.host.path("/run/victim")
    victim.mkdir()
    planted.symlink_to("/run/victim")

    left = tool.run(*RUN, "--networks", "net")

    complaint = f"mesos-cni: /run/mesos/{place}: must be a directory, and is a symbolic link\n"
    assert (left.status, left.stdout, left.stderr) == (1, "", complaint)
    assert list(victim.iterdir()) == []


def test_flags_are_known_by_either_spelling_before_and_after_and_from_the_environment(
    tool: Tool,
) -> None:
    other = "/run/other"
    tool.host.path(other).mkdir()
    for flags in (
        ("--runtime_dir", other, "ps", "-q"),
        ("--runtime-dir", other, "ps", "-q"),
        ("ps", "-q", f"--runtime_dir={other}"),
        ("ps", "-q", f"--runtime-dir={other}"),
        ("--network_cni_root_dir_persist=false", "--network-cni-metrics=true", "ps", "-q"),
    ):
        assert tool.succeed(*flags) == ""
    tool.detached("web", "sleep 60", "--runtime-dir", other)
    assert tool.succeed("ps", "-q", "--runtime_dir", other) == "web\n"
    assert tool.succeed("ps", "-q") == ""


@pytest.mark.parametrize(
    "arguments",
    [
        RUN,
        ("ps",),
        ("status", "web"),
        ("usage", "web"),
        ("logs", "web"),
        ("wait", "web"),
        ("exec", "web", "true"),
        ("kill", "web"),
        ("cleanup", "--all"),
        ("recover",),
        ("networks",),
        ("agent",),
    ],
    ids=lambda arguments: arguments[0],
)
def test_who_may_not_is_told_what_it_takes(tool: Tool, arguments: tuple[str, ...]) -> None:
    tool.host.path("/run/mesos/containers").mkdir(parents=True, mode=0o700)
    weak = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--reuid=65534", "--clear-groups")
    tool.argv = (*weak, *tool.argv)

    left = tool.run(*arguments)

    assert (left.status, left.stdout) == (1, "")
    assert len(left.stderr.splitlines()) == 1
    refused = "Permission denied: run it as root, with sudo for example\n"
    assert left.stderr.endswith((refused, "only root can attach containers to networks\n"))
    tool.assert_nothing_left()
