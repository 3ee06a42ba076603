"""How runtimes ask: chained or with delegates, in whatever letter case."""

from typing import Any

import pytest

from tests.netns.behaviour.site import (
    CLIENT,
    FAMILIES,
    NOTHING,
    OWN,
    Imagined,
    Site,
    addresses,
    bridge,
    entries,
    everything,
    gateways,
    mapping,
    name_of,
)
from tests.support.delegates import Delegates
from tests.support.host import Container
from tests.support.plugin import PLUGIN_DIRECTORY, Plugin
from tests.support.traffic import Saw, connect_tcp, connect_udp


def attached_before(site: Site, container: Container) -> Any:
    """Attach by the plugin that stands before ours in a list, and return its result."""
    netconf = {**bridge(1), "cniVersion": "1.0.0", "name": "net-1"}
    answer = Plugin(site.host, f"{PLUGIN_DIRECTORY}/bridge").add(container, netconf)
    assert answer.status == 0, answer.document
    return answer.document


def test_second_in_a_list_we_forward_to_the_container_of_the_first(site: Site) -> None:
    container = site.server("web")
    previous = attached_before(site, container)
    chained = site.member(
        container,
        mapping(8080),
        mapping(8081, 53, "udp"),
        delegate=None,
        capabilities={"portMappings": True},
        prevResult=previous,
    )

    answer = chained.attach()

    assert answer.document == previous
    for family in FAMILIES:
        client, own = site.host.client, OWN[family]
        assert connect_tcp(client, own, 8080) == Saw("web", CLIENT[family], 80)
        assert connect_udp(client, own, 8081) == Saw("web", CLIENT[family], 53)
    assert chained.run("CHECK").status == 0

    chained.detach()

    assert connect_tcp(site.host.client, OWN[4], 8080) == "refused"
    assert site.host.ruleset() == site.host.ruleset(ipv6=True) == []
    # What the first has attached is the first's.
    assert container.run(["ip", "-4", "address", "show", "eth0"]).text.count("inet ") == 1


def test_second_in_a_list_del_needs_neither_mappings_nor_result(site: Site) -> None:
    container = site.server("web")
    previous = attached_before(site, container)
    chained = site.member(container, mapping(8080), delegate=None, prevResult=previous)
    chained.attach()

    site.member(container, delegate=None).detach()

    assert site.host.ruleset() == site.host.ruleset(ipv6=True) == []


def test_second_in_a_list_without_ports_the_result_passes(site: Site) -> None:
    container = site.host.container("web")
    previous = attached_before(site, container)

    answer = site.member(container, delegate=None, prevResult=previous).attach()

    assert answer.document == previous
    assert site.host.ruleset() == []


def test_second_in_a_list_the_first_result_is_needed(site: Site) -> None:
    answer = site.member(site.host.container("web"), mapping(8080), delegate=None).run("ADD")

    assert (answer.status, answer.code) == (1, 7)
    assert "prevResult" in answer.document["msg"]


def test_the_address_is_that_of_our_interface_and_not_of_another(site: Site) -> None:
    container = site.server("web")
    previous = attached_before(site, container)
    # A first address on the host's end, one on another interface, and then the container's own.
    previous["interfaces"].append({"name": "net1", "sandbox": container.netns})
    previous["ips"][:0] = [
        {"address": "10.9.9.8/24", "interface": 0},
        {"address": "10.9.9.9/24", "interface": len(previous["interfaces"]) - 1},
    ]

    site.member(container, mapping(8080), delegate=None, prevResult=previous).attach()

    assert name_of(connect_tcp(site.host.client, OWN[4], 8080)) == "web"


def test_a_list_of_delegates_is_run_in_order_and_undone_in_reverse(site: Site) -> None:
    delegates = Delegates(site.host)
    journal = site.host.path("/run/journal")
    result = '{"cniVersion":"1.0.0","ips":[{"address":"10.1.0.2/24"},{"address":"fd00:1::2/64"}]}'
    for name in ("one", "two", "three"):
        delegates.write(name, f"echo {name} $CNI_COMMAND >>/run/journal\necho '{result}'\n")
    member = site.finding(delegates.directory).member(
        site.host.container("web"),
        mapping(8080),
        delegate=None,
        delegates=[{"type": name, "ours": name} for name in ("one", "two", "three")],
    )

    member.attach()
    member.detach()

    assert journal.read_text().splitlines() == [
        *["one ADD", "two ADD", "three ADD"],
        *["three DEL", "two DEL", "one DEL"],
    ]
    first, second, third = [
        next(call for call in delegates.calls(name) if call.command == "ADD").config
        for name in ("one", "two", "three")
    ]
    assert "prevResult" not in first
    assert second["prevResult"]["ips"] == third["prevResult"]["ips"]
    assert [each["ours"] for each in (first, second, third)] == ["one", "two", "three"]
    assert {each["name"] for each in (first, second, third)} == {"net-1"}


def test_a_list_of_real_plugins_attaches_and_forwards(site: Site) -> None:
    tuning = {"type": "tuning", "sysctl": {"net.ipv4.conf.IFNAME.accept_local": "1"}}
    chained = site.member(
        site.server("web"), mapping(8080), delegate=None, delegates=[bridge(1), tuning], snat=True
    )

    chained.attach()

    assert connect_tcp(site.host.client, OWN[4], 8080) == Saw("web", CLIENT[4], 80)
    assert connect_tcp(chained.container, OWN[6], 8080) == Saw("web", gateways(1)[6], 80)

    chained.detach()

    assert site.host.ruleset() == []
    assert site.host.files("/var/lib/cni/networks/net-1").keys().isdisjoint(addresses(1).values())


def test_a_later_delegate_that_fails_takes_the_earlier_ones_back(site: Site) -> None:
    delegates = Delegates(site.host)
    delegates.failing("failing", 50, "not today", ["ADD"])
    delegates.recording("recording")
    member = site.finding(delegates.directory).member(
        site.host.container("web"),
        mapping(8080),
        delegate=None,
        delegates=[{"type": "recording"}, {"type": "failing"}],
    )

    answer = member.run("ADD")

    assert (answer.status, answer.code) == (1, 50)
    assert delegates.commands("recording") == ["ADD", "DEL"]
    assert site.host.ruleset() == []


@pytest.mark.parametrize(
    "wanted",
    [
        {"hostPort": 8080, "containerPort": 80},
        {"HostPort": 8080, "ContainerPort": 80, "Protocol": "tcp", "HostIP": ""},
        {"HOSTPORT": 8080, "containerport": 80, "PROTOCOL": "TCP", "hostip": OWN[4]},
    ],
    ids=["podman", "containerd", "any letter case"],
)
@pytest.mark.parametrize("key", ["portMappings", "PortMappings"])
def test_names_are_known_in_any_letter_case(site: Site, key: str, wanted: dict[str, Any]) -> None:
    member = site.member(site.server("web"))
    answer = member.run("ADD", runtimeConfig={key: [wanted]})

    assert answer.status == 0, answer.document
    assert name_of(connect_tcp(site.host.client, OWN[4], 8080)) == "web"


def test_the_delegate_gets_the_ports_only_if_it_can_do_something_with_them(site: Site) -> None:
    delegates = Delegates(site.host)
    delegates.recording("plain")
    delegates.recording("capable")
    found = site.finding(delegates.directory)
    sent = []
    for index, name in enumerate(("plain", "capable")):
        delegate = {"type": name, "capabilities": {"portMappings": name == "capable"}}
        port = mapping(8080 + index)
        found.member(site.host.container(name), port, delegate=delegate).attach()
        (call,) = [call for call in delegates.calls(name) if call.command == "ADD"]
        sent.append(call.config.get("runtimeConfig", {}).get("portMappings"))

    assert sent == [None, [mapping(8081)]]
    assert entries(site) == 2


def test_what_a_runtime_can_hardly_mean_is_told_and_no_error(site: Site) -> None:
    imagined = Imagined(site)
    misnamed = {**mapping(8080), "host_ip": OWN[4]}
    members = [
        imagined.member("web", misnamed),
        imagined.member("without", capabilities={"ips": True}),
    ]

    told = [member.attach().stderr for member in members]

    assert told == [
        "mesos-cni-port-mapper: runtimeConfig.portMappings[0]: 'host_ip' is ignored; "
        "a mapping has hostPort, containerPort, protocol, hostIP\n",
        'mesos-cni-port-mapper: capabilities: without "portMappings": true no runtime passes any\n',
    ]
    assert [member.run("DEL").stderr for member in members] == ["", ""]
    assert everything(site) == NOTHING
