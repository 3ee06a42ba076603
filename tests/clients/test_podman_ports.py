"""Podman publishes what it is asked to, through a port mapper at either place of a list."""

from typing import Any

import pytest

from tests.clients.page import network
from tests.clients.podman import Podman
from tests.netns.behaviour.site import CLIENT, OTHER, OWN, name_of
from tests.support.plugin import PLUGIN_DIRECTORY
from tests.support.traffic import Saw, connect_tcp, connect_udp

NFTABLES = {"backend": "nftables"}
PLACES = pytest.mark.parametrize(
    "wanted",
    [network("ports"), network("chained"), network("ports", **NFTABLES)],
    ids=["with a delegate", "after another", "on nftables"],
)


@PLACES
def test_every_kind_of_port_is_published_and_gone_with_the_container(
    podman: Podman, wanted: Any
) -> None:
    ports = ["8080:80", "5353:53/udp", "9000-9003:7000-7003", f"{OWN[4]}:8081:80"]
    podman.run("web", wanted, *[f"--publish={port}" for port in ports])
    podman.serve("web", tcp=[80, 7000, 7003], udp=[53])
    client = podman.stage.host.client

    assert connect_tcp(client, OWN[4], 8080) == Saw("web", CLIENT[4], 80)
    assert connect_udp(client, OWN[4], 5353) == Saw("web", CLIENT[4], 53)
    assert connect_tcp(client, OWN[4], 9000) == Saw("web", CLIENT[4], 7000)
    assert connect_tcp(client, OWN[4], 9003) == Saw("web", CLIENT[4], 7003)
    assert connect_tcp(client, OWN[4], 8081) == Saw("web", CLIENT[4], 80)
    assert connect_tcp(client, OTHER[4], 8080) == Saw("web", CLIENT[4], 80)
    assert connect_tcp(client, OTHER[4], 8081) == "refused"
    # Podman's own socket answers nobody.
    assert name_of(connect_tcp(podman.stage.host, "127.0.0.1", 8080)) == "web"

    podman.remove("web")

    assert connect_tcp(client, OWN[4], 8080) == "refused"
    assert podman.stage.left() == []


def test_a_container_is_published_in_both_families(podman: Podman) -> None:
    podman.run("web", network("chained"), "--publish=8080:80")
    podman.serve("web")

    assert [connect_tcp(podman.stage.host.client, OWN[family], 8080) for family in OWN] == [
        Saw("web", CLIENT[family], 80) for family in OWN
    ]

    podman.remove("web")

    assert podman.stage.left() == []


def test_a_range_of_ports_is_one_rule(podman: Podman) -> None:
    podman.run("web", network("ports"), "--publish=9000-9099:9000-9099")

    (rule,) = podman.stage.host.chain("PODMAN-PORTS") or []

    assert "--dport 9000:9099" in rule


def test_without_localhost_a_program_of_the_host_hears_nothing(podman: Podman) -> None:
    podman.run("web", network("ports", localhost=None), "--publish=8080:80")
    podman.serve("web")

    assert connect_tcp(podman.stage.host, "127.0.0.1", 8080) == "timeout"
    assert name_of(connect_tcp(podman.stage.host, OWN[4], 8080)) == "web"


def test_a_network_with_a_delegate_needs_no_other_plugins(podman: Podman) -> None:
    podman.stage.host.hide(PLUGIN_DIRECTORY)
    podman.run("web", network("ports"), "--publish=8080:80")
    podman.serve("web")

    assert name_of(connect_tcp(podman.stage.host.client, OWN[4], 8080)) == "web"

    podman.remove("web")

    assert podman.stage.left() == []
