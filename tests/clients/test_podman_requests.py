"""What Podman says to a plugin, as far as the port mapper relies on it."""

import json
from typing import Any

import pytest

from tests.clients.page import network
from tests.clients.podman import Podman, mappings, owners
from tests.netns.behaviour.site import OWN, name_of
from tests.support.delegates import Delegates, Received
from tests.support.traffic import connect_tcp

WEB = {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}
ADDRESS = "10.89.1.77"
WITHOUT_IPS = {"capabilities": {"portMappings": True}}


@pytest.fixture
def recorded(podman: Podman) -> Delegates:
    """Write down what comes."""
    return podman.stage.record()


def calls(recorded: Delegates, command: str) -> list[Received]:
    found = recorded.calls("mesos-cni-port-mapper")
    return [call for call in found if call.command == command]


@pytest.mark.parametrize("name", ["ports", "chained"])
def test_mappings_come_with_the_add_and_the_del(
    podman: Podman, recorded: Delegates, name: str
) -> None:
    container = podman.run("web", network(name), "--publish=8080:80")
    podman.remove("web")

    (add,), (delete,) = calls(recorded, "ADD"), calls(recorded, "DEL")
    assert mappings(add) == mappings(delete) == [WEB]
    assert add.env["CNI_CONTAINERID"] == delete.env["CNI_CONTAINERID"] == container
    assert "prevResult" in delete.config
    assert ("prevResult" in add.config) == (name == "chained")


def test_a_range_comes_port_by_port_and_an_address_if_there_is_one(
    podman: Podman, recorded: Delegates
) -> None:
    podman.run(
        "web", network("ports"), "--publish=9000-9001:80-81/udp", f"--publish={OWN[4]}:8080:80"
    )

    (add,) = calls(recorded, "ADD")
    assert sorted(mappings(add), key=str) == sorted(
        [
            {"hostPort": 9000, "containerPort": 80, "protocol": "udp"},
            {"hostPort": 9001, "containerPort": 81, "protocol": "udp"},
            {**WEB, "hostIP": OWN[4]},
        ],
        key=str,
    )


def test_without_ports_there_is_no_word_of_them(podman: Podman, recorded: Delegates) -> None:
    podman.run("web", network("ports"))

    (add,) = calls(recorded, "ADD")
    assert "runtimeConfig" not in add.config


def test_before_each_command_the_version_is_asked_for(podman: Podman, recorded: Delegates) -> None:
    podman.run("web", network("ports"))
    podman.remove("web")

    commands = [call.command for call in recorded.calls("mesos-cni-port-mapper")]
    for command in ("ADD", "DEL"):
        assert commands[commands.index(command) - 1] == "VERSION"
    version = calls(recorded, "VERSION")[0]
    assert {name: version.env[name] for name in version.env if name.startswith("CNI_")} == {
        "CNI_COMMAND": "VERSION",
        "CNI_CONTAINERID": "",
        "CNI_NETNS": "dummy",
        "CNI_IFNAME": "dummy",
        "CNI_PATH": "dummy",
        "CNI_ARGS": "",
    }
    assert json.loads(version.stdin) == {"cniVersion": "1.0.0"}


def test_the_namespace_is_there_at_the_del(podman: Podman, recorded: Delegates) -> None:
    podman.run("web", network("ports"))
    podman.remove("web")

    (delete,) = calls(recorded, "DEL")
    journal = podman.stage.host.path("/opt/cni/bin/.mesos-cni-port-mapper")
    assert len(list(journal.glob("*.alive"))) == len(["ADD", "DEL"])
    assert delete.env["CNI_NETNS"].startswith("/run/netns/")


def test_a_failed_add_is_followed_by_a_del(podman: Podman, recorded: Delegates) -> None:
    podman.attempt("web", network("ports", onConflict=7), "--publish=8080:80")

    found = recorded.calls("mesos-cni-port-mapper")
    assert [call.command for call in found if call.command != "VERSION"] == ["ADD", "DEL"]
    assert podman.stage.left() == []


@pytest.mark.parametrize(
    ("options", "sent"),
    [({}, [WEB]), (WITHOUT_IPS, None)],
    ids=["as the page has it", "ips not declared"],
)
def test_with_an_address_of_its_own_mappings_need_ips(
    podman: Podman, recorded: Delegates, options: Any, sent: Any
) -> None:
    podman.run("web", network("ports", **options), "--publish=8080:80", f"--ip={ADDRESS}")
    podman("network", "reload", "web")

    first, reloaded = calls(recorded, "ADD")
    assert mappings(first) == mappings(reloaded) == sent
    # A wish comes in one place, what is to be kept in another.
    assert first.env["CNI_ARGS"].split(";")[-1] == f"IP={ADDRESS}"
    assert set(reloaded.config["runtimeConfig"]["ips"]) == {ADDRESS}
    assert podman.inspect("web", "NetworkSettings.Networks.ports.IPAddress") == [ADDRESS]


def test_a_reload_without_ips_loses_the_mappings(podman: Podman, recorded: Delegates) -> None:
    podman.run("web", network("ports", **WITHOUT_IPS), "--publish=8080:80")
    podman.serve("web")
    assert name_of(connect_tcp(podman.stage.host.client, OWN[4], 8080)) == "web"

    podman("network", "reload", "web")

    assert [mappings(call) for call in calls(recorded, "ADD")] == [[WEB], None]
    assert owners(podman.stage.rules()) == set()


def test_podman_does_not_take_the_newest_version(podman: Podman) -> None:
    refused = podman.attempt("web", {**network("ports"), "cniVersion": "1.1.0"})

    assert 'unsupported CNI result version "1.1.0"' in refused.stderr.decode()
    assert podman.stage.left() == []
