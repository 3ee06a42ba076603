"""Configurations of known installations, as they stand: they work, and nothing of them is left."""

import json
import sys
from typing import Any

import pytest

from tests.netns.networks import (
    NOTHING,
    Network,
    bridged,
    dnat,
    from_client,
    jumps,
    reached,
    server,
    tcp,
    traces,
    udp,
)
from tests.support.host import HOST_IPV4, Host
from tests.support.plugin import Plugin
from tests.support.traffic import Saw, connect_tcp, connect_udp, serve_tcp

DEFAULT_ROUTE = [{"dst": "0.0.0.0/0"}]


def overlay(name: str, bridge: str, subnet: str) -> dict[str, Any]:
    """Return what an agent of DC/OS writes for an overlay: the chain is the same for all."""
    return {
        "name": name,
        "type": "mesos-cni-port-mapper",
        "excludeDevices": [bridge],
        "chain": "OVERLAY-DEFAULT-BRIDGE",
        "delegate": {
            "type": "bridge",
            "bridge": bridge,
            "isGateway": True,
            "ipMasq": False,
            "mtu": 1420,
            "ipam": {"type": "host-local", "subnet": subnet, "routes": DEFAULT_ROUTE},
        },
    }


def bridge_network(name: str, chain: str, bridge: str, subnet: str) -> dict[str, Any]:
    """Return the configuration that most guides give, with the keys in their order."""
    return {
        "name": name,
        "type": "mesos-cni-port-mapper",
        "excludeDevices": [bridge],
        "chain": chain,
        "delegate": {
            "type": "bridge",
            "bridge": bridge,
            "isGateway": True,
            "ipMasq": True,
            "ipam": {"type": "host-local", "subnet": subnet, "routes": DEFAULT_ROUTE},
        },
    }


MARATHON = bridge_network("mesos-bridge", "MESOS-BRIDGE-PORT-MAPPER", "mesos-bridge", "10.1.1.0/24")
GUIDE = bridge_network("mesos-port-mapper", "MESOS-PORT-MAPPER", "mesos-cni0", "192.168.0.0/16")

# An integration test of DC/OS: the port mapper is itself the delegate of another plugin.
SPARTAN: dict[str, Any] = {
    "cniVersion": "0.2.0",
    "name": "spartan-net",
    "type": "dcos-l4lb",
    "delegate": {
        "type": "mesos-cni-port-mapper",
        "excludeDevices": ["sprt-cni0"],
        "chain": "spartan-net",
        "delegate": {
            "type": "bridge",
            "bridge": "sprt-cni0",
            "ipMasq": True,
            "isGateway": True,
            "ipam": {
                "type": "host-local",
                "subnet": "192.168.250.0/24",
                "routes": [
                    {"dst": "9.0.0.0/8"},
                    {"dst": "10.0.0.0/8"},
                    {"dst": "172.16.0.0/12"},
                    {"dst": "192.168.0.0/16"},
                ],
            },
        },
    },
}

# It hands name, version and args down, and the result of its delegate up.
OUTER_PLUGIN = f"""\
#!{sys.executable} -IS
import json, os, subprocess, sys
netconf = json.load(sys.stdin)
delegate = netconf["delegate"]
for key in ("name", "cniVersion", "args"):
    if key in netconf:
        delegate[key] = netconf[key]
paths = [f"{{d}}/{{delegate['type']}}" for d in os.environ["CNI_PATH"].split(":")]
program = next(path for path in paths if os.path.exists(path))
sys.exit(subprocess.run([program], input=json.dumps(delegate).encode()).returncode)
"""

# The test suite of Mesos: a delegate written in shell that takes the host's own address.
MESOS_TEST: dict[str, Any] = {
    "name": "__MESOS_TEST__portMapper",
    "type": "mesos-cni-port-mapper",
    "chain": "MESOS-TEST-PORT-MAPPER-CHAIN",
    "delegate": {"name": "__MESOS_TEST__", "type": "mockPlugin"},
}
MOCK_PLUGIN = f"""\
#!/bin/sh
if [ "$CNI_COMMAND" = ADD ]; then
    echo '{{'
    echo '  "ip4": {{ "ip": "{HOST_IPV4}/24" }},'
    echo '  "dns": {{ "nameservers": [ "198.51.100.53" ] }}'
    echo '}}'
fi
"""


@pytest.mark.parametrize("netconf", [MARATHON, GUIDE], ids=["Marathon", "a guide"])
def test_a_bridge_network_works_as_it_is_documented(
    any_host: Host, any_plugin: Plugin, netconf: dict[str, Any]
) -> None:
    network = Network(any_plugin, netconf)
    web = network.task(server(any_host, "web-1", udp=[53]), tcp(31000), udp(31001))
    gateway, address = {
        "mesos-bridge": ("10.1.1.1", "10.1.1.2"),
        "mesos-cni0": ("192.168.0.1", "192.168.0.2"),
    }[netconf["delegate"]["bridge"]]

    answer = web.attach()

    assert answer.document["ip4"]["ip"].startswith(f"{address}/")
    assert answer.document["ip4"]["gateway"] == gateway
    device = netconf["delegate"]["bridge"]
    assert any_host.chain(netconf["chain"]) == [
        dnat(31000, f"{address}:80", web, device=device),
        dnat(31001, f"{address}:53", web, device=device, protocol="udp"),
    ]
    assert connect_tcp(any_host.client, HOST_IPV4, 31000) == from_client("web-1")
    assert connect_udp(any_host.client, HOST_IPV4, 31001) == from_client("web-1", 53)
    assert connect_tcp(any_host, HOST_IPV4, 31000) == Saw("web-1", HOST_IPV4, 80)

    web.detach()

    assert traces(any_host) == NOTHING


def test_overlays_share_their_chain(any_host: Host, any_plugin: Plugin) -> None:
    overlays = [
        Network(any_plugin, overlay("dcos", "m-dcos", "9.0.1.0/25")),
        Network(any_plugin, overlay("dcos-2", "m-dcos-2", "9.1.1.0/25")),
        Network(any_plugin, overlay("dcos-dev", "m-dcos-dev", "9.2.1.0/25")),
    ]
    tasks = [
        network.task(server(any_host, f"web-{number}"), tcp(31000 + number))
        for number, network in enumerate(overlays)
    ]
    for task in tasks:
        task.attach()

    assert [line for line in any_host.ruleset() if line.startswith(":")] == [
        ":OVERLAY-DEFAULT-BRIDGE -"
    ]
    assert (
        len([line for line in any_host.ruleset() if line in jumps("OVERLAY-DEFAULT-BRIDGE")]) == 2
    )
    seen = [reached(any_host.client, 31000 + number) for number in range(3)]
    assert seen == ["web-0", "web-1", "web-2"]
    assert reached(tasks[1].container, 31000) == "web-0"

    tasks[0].detach()

    seen = [reached(any_host.client, 31000 + number) for number in range(3)]
    assert seen == ["refused", "web-1", "web-2"]

    tasks[1].detach()
    tasks[2].detach()

    assert traces(any_host) == NOTHING


@pytest.fixture
def outer(any_host: Host, any_plugin: Plugin) -> Plugin:
    """Return an outer plugin that finds the port mapper in CNI_PATH."""
    path = any_host.path("/run/plugins/dcos-l4lb")
    path.parent.mkdir()
    path.write_text(OUTER_PLUGIN)
    path.chmod(0o755)
    path.with_name("mesos-cni-port-mapper").symlink_to(any_plugin.executable)
    return Plugin(any_host, "/run/plugins/dcos-l4lb").finding("/run/plugins")


def test_the_port_mapper_is_the_delegate_of_another_plugin(any_host: Host, outer: Plugin) -> None:
    # This network has no default route; a client within one of those it has is what it serves.
    any_host.run(["ip", "address", "add", "10.20.0.1/24", "dev", "eth0"])
    any_host.client.run(["ip", "address", "add", "10.20.0.2/24", "dev", "eth0"])
    web = Network(outer, SPARTAN).task(server(any_host, "web-1", tcp=[9081]), tcp(9081, 9081))

    answer = web.attach()

    assert answer.document["cniVersion"] == "0.2.0"
    assert answer.document["ip4"]["ip"] == "192.168.250.2/24"
    assert any_host.chain("spartan-net") == [
        "-A spartan-net ! -i sprt-cni0 -p tcp -m tcp --dport 9081 -m comment --comment "
        '"container_id: web-1 network: spartan-net ifname: eth0" '
        "-j DNAT --to-destination 192.168.250.2:9081"
    ]
    assert connect_tcp(any_host.client, "10.20.0.1", 9081) == Saw("web-1", "10.20.0.2", 9081)

    web.detach()

    assert traces(any_host) == NOTHING


def test_an_error_comes_up_through_the_outer_plugin(any_host: Host, outer: Plugin) -> None:
    netconf = {**SPARTAN, "delegate": {**SPARTAN["delegate"], "chain": "ACCEPT"}}

    answer = Network(outer, netconf).task(any_host.container("web-1"), tcp(9081)).add()

    assert (answer.status, answer.code) == (1, 7)
    assert answer.document["cniVersion"] == "0.2.0"
    assert answer.document["msg"].startswith("chain: 'ACCEPT' ")


def test_the_network_of_mesos_own_test_works(any_host: Host, any_plugin: Plugin) -> None:
    path = any_host.path("/run/plugins/mockPlugin")
    path.parent.mkdir()
    path.write_text(MOCK_PLUGIN)
    path.chmod(0o755)
    network = Network(any_plugin.finding("/run/plugins"), MESOS_TEST)
    # Its containers stay in the host's network, so three tasks listen there.
    tasks = [
        network.task(any_host.container(f"task-{number}"), tcp(31000 + number, 32000 + number))
        for number in range(3)
    ]
    for number, task in enumerate(tasks):
        serve_tcp(any_host, 32000 + number)
        answer = task.attach()
        assert json.loads(answer.stdout)["dns"] == {"nameservers": ["198.51.100.53"]}

    for number in range(3):
        outcome = connect_tcp(any_host, HOST_IPV4, 31000 + number)
        assert outcome == Saw("host", HOST_IPV4, 32000 + number)

    for task in tasks:
        task.detach()

    assert traces(any_host) == NOTHING


def test_two_networks_of_an_installation_do_not_disturb_each_other(
    any_host: Host, any_plugin: Plugin
) -> None:
    marathon = Network(any_plugin, MARATHON).task(server(any_host, "web-1"), tcp(31000))
    other = bridged(any_plugin, 3).task(server(any_host, "web-2"), tcp(31001))
    marathon.attach()
    other.attach()

    marathon.detach()

    assert reached(any_host.client, 31000) == "refused"
    assert reached(any_host.client, 31001) == "web-2"
