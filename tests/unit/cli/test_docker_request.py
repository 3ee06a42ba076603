"""Which container the flags of `run --containerizer docker` mean, and which they cannot."""

from typing import Any

import pytest

from mesos_cni_port_mapper.cli import program as cli
from mesos_cni_port_mapper.cli.docker_request import DOCKER_SOCKET, plan_docker_run
from mesos_cni_port_mapper.cli.request import Request, plan_run
from mesos_cni_port_mapper.harness.errors import UsageError
from mesos_cni_port_mapper.harness.spec import Docker, Spec, Volume


def planned(socket: str | None = None, **flags: Any) -> Spec:
    return plan_docker_run(Request(**{"docker_image": "box:1", **flags}), socket)


def test_every_flag_has_its_place() -> None:
    spec = planned(
        socket="/run/other.sock",
        name="web",
        command_line="echo",
        env='{"A": "b"}',
        networks="backend",
        hostname="h",
        ports=("8080:80", "53:5353/UDP"),
        volumes=("/x:/y:ro",),
        user="u",
        workdir="/w",
    )

    mappings = [
        {"host_port": 8080, "container_port": 80},
        {"host_port": 53, "container_port": 5353, "protocol": "UDP"},
    ]
    assert spec == Spec(
        container_id="web",
        name="web",
        program="/bin/sh",
        argv=("sh", "-c", "echo"),
        environment={"A": "b"},
        networks=({"name": "backend", "port_mappings": mappings},),
        hostname="h",
        volumes=(Volume(host_path="/x", container_path="/y", read_only=True),),
        user="u",
        working_directory="/w",
        docker=Docker(image="box:1", network="user", socket="/run/other.sock"),
    )


def test_without_a_command_the_image_says_what_runs() -> None:
    spec = planned()

    assert (spec.program, spec.argv, spec.networks) == (None, (), ())
    assert spec.docker == Docker(image="box:1", network="host", socket=DOCKER_SOCKET)
    assert spec.container_id.startswith("c-")


def test_a_program_is_run_without_a_shell_when_asked() -> None:
    spec = planned(command_line="/bin/echo", shell=False, arguments=("a",))

    assert (spec.program, spec.argv) == ("/bin/echo", ("/bin/echo", "a"))


@pytest.mark.parametrize(
    ("flag", "given"),
    [
        ("rootfs", {"rootfs": "/r"}),
        ("task", {"task": "{}"}),
        ("task_group", {"task_group": "{}"}),
        ("label", {"labels": ("a=b",)}),
        ("tty", {"tty": True}),
    ],
)
def test_what_is_not_dockers_is_refused(flag: str, given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"^--{flag}: has no meaning with --containerizer docker"):
        planned(**given)


@pytest.mark.parametrize(
    ("flag", "given"),
    [
        ("docker_image", {"docker_image": None}),
        ("network", {"networks": "a,b"}),
        ("networks", {"network": "user"}),
        ("port", {"ports": ("8080:80",)}),
        ("port", {"network": "none", "ports": ("8080:80",)}),
        ("port", {"network": "bridge", "ports": ("80",)}),
        ("hostname", {"hostname": "h"}),
        ("name", {"name": "web.child"}),
        ("name", {"name": "../x"}),
        ("workdir", {"workdir": "w"}),
        ("volume", {"volumes": ("x:/y",)}),
        ("command", {"command_line": ""}),
        ("docker_socket", {"socket": "docker.sock"}),
    ],
)
def test_what_docker_cannot_give_is_refused(flag: str, given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"^--{flag}"):
        planned(**given)


@pytest.mark.parametrize(
    ("flag", "given"), [("docker_image", {"docker_image": "i"}), ("network", {"network": "host"})]
)
def test_what_is_dockers_alone_is_refused_without_it(flag: str, given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"^--{flag}: .*--containerizer docker"):
        plan_run(Request(command_line="true", **given))


RUN = ("run", "--containerizer", "docker", "--docker_image", "i")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--network_cni_config_dir", "/n", *RUN], "--network_cni_config_dir: is about CNI"),
        ([*RUN, "--network-cni-plugins-dir", "/n"], "--network_cni_plugins_dir: is about CNI"),
        ([*RUN, "--plugin_timeout", "3"], "--plugin_timeout: is about CNI"),
        ([*RUN, "--no-network_cni_metrics"], "--network_cni_metrics: is about CNI"),
        ([*RUN, "--interactive"], "--interactive: a container of Docker's reads nothing here"),
        ([*RUN, "--network", "nat"], "'nat' is not one of 'host', 'bridge', 'none', 'user'"),
        (["run", "--containerizer", "appc"], "'appc' is not one of 'mesos', 'docker'"),
    ],
)
def test_what_is_said_wrongly_is_one_line_and_status_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == 2

    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_an_environment_for_cni_is_no_flag(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MESOS_NETWORK_CNI_CONFIG_DIR", "/n")

    # Gone past the flags, to what is wrong with the request.
    assert cli.run([*RUN, "--port", "8080:80"]) == 2
    assert capsys.readouterr().err.startswith("mesos-cni: --port: --network host has no ports")
