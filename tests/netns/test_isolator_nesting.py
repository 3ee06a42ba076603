"""Nested containers, changed configurations, and plugins of several origins."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.gate import need
from tests.support.host import HOST_IPV4, Host
from tests.support.isolation import PLUGINS, ROOT, Lab, info
from tests.support.plugin import PLUGIN_DIRECTORY
from tests.support.traffic import Saw, connect_tcp, serve_tcp

RESULT_4 = {"ip4": {"ip": "192.168.4.2/24"}}


@pytest.fixture
def lab(host: Host) -> Lab:
    return Lab(host)


def bridge(name: str, subnet: str, **fields: Any) -> dict[str, Any]:
    need(f"{PLUGIN_DIRECTORY}/bridge")
    ipam = {"type": "host-local", "subnet": subnet, "routes": [{"dst": "0.0.0.0/0"}]}
    own = {"name": name, "type": "bridge", "bridge": f"{name}0", "isGateway": True, "ipam": ipam}
    return own | fields


def address(text: str) -> dict[str, str]:
    return {"ip_address": text, "protocol": "IPv6" if ":" in text else "IPv4"}


@pytest.mark.parametrize("networks", [[], [info(groups=["g"])]], ids=["none", "nameless"])
def test_a_nested_container_joins_the_nearest_one_that_has_networks(
    lab: Lab, networks: list[Any]
) -> None:
    lab.plugins.recording("fake", RESULT_4)
    lab.network("net", "fake")
    parent = lab.container("a", info("net"), hostname="parent")
    nested = lab.sleeper(("mnt",), joins=parent)
    request = {"container_id": "a.b.c", "networks": networks}

    prepared, isolated, status, usage, debug, _, after = lab.run(
        ("prepare", request),
        ("isolate", {"container_id": "a.b.c", "pid": nested.pid_inside}),
        ("status", {"container_id": "a.b.c"}),
        ("usage", {"container_id": "a.b.c"}),
        ("prepare", {"container_id": "a.d", "networks": [info("net")], "debug": True}),
        ("cleanup", {"container_id": "a.b.c"}),
        ("status", {"container_id": "a"}),
    )

    environment = {"LIBPROCESS_IP": "0.0.0.0"}
    assert prepared.value == {"namespaces": ["mnt"], "joins": "a", "environment": environment}
    assert debug.value == {"namespaces": [], "joins": "a", "environment": environment}
    assert isolated.error == ""
    assert (
        status.value == after.value == [{"name": "net", "ip_addresses": [address("192.168.4.2")]}]
    )
    assert len(usage.value) == 8
    assert lab.inside(nested, "cat", "/etc/hosts").endswith("192.168.4.2 parent\n")
    assert lab.inside(nested, "hostname") == "parent\n"
    assert lab.calls("fake") == ["ADD"]


def test_a_nested_container_may_have_networks_of_its_own(lab: Lab) -> None:
    lab.plugins.recording("fake", RESULT_4)
    lab.network("net", "fake")
    lab.container("a", info("net"), hostname="parent")

    nested = lab.container("a.b", info("net"))
    lab.ok("cleanup", container_id="a")

    assert lab.inside(nested, "hostname") == "b\n"
    assert lab.ok("status", container_id="a.b.c") == lab.ok("status", container_id="a.b") != []
    assert lab.ok("status", container_id="a") == []


def test_configurations_count_from_the_next_launch_on(lab: Lab) -> None:
    lab.plugins.recording("fake", RESULT_4)
    lab.plugins.recording("other", RESULT_4)
    asked = {"networks": [info("net")]}

    lab.network("some", "fake")
    refused = lab.do("prepare", container_id="a", **asked)
    assert refused.error == "container a asks for the unknown network 'net'"
    assert refused.details == "known networks: some"

    lab.network("net", "fake")
    lab.container("b", info("net"))
    lab.network("net", "other")
    lab.container("c", info("net"))
    lab.unconfigure("net.conf")
    lab.configure("broken", '{"name": "net"')
    refused = lab.do("prepare", container_id="d", **asked)
    assert "broken: " in refused.details
    assert [lab.calls("fake"), lab.calls("other")] == [["ADD"], ["ADD"]]

    for container_id in ("b", "c"):
        lab.ok("cleanup", container_id=container_id)
    assert [lab.calls("fake"), lab.calls("other")] == [["ADD", "DEL"], ["ADD", "DEL"]]
    assert lab.left() == []


def test_a_network_may_be_asked_for_once_and_a_container_prepared_once(lab: Lab) -> None:
    lab.plugins.recording("fake", RESULT_4)
    lab.network("net", "fake")

    twice = lab.do("prepare", container_id="a", networks=[info("net"), info("net")])
    assert twice.error == "container a asks for network 'net' twice"
    assert twice.details == "known networks: net"
    lab.container("a", info("net"))
    assert "has been prepared already" in lab.do("prepare", container_id="a").error
    request = {"container_id": "b"}
    first, second = lab.run(("prepare", request), ("prepare", request))
    assert not first.error
    assert "has been prepared already" in second.error


def test_a_built_in_plugin_is_found_after_the_operators(lab: Lab) -> None:
    lab.host.path("/run/builtin").mkdir()
    lab.plugins.recording("fake", RESULT_4)
    lab.host.path(f"{PLUGINS}/fake").rename(lab.host.path("/run/builtin/fake"))
    lab.network("net", "fake")
    lab.settings["builtin_plugins_dir"] = "/run/builtin"

    lab.container("a", info("net"))

    (call,) = lab.plugins.calls("fake")
    assert call.env["CNI_PATH"] == f"{PLUGINS}:{PLUGIN_DIRECTORY}:/run/builtin"


def test_ports_are_forwarded_by_the_port_mapper(lab: Lab, frozen: Path) -> None:
    delegate = bridge("web", "192.168.1.0/24")
    del delegate["name"]
    lab.settings["plugins_dir"] = f"{frozen.parent}:{PLUGIN_DIRECTORY}"
    lab.network("web", "mesos-cni-port-mapper", chain="MESOS-TEST", delegate=delegate)
    mapping = {"host_port": 8080, "container_port": 80}

    container = lab.container("web-1", info("web", port_mappings=[mapping]))
    lab.host.path("/run/netns/web-1").symlink_to(f"{ROOT}/web-1/ns")
    place = lab.host.container("unused")
    place.netns = f"{ROOT}/web-1/ns"
    serve_tcp(place, 80)
    seen = connect_tcp(lab.host.client, HOST_IPV4, 8080)
    status = lab.ok("status", container_id="web-1")
    container.kill()
    lab.ok("cleanup", container_id="web-1")

    assert isinstance(seen, Saw)
    assert status == [
        {
            "name": "web",
            "ip_addresses": [address("192.168.1.2")],
            "port_mappings": [{"container_port": 80, "host_port": 8080}],
        }
    ]
    assert connect_tcp(lab.host.client, HOST_IPV4, 8080) == "refused"
    assert lab.host.chain("MESOS-TEST") is None
    assert lab.left() == []
