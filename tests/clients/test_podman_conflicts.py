"""Two containers of Podman's, and one port."""

from typing import Any

import pytest

from tests.clients.page import network
from tests.clients.podman import Podman, owners
from tests.netns.behaviour.site import OTHER, OWN, name_of
from tests.support.traffic import connect_tcp

PLACES = pytest.mark.parametrize(
    "wanted",
    [network("ports"), network("chained"), network("ports", backend="nftables")],
    ids=["with a delegate", "after another", "on nftables"],
)
PUBLISHED = "--publish=8080:80"


def first_with_port(podman: Podman, wanted: Any) -> str:
    container = podman.run("first", wanted, PUBLISHED)
    podman.serve("first")
    return container


@PLACES
def test_a_second_container_with_the_port_is_refused_naming_the_first(
    podman: Podman, wanted: Any
) -> None:
    first = first_with_port(podman, wanted)
    before = podman.stage.left()

    refused = podman.attempt("second", wanted, PUBLISHED)

    assert refused.status == 126
    said = f"tcp 8080 is taken by container {first} on network {wanted['name']} (eth0)"
    assert f"cni plugin mesos-cni-port-mapper failed: {said}" in refused.stderr.decode()
    assert podman.stage.left() == before
    assert name_of(connect_tcp(podman.stage.host.client, OWN[4], 8080)) == "first"

    podman.remove("second", "first")

    assert podman.stage.left() == []


def test_the_port_is_free_once_the_first_has_gone(podman: Podman) -> None:
    first_with_port(podman, network("ports"))
    podman.attempt("second", network("ports"), PUBLISHED)
    podman.remove("first")

    podman("start", "second")
    podman.serve("second")

    assert name_of(connect_tcp(podman.stage.host.client, OWN[4], 8080)) == "second"


def test_one_port_at_two_addresses_is_two(podman: Podman) -> None:
    for name, address in {"first": OWN[4], "second": OTHER[4]}.items():
        podman.run(name, network("ports"), f"--publish={address}:8080:80")
        podman.serve(name)

    client = podman.stage.host.client
    assert name_of(connect_tcp(client, OWN[4], 8080)) == "first"
    assert name_of(connect_tcp(client, OTHER[4], 8080)) == "second"


def test_where_both_stand_only_the_second_s_rules_go_with_it(podman: Podman) -> None:
    first = first_with_port(podman, network("ports", onConflict="ignore"))
    before = podman.stage.rules()

    # The port mapper lets it pass, and Podman cannot have the socket.
    refused = podman.attempt("second", network("ports", onConflict="ignore"), PUBLISHED)

    assert "address already in use" in refused.stderr.decode()
    assert podman.stage.rules() == before
    assert owners(before) == {first}
    assert name_of(connect_tcp(podman.stage.host.client, OWN[4], 8080)) == "first"


def test_a_takeover_leaves_neither_with_the_port(podman: Podman) -> None:
    first_with_port(podman, network("ports", onConflict="takeover"))

    refused = podman.attempt("second", network("ports", onConflict="takeover"), PUBLISHED)

    assert "address already in use" in refused.stderr.decode()
    assert owners(podman.stage.rules()) == set()

    podman("network", "reload", "first")

    assert name_of(connect_tcp(podman.stage.host.client, OWN[4], 8080)) == "first"


def test_the_ports_of_a_container_on_two_networks_are_had_by_either(podman: Podman) -> None:
    podman.stage.configure(network("chained"))
    podman.run("web", network("ports"), PUBLISHED, "--network=chained")
    podman.serve("web")

    assert name_of(connect_tcp(podman.stage.host.client, OWN[4], 8080)) == "web"

    podman.remove("web")

    assert podman.stage.left() == []


def test_a_container_on_two_networks_is_published_by_the_one_that_takes_ports(
    podman: Podman,
) -> None:
    podman.stage.configure(network("chained", capabilities={}))
    podman.run("web", network("ports"), PUBLISHED, "--network=chained")
    podman.serve("web")

    assert name_of(connect_tcp(podman.stage.host.client, OWN[4], 8080)) == "web"

    podman.remove("web")

    assert podman.stage.left() == []
