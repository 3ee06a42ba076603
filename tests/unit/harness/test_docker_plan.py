"""What the engine is asked for, and what its answer says."""

from typing import Any

import pytest

from mesos_cni_port_mapper.harness.docker_plan import (
    name_of,
    parse_failure,
    parse_network_infos,
    parse_owner,
    parse_pid,
    parse_status,
    plan_creation,
    plan_hostname,
    plan_image,
    plan_mode,
    plan_networks,
)
from mesos_cni_port_mapper.harness.errors import UsageError
from mesos_cni_port_mapper.harness.spec import Docker, Spec, Volume

WEB = {"host_port": 8080, "container_port": 80}
DNS = {"host_port": 5300, "container_port": 53, "protocol": "UDP"}

# As Docker 20.10 answers, without what is not read.
BRIDGE = {
    "State": {"Status": "running", "Pid": 504, "ExitCode": 0},
    "NetworkSettings": {
        "Ports": {
            "53/udp": [
                {"HostIp": "0.0.0.0", "HostPort": "5300"},
                {"HostIp": "::", "HostPort": "5300"},
            ],
            "80/tcp": [
                {"HostIp": "0.0.0.0", "HostPort": "8080"},
                {"HostIp": "::", "HostPort": "8080"},
                {"HostIp": "0.0.0.0", "HostPort": "8081"},
            ],
            "443/tcp": None,
        },
        "Networks": {
            "bridge": {
                "Gateway": "172.17.0.1",
                "IPAddress": "172.17.0.2",
                "IPPrefixLen": 16,
                "IPv6Gateway": "",
                "GlobalIPv6Address": "",
                "GlobalIPv6PrefixLen": 0,
            }
        },
    },
}
DUAL = {
    "NetworkSettings": {
        "Ports": {},
        "Networks": {
            "backend": {"IPAddress": "10.9.8.2", "GlobalIPv6Address": "fd00:9::2"},
        },
    }
}


def plain(network: str, **more: Any) -> Spec:
    return Spec(container_id="c", docker=Docker(image="i", network=network, socket="/s"), **more)


@pytest.mark.parametrize(
    ("network", "names", "mode"),
    [
        (None, [], "host"),
        (None, ["backend"], "user"),
        ("user", ["backend"], "user"),
        ("bridge", [], "bridge"),
        ("none", [], "none"),
        ("host", [], "host"),
    ],
)
def test_a_mode_is_what_was_said_or_what_mesos_would_take(
    network: str | None, names: list[str], mode: str
) -> None:
    assert plan_mode(network, names) == mode


@pytest.mark.parametrize(
    ("network", "names", "words"),
    [
        ("user", [], "--network user needs the name of a Docker network"),
        ("user", ["a", "b"], "attaches a container to one network, and 2 are named"),
        (None, ["a", "b", "c"], "attaches a container to one network, and 3 are named"),
        ("host", ["a"], "has no meaning with --network host, only with user"),
        ("bridge", ["a"], "has no meaning with --network bridge, only with user"),
        ("none", ["a"], "has no meaning with --network none, only with user"),
        ("user", ["host"], "'host' is no network that a user has made"),
        (None, ["bridge"], "'bridge' is no network that a user has made"),
        (None, ["none"], "'none' is no network that a user has made"),
        (None, ["default"], "'default' is no network that a user has made"),
        (None, ["container:web"], "'container:web' is no network that a user has made"),
    ],
)
def test_a_network_that_cannot_be_had_is_refused(
    network: str | None, names: list[str], words: str
) -> None:
    with pytest.raises(UsageError, match=r"^--networks: ") as caught:
        plan_mode(network, names)

    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("mode", "names", "mappings", "networks"),
    [
        ("host", [], [], ()),
        ("none", [], [], ({"name": "none"},)),
        ("bridge", [], [WEB], ({"name": "bridge", "port_mappings": [WEB]},)),
        ("user", ["n"], [WEB, DNS], ({"name": "n", "port_mappings": [WEB, DNS]},)),
    ],
)
def test_networks_are_asked_for_as_mesos_asks(
    mode: str, names: list[str], mappings: list[Any], networks: tuple[Any, ...]
) -> None:
    assert plan_networks(mode, names, mappings) == networks


@pytest.mark.parametrize("mode", ["host", "none"])
def test_ports_are_mapped_on_bridges_and_users_networks_alone(mode: str) -> None:
    with pytest.raises(UsageError, match=f"^--port: --network {mode} has no ports to map"):
        plan_networks(mode, [], [WEB])


def test_a_host_name_is_refused_on_the_hosts_network() -> None:
    assert plan_hostname("host", None) is None
    assert plan_hostname("bridge", "h") == "h"
    with pytest.raises(UsageError, match=r"^--hostname: --network host has the host's own"):
        plan_hostname("host", "h")


@pytest.mark.parametrize("image", [None, "", "a b", "a\n", "ä"])
def test_an_image_must_have_a_name(image: str | None) -> None:
    with pytest.raises(UsageError, match=r"^--docker_image: "):
        plan_image(image)


def test_an_image_may_have_a_registry_a_tag_and_a_digest() -> None:
    image = "registry.example:5000/a/b:1@sha256:00"

    assert plan_image(image) == image


def test_everything_that_is_asked_for_is_in_the_request() -> None:
    spec = plain(
        "user",
        program="/bin/sh",
        argv=("sh", "-c", "true"),
        environment={"A": "b c"},
        networks=({"name": "backend", "port_mappings": [WEB, DNS, {**WEB, "host_port": 81}]},),
        hostname="h",
        user="7:8",
        working_directory="/w",
        volumes=(
            Volume(host_path="/a", container_path="/b", read_only=True),
            Volume(host_path="/c", container_path="/d"),
        ),
    )

    assert plan_creation(spec, "/d") == {
        "Image": "i",
        "Entrypoint": ["/bin/sh"],
        "Cmd": ["-c", "true"],
        "Env": ["A=b c"],
        "Hostname": "h",
        "User": "7:8",
        "WorkingDir": "/w",
        "Labels": {"mesos-cni.container_id": "c", "mesos-cni.directory": "/d"},
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "HostConfig": {
            "NetworkMode": "backend",
            "PortBindings": {
                "80/tcp": [{"HostPort": "8080"}, {"HostPort": "81"}],
                "53/udp": [{"HostPort": "5300"}],
            },
            "Binds": ["/a:/b:ro", "/c:/d:rw"],
        },
    }


def test_what_is_not_asked_for_is_left_to_the_image() -> None:
    assert plan_creation(plain("host"), "/d") == {
        "Image": "i",
        "Labels": {"mesos-cni.container_id": "c", "mesos-cni.directory": "/d"},
        "HostConfig": {"NetworkMode": "host"},
    }


def test_a_container_of_another_kind_is_not_planned() -> None:
    with pytest.raises(ValueError, match="c is not Docker's"):
        plan_creation(Spec(container_id="c"), "/d")


def test_a_bridge_is_reported_with_address_and_ports_each_once() -> None:
    assert parse_network_infos(BRIDGE) == [
        {
            "ip_addresses": [{"ip_address": "172.17.0.2", "protocol": "IPv4"}],
            "name": "bridge",
            "port_mappings": [
                {"container_port": 53, "host_port": 5300, "protocol": "udp"},
                {"container_port": 80, "host_port": 8080, "protocol": "tcp"},
                {"container_port": 80, "host_port": 8081, "protocol": "tcp"},
            ],
        }
    ]


def test_both_families_are_reported() -> None:
    addresses = [
        {"ip_address": "10.9.8.2", "protocol": "IPv4"},
        {"ip_address": "fd00:9::2", "protocol": "IPv6"},
    ]

    assert parse_network_infos(DUAL) == [{"ip_addresses": addresses, "name": "backend"}]


@pytest.mark.parametrize(
    ("document", "infos"),
    [
        ({"NetworkSettings": {"Networks": {"none": {"IPAddress": ""}}}}, [{"name": "none"}]),
        ({"NetworkSettings": {"Networks": {"host": {"IPAddress": ""}}}}, []),
        ({"NetworkSettings": {"Networks": {"gone": None}}}, [{"name": "gone"}]),
        ({"NetworkSettings": None}, []),
        ({}, []),
    ],
)
def test_what_has_no_address_has_none(document: dict[str, Any], infos: list[Any]) -> None:
    assert parse_network_infos(document) == infos


@pytest.mark.parametrize(
    ("state", "pid", "status", "failure"),
    [
        ({"Status": "running", "Pid": 504, "ExitCode": 0}, 504, None, None),
        ({"Status": "exited", "Pid": 0, "ExitCode": 3}, 0, 3, None),
        ({"Status": "dead", "Pid": 0, "ExitCode": 137}, 0, 137, None),
        ({"Status": "created", "Pid": 0, "ExitCode": 127}, 0, None, 127),
        ({"Status": "created", "Pid": 0, "ExitCode": 126}, 0, None, 126),
        ({"Status": "created", "Pid": 0, "ExitCode": 128}, 0, None, None),
        ({}, 0, None, None),
    ],
)
def test_a_state_says_how_a_container_is(
    state: dict[str, Any], pid: int, status: int | None, failure: int | None
) -> None:
    document = {"State": state}

    assert (parse_pid(document), parse_status(document)) == (pid, status)
    assert parse_failure(document) == failure


def test_docker_knows_a_container_by_our_name() -> None:
    assert name_of("web") == "mesos-cni-web"


def test_a_container_that_nobody_has_marked_is_not_ours() -> None:
    assert parse_owner({"Config": {"Labels": {"mesos-cni.directory": "/d"}}}) == "/d"
    assert [parse_owner(each) for each in ({}, {"Config": {"Labels": None}})] == ["", ""]
