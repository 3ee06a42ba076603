"""The documented network from its first container to its last: rules, packets, and nothing left."""

import pytest

from tests.netns.networks import (
    CHAIN,
    DOCUMENT,
    NOTHING,
    Network,
    Task,
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
from tests.support.delegates import Delegates
from tests.support.host import CLIENT_IPV4, HOST_IPV4, Host
from tests.support.plugin import Plugin
from tests.support.traffic import Saw, connect_tcp, connect_udp, serve_tcp, serve_udp

GATEWAY = "192.168.0.1"


@pytest.fixture
def network(any_plugin: Plugin) -> Network:
    return Network(any_plugin, DOCUMENT)


@pytest.fixture
def web(any_host: Host, network: Network) -> Task:
    """Return a web and name server that is attached."""
    task = network.task(server(any_host, "web-1", udp=[53]), tcp(8080), udp(5353))
    task.attach()
    return task


def test_tcp_and_udp_reach_the_container_from_outside(any_host: Host, web: Task) -> None:
    assert connect_tcp(any_host.client, HOST_IPV4, 8080) == from_client("web-1")
    assert connect_udp(any_host.client, HOST_IPV4, 5353) == from_client("web-1", 53)


def test_the_host_reaches_the_container_by_its_own_address(any_host: Host, web: Task) -> None:
    assert connect_tcp(any_host, HOST_IPV4, 8080) == Saw("web-1", HOST_IPV4, 80)
    assert connect_udp(any_host, HOST_IPV4, 5353) == Saw("web-1", HOST_IPV4, 53)


def test_loopback_is_left_to_the_host(any_host: Host, web: Task) -> None:
    assert connect_tcp(any_host, "127.0.0.1", 8080) == "refused"

    serve_tcp(any_host, 8080)

    assert connect_tcp(any_host, "127.0.0.1", 8080) == Saw("host", "127.0.0.1", 8080)


def test_a_container_on_the_excluded_bridge_reaches_the_host_itself(
    any_host: Host, network: Network, web: Task
) -> None:
    neighbour = any_host.container("web-2")
    network.task(neighbour).attach()
    serve_tcp(any_host, 8080)
    serve_udp(any_host, 5353, HOST_IPV4)

    assert reached(neighbour, 8080) == "host"
    assert reached(neighbour, 8080, GATEWAY) == "host"
    assert connect_udp(neighbour, HOST_IPV4, 5353) == Saw("host", "192.168.0.3", 5353)
    assert reached(any_host.client, 8080) == "web-1"


def test_a_container_on_another_bridge_reaches_the_mapped_port(
    any_host: Host, any_plugin: Plugin, web: Task
) -> None:
    stranger = any_host.container("stranger")
    bridged(any_plugin, 1).task(stranger).attach()

    assert connect_tcp(stranger, HOST_IPV4, 8080) == Saw("web-1", "10.2.0.2", 80)


def test_traffic_to_the_same_port_of_another_machine_passes(
    any_host: Host, any_plugin: Plugin, web: Task
) -> None:
    far = server(any_host, "far", tcp=[8080])
    bridged(any_plugin, 1).task(far).attach()
    serve_tcp(any_host.client, 8080)
    any_host.client.run(["ip", "route", "add", "10.2.0.0/24", "via", HOST_IPV4])

    assert connect_tcp(any_host.client, "10.2.0.2", 8080) == from_client("far", 8080)
    assert connect_tcp(far, CLIENT_IPV4, 8080) == Saw("client", "10.2.0.2", 8080)
    assert reached(web.container, 8080, CLIENT_IPV4) == "client"


def test_the_rules_are_those_that_operators_know(any_host: Host, web: Task) -> None:
    ours = [line for line in any_host.ruleset() if CHAIN in line]

    assert ours == [
        f":{CHAIN} -",
        *jumps(),
        dnat(8080, "192.168.0.2:80", web),
        dnat(5353, "192.168.0.2:53", web, protocol="udp"),
    ]
    assert ours[3] == (
        "-A MESOS-TEST-PORT-MAPPER ! -i mesos-cni0 -p tcp -m tcp --dport 8080 -m comment "
        '--comment "container_id: web-1 network: port-mapper-test ifname: eth0" '
        "-j DNAT --to-destination 192.168.0.2:80"
    )


def test_nothing_is_left_when_the_container_is_gone(any_host: Host, network: Network) -> None:
    any_host.run(["iptables", "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", "1"])
    before = any_host.ruleset()
    web = network.task(server(any_host, "web-1", udp=[53]), tcp(8080), udp(5353))
    web.attach()
    there = traces(any_host)

    web.detach()

    assert there.leases == ("networks/port-mapper-test/192.168.0.2",)
    assert len(there.state) > 0
    assert any_host.ruleset() == before
    assert traces(any_host).leases == traces(any_host).state == ()
    assert reached(any_host.client, 8080) == "refused"


def test_a_container_can_be_deleted_twice_and_after_its_namespace_is_gone(
    any_host: Host, any_plugin: Plugin
) -> None:
    web = bridged(any_plugin).task(any_host.container("web-1"), tcp(8080))
    web.attach()
    web.container.remove()

    answers = [
        any_plugin.delete(None, web.request(), container_id="web-1", CNI_NETNS=None)
        for _ in range(2)
    ]

    assert [(answer.status, answer.stdout) for answer in answers] == [(0, b"")] * 2
    assert traces(any_host) == NOTHING


def test_the_first_container_brings_the_chain_and_the_last_takes_it_along(
    any_host: Host, network: Network, web: Task
) -> None:
    other = network.task(server(any_host, "web-2"), tcp(8081))
    other.attach()

    web.detach()

    assert reached(any_host.client, 8080) == "refused"
    assert connect_tcp(any_host.client, HOST_IPV4, 8081) == from_client("web-2")
    assert any_host.chain(CHAIN) == [dnat(8081, "192.168.0.3:80", other)]

    other.detach()

    assert traces(any_host) == NOTHING


def test_a_container_without_ports_makes_no_rules(any_host: Host, network: Network) -> None:
    plain = network.task(any_host.container("plain"))
    plain.attach()

    assert any_host.chain(CHAIN) is None

    plain.detach()

    assert traces(any_host) == NOTHING


def test_the_answer_is_the_delegates_own(any_host: Host, network: Network) -> None:
    answer = network.task(any_host.container("web-1"), tcp(8080)).attach()

    assert answer.document["ip4"] == {
        "gateway": GATEWAY,
        "ip": "192.168.0.2/16",
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    assert answer.stdout.count(b"\n") == 1


def test_the_delegate_gets_the_name_and_what_mesos_sent(host: Host, plugin: Plugin) -> None:
    delegates = Delegates(host)
    delegates.recording("recording", {"ip4": {"ip": "192.168.7.2/24"}})
    network = Network(
        plugin.finding(delegates.directory), {**DOCUMENT, "delegate": {"type": "recording"}}
    )
    web = network.task(host.container("web-1"), tcp(8080))
    web.attach()
    web.detach()

    sent = {
        "labels": {"labels": [{"key": "app", "value": "web"}]},
        "name": "port-mapper-test",
        "port_mappings": [{"container_port": 80, "host_port": 8080, "protocol": "tcp"}],
    }
    added, deleted = delegates.calls("recording")
    assert added.config == deleted.config
    assert added.config == {
        "type": "recording",
        "name": "port-mapper-test",
        "args": {"org.apache.mesos": {"network_info": sent}},
    }
    assert added.env == {**deleted.env, "CNI_COMMAND": "ADD"}
    assert set(added.env) == {
        "CNI_COMMAND",
        "CNI_CONTAINERID",
        "CNI_IFNAME",
        "CNI_NETNS",
        "CNI_PATH",
        "PATH",
    }
