"""The bridge plugin against a real kernel: what it makes, what carries traffic, what goes again."""

import copy
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.netns.delegate_state import BRIDGE, leases, observe
from tests.support.gate import need
from tests.support.host import CLIENT_IPV4, CLIENT_IPV6, HOST_IPV4, HOST_IPV6, Host, Place
from tests.support.plugin import PLUGIN_DIRECTORY, Plugin
from tests.support.traffic import Saw, connect_tcp, serve_tcp
from tests.support.waiting import eventually

DEBIANS = f"{PLUGIN_DIRECTORY}/bridge"


@pytest.fixture
def bridge(delegates_dir: Path, host: Host) -> Plugin:
    return Plugin(host, str(delegates_dir / "bridge"), (str(delegates_dir),))


@pytest.fixture
def debians(host: Host) -> Plugin:
    need(DEBIANS)
    return Plugin(host, DEBIANS)


def conf(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(BRIDGE) | changes


def link(place: Place, name: str) -> str:
    return place.run(["ip", "-details", "-oneline", "link", "show", name]).text


def test_the_result_names_bridge_port_and_link(bridge: Plugin, host: Host) -> None:
    container = host.container("web")

    document = bridge.add(container, conf()).document

    names = [interface["name"] for interface in document["interfaces"]]
    assert (names[0], names[1][:4], len(names[1]), names[2]) == ("br7", "veth", 12, "eth0")
    places = [interface.get("sandbox") for interface in document["interfaces"]]
    assert places == [None, None, container.netns]
    for interface, place in zip(document["interfaces"], (host, host, container), strict=True):
        assert interface["mac"] in link(place, interface["name"])
    assert document["ips"] == [
        {"address": "10.22.0.2/16", "gateway": "10.22.0.1", "interface": 2},
        {"address": "fd00:22::2/64", "gateway": "fd00:22::1", "interface": 2},
    ]
    assert document["routes"] == [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]


@pytest.mark.parametrize(
    ("client", "hosts"), [(CLIENT_IPV4, HOST_IPV4), (CLIENT_IPV6, HOST_IPV6)], ids=["v4", "v6"]
)
def test_the_outside_sees_the_hosts_address(
    bridge: Plugin, host: Host, client: str, hosts: str
) -> None:
    container = host.container("web")
    serve_tcp(host.client, 8080)
    assert bridge.add(container, conf()).status == 0

    # The bridge's IPv6 address may take a second to be known as nobody else's.
    wanted = Saw("client", hosts, 8080)
    assert eventually(lambda: connect_tcp(container, client, 8080), wanted) == wanted


def test_containers_see_each_others_addresses(bridge: Plugin, host: Host) -> None:
    first, second = host.container("first"), host.container("second")
    addresses = [
        bridge.add(container, conf()).addresses[0].partition("/")[0]
        for container in (first, second)
    ]
    serve_tcp(second, 8080)

    assert connect_tcp(first, addresses[1], 8080) == Saw("second", addresses[0], 8080)


@pytest.mark.parametrize("gone", [False, True], ids=["alive", "gone"])
@pytest.mark.parametrize("known", [False, True], ids=["", "prevResult"])
def test_a_del_takes_away_all_but_the_bridge(
    bridge: Plugin, host: Host, gone: bool, known: bool
) -> None:
    container = host.container("web")
    document = bridge.add(container, conf()).document
    if gone:
        container.remove()
    wanted = conf(prevResult=document) if known else conf()

    answers = [
        bridge.delete(None if gone and known else container, wanted, container_id="web")
        for _ in range(2)
    ]

    assert [(answer.status, answer.stdout) for answer in answers] == [(0, b"")] * 2
    assert (host.ruleset(), host.ruleset(ipv6=True), leases(host)) == ([], [], [])
    assert host.run(["ip", "-brief", "link", "show", "type", "veth"]).text.startswith("eth0")
    assert "10.22.0.1/16" in host.run(["ip", "address", "show", "br7"]).text
    if not gone:
        assert "eth0" not in container.run(["ip", "link"]).text


def test_a_del_of_what_never_was_is_success(bridge: Plugin, host: Host) -> None:
    container = host.container("web")
    before = observe(host, container)

    assert bridge.delete(container, conf()).status == 0
    assert observe(host, container) == before


def test_a_del_is_not_stopped_by_a_signal(bridge: Plugin, host: Host) -> None:
    container = host.container("web")
    assert bridge.add(container, conf()).status == 0

    call = bridge.start("DEL", container, conf())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(call.pid, number)
        # The first may come before it is ignored, and is that kernel's default.
    status = call.wait().status

    assert status in (0, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP)
    assert bridge.delete(container, conf()).status == 0
    assert (host.ruleset(), leases(host)) == ([], [])


@pytest.mark.parametrize("ours_first", [True, False], ids=["ours, then Debian's", "and back"])
def test_what_one_made_the_other_takes_away(
    bridge: Plugin, debians: Plugin, host: Host, ours_first: bool
) -> None:
    container = host.container("web")
    first, second = (bridge, debians) if ours_first else (debians, bridge)
    document = first.add(container, conf()).document

    assert second.delete(container, conf(prevResult=document)).status == 0

    assert (host.ruleset(), host.ruleset(ipv6=True), leases(host)) == ([], [], [])
    assert "eth0" not in container.run(["ip", "link"]).text


def test_the_rules_are_debians(bridge: Plugin, debians: Plugin, host: Host) -> None:
    container = host.container("web")
    rules = []
    for plugin in (bridge, debians):
        assert plugin.add(container, conf()).status == 0
        rules.append((host.ruleset(), host.ruleset(ipv6=True)))
        assert plugin.delete(container, conf()).status == 0
        host.run(["sh", "-c", f"rm -r {'/var/lib/cni/networks'}"])

    assert rules[0] == rules[1]


def test_a_container_attached_twice_keeps_the_rules_of_the_other(
    bridge: Plugin, host: Host
) -> None:
    container = host.container("web")
    first = conf(ipam={"type": "host-local", "subnet": "10.22.0.0/16"})
    for ifname in ("eth0", "eth1"):
        assert bridge.add(container, first, ifname).status == 0

    assert [bridge.delete(container, first, "eth0").status for _ in range(2)] == [0, 0]

    rules = "\n".join(host.ruleset())
    assert "-s 10.22.0.2/32" not in rules
    assert "-s 10.22.0.3/32" in rules
    assert "MASQUERADE" in rules
    assert bridge.delete(container, first, "eth1").status == 0
    assert host.ruleset() == []


def test_options_reach_the_links(bridge: Plugin, host: Host) -> None:
    container = host.container("web")
    wanted = conf(mtu=1400, hairpinMode=True, args={"cni": {"mac": "02:00:00:00:00:07"}})

    port = bridge.add(container, wanted).document["interfaces"][1]["name"]

    assert " mtu 1400 " in link(host, "br7")
    assert " mtu 1400 " in link(host, port)
    assert " hairpin on " in link(host, port)
    assert " mtu 1400 " in link(container, "eth0")
    assert "link/ether 02:00:00:00:00:07 " in link(container, "eth0")


def test_a_promiscuous_bridge_is_one(bridge: Plugin, host: Host) -> None:
    assert bridge.add(host.container("web"), conf(promiscMode=True)).status == 0

    assert "PROMISC" in link(host, "br7")


def test_a_gateways_hardware_address_stays_while_containers_come_and_go(
    bridge: Plugin, host: Host
) -> None:
    macs = set()
    for number in range(4):
        container = host.container(f"web-{number}")
        macs.add(bridge.add(container, conf()).document["interfaces"][0]["mac"])
        if number % 2:
            assert bridge.delete(container, conf()).status == 0
            macs.add(link(host, "br7").partition("link/ether ")[2].split()[0])

    assert len(macs) == 1


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        ("ip link delete eth0", "eth0"),
        ("ip address delete 10.22.0.2/16 dev eth0", "10.22.0.2/16"),
        ("ip route delete default", "0.0.0.0/0"),
        ("ip link set eth0 address 02:00:00:00:00:01", "02:00:00:00:00:01"),
    ],
)
def test_check_finds_what_is_amiss_in_the_container(
    bridge: Plugin, host: Host, break_it: str, words: str
) -> None:
    container = host.container("web")
    wanted = conf(prevResult=bridge.add(container, conf()).document)
    assert bridge.check(container, wanted).status == 0

    container.run(break_it.split())

    answer = bridge.check(container, wanted)
    assert (answer.status, answer.code) == (1, 999)
    assert words in answer.document["msg"]


@pytest.mark.parametrize(
    "break_it",
    ["ip link set {port} nomaster", "ip link delete br7", "ip link set br7 promisc off"],
)
def test_check_finds_what_is_amiss_on_the_host(bridge: Plugin, host: Host, break_it: str) -> None:
    container = host.container("web")
    document = bridge.add(container, conf(promiscMode=True)).document
    wanted = conf(promiscMode=True, prevResult=document)
    assert bridge.check(container, wanted).status == 0

    host.run(break_it.format(port=document["interfaces"][1]["name"]).split())

    answer = bridge.check(container, wanted)
    assert (answer.status, answer.code) == (1, 999)


def test_without_ipam_the_container_gets_a_link_alone(bridge: Plugin, host: Host) -> None:
    container = host.container("web")

    document = bridge.add(container, conf(ipam={}, ipMasq=False)).document

    assert "ips" not in document
    assert "state UP" in link(container, "eth0")
    assert "inet " not in container.run(["ip", "address", "show", "eth0"]).text


@pytest.mark.parametrize("version", ["0.1.0", "0.3.1", "1.1.0"])
def test_the_result_is_in_the_version_asked_for(bridge: Plugin, host: Host, version: str) -> None:
    document = bridge.add(host.container("web"), conf(cniVersion=version)).document

    assert document["cniVersion"] == version
    assert ("ip4" in document) == (version == "0.1.0")
    assert ("version" in document.get("ips", [{}])[0]) == (version == "0.3.1")


def test_an_add_waits_for_whoever_changes_what_is_shared(bridge: Plugin, host: Host) -> None:
    # As the program does it, on a file that every process of the host has.
    holder = host.start(["flock", "/proc/self/ns/net", "-c", "echo held; sleep 1"])
    assert holder.stdout_line() == b"held"

    answer = bridge.add(host.container("web"), conf(ipMasq=False))

    assert answer.status == 0
    assert not holder.running


def test_fifty_adds_at_once_are_fifty_ports(bridge: Plugin, host: Host) -> None:
    containers = [host.container(f"web-{number}") for number in range(50)]

    calls = [bridge.start("ADD", container, conf(ipMasq=False)) for container in containers]
    answers = [call.wait(120) for call in calls]

    assert {answer.status for answer in answers} == {0}
    assert len({answer.addresses[0] for answer in answers}) == 50
    ports = host.run(["ip", "-brief", "link", "show", "master", "br7"]).text.splitlines()
    assert len(ports) == 50
