"""Fixtures: hosts with a client that is not ours."""

from collections.abc import Iterator

import pytest

from tests.clients.containerd import Containerd, Kubelet
from tests.clients.podman import Podman
from tests.clients.stage import Stage, need_clients
from tests.netns.behaviour.site import settle
from tests.support.gate import need_host
from tests.support.host import Host


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Stand in for a machine that clients can be installed on."""
    need_clients()
    need_host("nft")
    with Host() as host:
        settle(host)
        yield Stage(host)


@pytest.fixture
def podman(stage: Stage) -> Podman:
    """Stand in for a machine with Podman."""
    need_clients("podman", "conmon")
    return Podman(stage)


@pytest.fixture
def containerd(stage: Stage) -> Containerd:
    """Stand in for a machine with containerd."""
    need_clients("containerd", "ctr")
    return Containerd(stage)


@pytest.fixture
def kubelet(containerd: Containerd) -> Kubelet:
    """Stand in for a node of Kubernetes."""
    return Kubelet(containerd)
