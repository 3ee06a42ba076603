"""What version 1.1.0 lets a route say is what the kernel's route has."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.netns.delegate_state import BRIDGE
from tests.support.delegates import Delegates
from tests.support.host import Container, Host
from tests.support.plugin import Plugin

FAR = {"dst": "198.51.100.0/24", "table": 1000, "priority": 7, "mtu": 1300, "advmss": 1200}
FAR6 = {"dst": "2001:db8:1::/64", "table": 200, "priority": 9, "mtu": 1350}
NEAR = {"dst": "203.0.113.0/24", "scope": 253}
PLAIN = {"dst": "0.0.0.0/0"}


@pytest.fixture
def bridge(delegates_dir: Path, host: Host) -> Plugin:
    return Plugin(host, str(delegates_dir / "bridge"), (str(delegates_dir), "/run/delegates"))


def conf(*routes: dict[str, Any]) -> dict[str, Any]:
    ipam = {**BRIDGE["ipam"], "routes": [*routes]}
    return {**BRIDGE, "cniVersion": "1.1.0", "ipam": ipam}


def routes(container: Container, table: int, family: int = 4) -> list[dict[str, Any]]:
    command = ["ip", f"-{family}", "-json", "-details", "route", "show", "table", str(table)]
    found: list[dict[str, Any]] = json.loads(container.run(command).text or "[]")
    return [route for route in found if route.get("protocol") == "boot"]


def test_a_route_has_its_table_its_priority_and_its_sizes(bridge: Plugin, host: Host) -> None:
    container = host.container("web")

    document = bridge.add(container, conf(PLAIN, FAR, FAR6, NEAR)).document

    assert document["routes"] == [PLAIN, FAR, FAR6, NEAR]
    (far,) = routes(container, 1000)
    sizes = [{"mtu": 1300, "advmss": 1200}]
    assert (far["dst"], far["gateway"], far["metric"]) == ("198.51.100.0/24", "10.22.0.1", 7)
    assert far["metrics"] == sizes
    (far6,) = routes(container, 200, 6)
    assert (far6["dst"], far6["metric"], far6["metrics"]) == (FAR6["dst"], 9, [{"mtu": 1350}])
    default, near = routes(container, 254)
    assert (default["dst"], default["gateway"]) == ("default", "10.22.0.1")
    assert (near["dst"], near["scope"], "gateway" in near) == ("203.0.113.0/24", "link", False)


def test_a_check_looks_into_the_routes_own_table(bridge: Plugin, host: Host) -> None:
    container = host.container("web")
    wanted = conf(FAR)
    document = bridge.add(container, wanted).document
    checked = {**wanted, "prevResult": document}
    assert bridge.check(container, checked).status == 0

    container.run(["ip", "route", "flush", "table", "1000"])

    answer = bridge.check(container, checked)
    assert answer.status == 1
    assert answer.document["msg"] == "eth0 has lost its route to 198.51.100.0/24"


def test_a_failed_add_takes_such_routes_back(bridge: Plugin, host: Host) -> None:
    container = host.container("web")
    unreachable = {"dst": "192.0.2.0/24", "gw": "192.0.2.1"}

    assert bridge.add(container, conf(FAR, unreachable)).status == 1
    assert routes(container, 1000) == []


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ([1], "routes[0]: must be an object"),
        ([{}], "routes[0].dst: is missing"),
        ([{"dst": "192.0.2.1"}], "routes[0].dst: '192.0.2.1' is no address with a prefix length"),
        ([{"dst": "0.0.0.0/0", "gw": "x"}], "routes[0].gw: 'x' is no address"),
        ([{"dst": "0.0.0.0/0", "mtu": "x"}], "routes[0].mtu: must be a whole number"),
        ({}, "routes: must be an array"),
    ],
)
def test_routes_that_are_none_are_the_ipam_plugins_fault(
    bridge: Plugin, host: Host, given: object, named: str
) -> None:
    plugins = Delegates(host)
    ips = [{"address": "10.22.0.9/16"}]
    plugins.recording("addresses", {"cniVersion": "1.1.0", "ips": ips, "routes": given})
    wanted = {**conf(), "ipam": {"type": "addresses"}}

    answer = bridge.add(host.container("web"), wanted)

    assert (answer.status, answer.document["code"]) == (1, 102)
    assert answer.document["msg"] == "/run/delegates/addresses returned no usable result"
    assert answer.document["details"].startswith(named)
    assert plugins.commands("addresses") == ["ADD", "DEL"]
