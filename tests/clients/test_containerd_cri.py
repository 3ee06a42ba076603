"""Pods of Kubernetes: containerd's CRI plugin, called as a kubelet calls it."""

from typing import Any

import pytest

from tests.clients.containerd import Kubelet
from tests.clients.page import PLUGIN, network
from tests.clients.podman import mappings, owners
from tests.netns.behaviour.site import CLIENT, OTHER, OWN, name_of
from tests.support.process import CommandError
from tests.support.traffic import (
    Saw,
    connect_sctp,
    connect_tcp,
    connect_udp,
    serve_sctp,
    serve_tcp,
    serve_udp,
)

WEB = {"host": 8080, "container": 80}


@pytest.mark.parametrize(
    "wanted",
    [network("pods"), network("chained"), network("pods", backend="nftables")],
    ids=["with a delegate", "after another", "on nftables"],
)
def test_a_pod_is_published_and_leaves_nothing(kubelet: Kubelet, wanted: Any) -> None:
    stage = kubelet.containerd.stage
    recorded = stage.record()
    kubelet.use(wanted)

    pod = kubelet.run_pod(
        "web",
        {"host": 8080, "container": 80},
        {"host": 5353, "container": 53, "protocol": "udp"},
        {"host": 8081, "container": 80, "address": OWN[4]},
        {"host": 5060, "container": 5060, "protocol": "sctp"},
        {"host": 0, "container": 81},
    )

    (add,) = [call for call in recorded.calls(PLUGIN) if call.command == "ADD"]
    assert add.env["CNI_CONTAINERID"] == pod
    assert mappings(add) == [
        {"HostPort": 8080, "ContainerPort": 80, "Protocol": "tcp", "HostIP": ""},
        {"HostPort": 5353, "ContainerPort": 53, "Protocol": "udp", "HostIP": ""},
        {"HostPort": 8081, "ContainerPort": 80, "Protocol": "tcp", "HostIP": OWN[4]},
        {"HostPort": 5060, "ContainerPort": 5060, "Protocol": "sctp", "HostIP": ""},
    ]
    place = stage.place("web", add.env["CNI_NETNS"])
    serve_tcp(place, 80)
    serve_udp(place, 53)
    serve_sctp(place, 5060)
    client = stage.host.client
    assert connect_tcp(client, OWN[4], 8080) == Saw("web", CLIENT[4], 80)
    assert connect_udp(client, OWN[4], 5353) == Saw("web", CLIENT[4], 53)
    assert connect_tcp(client, OWN[4], 8081) == Saw("web", CLIENT[4], 80)
    assert connect_sctp(client, OWN[4], 5060) == Saw("web", CLIENT[4], 5060)
    assert connect_tcp(client, OTHER[4], 8081) == "refused"
    assert owners(stage.rules()) == {pod}

    kubelet.stop_pod(pod)
    kubelet.remove_pod(pod)

    # Twice: what comes second has neither namespace nor result.
    deletes = [call for call in recorded.calls(PLUGIN) if call.command == "DEL"]
    assert [bool(call.env["CNI_NETNS"]) for call in deletes] == [True, False]
    assert ["prevResult" in call.config for call in deletes] == [True, False]
    assert name_of(connect_tcp(client, OWN[4], 8080)) == "refused"
    assert stage.left() == []


def test_a_port_given_twice_is_one(kubelet: Kubelet) -> None:
    recorded = kubelet.containerd.stage.record()
    kubelet.use(network("pods"))

    kubelet.run_pod("web", WEB, WEB)

    (add,) = [call for call in recorded.calls(PLUGIN) if call.command == "ADD"]
    sent, again = mappings(add)
    assert sent == again
    assert len(kubelet.containerd.stage.host.chain("CONTAINERD-PODS") or []) == 1


def test_a_port_of_another_pod_is_refused_naming_it(kubelet: Kubelet) -> None:
    kubelet.use(network("pods"))
    first = kubelet.run_pod("first", WEB)
    before = kubelet.containerd.stage.rules()

    with pytest.raises(CommandError, match=f"tcp 8080 is taken by container {first} on network"):
        kubelet.run_pod("second", WEB)

    assert kubelet.containerd.stage.rules() == before


def test_a_pod_whose_sandbox_was_killed_leaves_nothing(kubelet: Kubelet) -> None:
    stage = kubelet.containerd.stage
    kubelet.use(network("pods"))
    pod = kubelet.run_pod("web", WEB)
    assert owners(stage.rules()) == {pod}

    kubelet.kill(pod)
    kubelet.remove_pod(pod)

    assert stage.left() == []
