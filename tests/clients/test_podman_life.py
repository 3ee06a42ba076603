"""What becomes of published ports while a container of Podman's stops, starts, dies, and goes."""

from typing import Any

import pytest

from tests.clients.page import network
from tests.clients.podman import Podman, owners
from tests.netns.behaviour.site import CLIENT, OWN
from tests.support.traffic import Outcome, Saw, connect_tcp, connect_udp
from tests.support.waiting import eventually

NOBODY = "timeout"
"""While a container runs Podman has a socket for its port, which accepts and says nothing."""

PLACES = pytest.mark.parametrize(
    "wanted",
    [network("ports"), network("chained"), network("chained", backend="nftables")],
    ids=["with a delegate", "after another", "on nftables"],
)


def published(podman: Podman, wanted: Any) -> str:
    """Start a container that can be reached, and return its ID."""
    container = podman.run("web", wanted, "--publish=8080:80", "--publish=5353:53/udp")
    reached(podman)
    return container


def reached(podman: Podman) -> None:
    """See that the running container answers, with servers that have just been started."""
    podman.serve("web", tcp=[80], udp=[53])
    assert answer(podman) == Saw("web", CLIENT[4], 80)
    assert connect_udp(podman.stage.host.client, OWN[4], 5353) == Saw("web", CLIENT[4], 53)


def answer(podman: Podman) -> Outcome:
    """Return what becomes of a connection from outside."""
    return connect_tcp(podman.stage.host.client, OWN[4], 8080)


def kill(podman: Podman, *fields: str) -> None:
    """Kill processes of the container as a crash would, by fields of Podman's that name them."""
    for pid in podman.inspect("web", *fields):
        podman.stage.shell(f"kill -KILL {pid}")


@PLACES
def test_ports_go_with_a_stop_and_come_with_a_start(podman: Podman, wanted: Any) -> None:
    published(podman, wanted)

    podman("stop", "--time=0", "web")

    assert answer(podman) == "refused"
    assert podman.stage.left() == []

    podman("start", "web")

    reached(podman)

    podman.remove("web")

    assert podman.stage.left() == []


@PLACES
def test_ports_survive_a_restart(podman: Podman, wanted: Any) -> None:
    container = published(podman, wanted)
    before = len(podman.stage.left())

    podman("restart", "--time=0", "web")

    reached(podman)
    assert owners(podman.stage.left()) == {container}
    assert len(podman.stage.left()) == before

    podman.remove("web")

    assert podman.stage.left() == []


@PLACES
def test_a_reload_brings_back_what_was_flushed(podman: Podman, wanted: Any) -> None:
    published(podman, wanted)
    before = podman.stage.left()
    podman.stage.shell("nft flush ruleset")
    assert answer(podman) == NOBODY

    podman("network", "reload", "--all")

    assert answer(podman) == Saw("web", CLIENT[4], 80)
    assert podman.stage.left() == before

    podman.remove("web")

    assert podman.stage.left() == []


@PLACES
def test_a_container_leaves_its_network_and_comes_back(podman: Podman, wanted: Any) -> None:
    published(podman, wanted)

    podman("network", "disconnect", wanted["name"], "web")

    assert answer(podman) == NOBODY
    assert podman.stage.left() == []

    podman("network", "connect", wanted["name"], "web")

    assert answer(podman) == Saw("web", CLIENT[4], 80)


@PLACES
def test_the_ports_of_a_killed_container_are_gone(podman: Podman, wanted: Any) -> None:
    published(podman, wanted)

    kill(podman, "State.Pid")

    assert eventually(podman.stage.left, [], timeout=20) == []

    podman("start", "web")

    reached(podman)

    podman.remove("web")

    assert podman.stage.left() == []


@PLACES
def test_a_container_killed_with_its_monitor_leaves_with_a_removal(
    podman: Podman, wanted: Any
) -> None:
    container = published(podman, wanted)

    kill(podman, "State.ConmonPid", "State.Pid")

    # Nobody is left who could tell Podman.
    assert owners(podman.stage.left()) == {container}

    podman.remove("web")

    assert podman.stage.left() == []
