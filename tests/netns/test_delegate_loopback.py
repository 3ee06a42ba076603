"""The loopback plugin brings up what is there, and takes it down."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.host import Container, Host
from tests.support.plugin import Plugin

CONF: dict[str, Any] = {"cniVersion": "1.0.0", "name": "lo-net", "type": "loopback"}


@pytest.fixture
def loopback(delegates_dir: Path, host: Host) -> Plugin:
    return Plugin(host, str(delegates_dir / "loopback"))


@pytest.fixture
def container(host: Host) -> Container:
    container = host.container("web")
    container.run(["ip", "link", "set", "lo", "down"])
    return container


def is_up(container: Container) -> bool:
    return "UP" in container.run(["ip", "link", "show", "lo"]).text.partition(">")[0]


def test_lo_is_up_and_in_the_result(loopback: Plugin, container: Container) -> None:
    answer = loopback.add(container, CONF)

    assert answer.document == {
        "cniVersion": "1.0.0",
        "interfaces": [{"name": "lo", "mac": "00:00:00:00:00:00", "sandbox": container.netns}],
        "ips": [
            {"interface": 0, "address": "127.0.0.1/8"},
            {"interface": 0, "address": "::1/128"},
        ],
        "dns": {},
    }
    assert is_up(container)


def test_a_previous_result_is_passed_on(loopback: Plugin, container: Container) -> None:
    before = {"cniVersion": "1.0.0", "ips": [{"address": "192.0.2.7/24"}], "dns": {}}

    assert loopback.add(container, {**CONF, "prevResult": before}).document == before
    assert is_up(container)


def test_a_del_takes_lo_down_as_often_as_it_comes(loopback: Plugin, container: Container) -> None:
    assert loopback.add(container, CONF).status == 0

    assert [loopback.delete(container, CONF).status for _ in range(2)] == [0, 0]
    assert not is_up(container)


@pytest.mark.parametrize("netns", ["", "/run/netns/gone", "/etc/hostname"])
def test_a_del_without_the_namespace_is_success(loopback: Plugin, host: Host, netns: str) -> None:
    answer = loopback.delete(None, CONF, container_id="web", CNI_NETNS=netns)

    assert (answer.status, answer.stdout) == (0, b"")


@pytest.mark.parametrize("netns", ["/run/netns/gone", "/etc/hostname", "/proc/1/ns/mnt"])
def test_an_add_without_the_namespace_names_it(loopback: Plugin, host: Host, netns: str) -> None:
    answer = loopback.add(None, CONF, container_id="web", CNI_NETNS=netns)

    assert (answer.status, answer.code) == (1, 999)
    assert netns in str(answer.document)


def test_check_finds_lo_down(loopback: Plugin, container: Container) -> None:
    assert loopback.add(container, CONF).status == 0
    assert loopback.check(container, CONF).status == 0

    container.run(["ip", "link", "set", "lo", "down"])

    answer = loopback.check(container, CONF)
    assert (answer.status, answer.code) == (1, 999)
