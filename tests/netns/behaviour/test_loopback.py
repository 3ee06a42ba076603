"""127.0.0.1: what is published there, and that all else of it stays the host's."""

from typing import Any

import pytest

from tests.netns.behaviour.site import (
    CLIENT,
    LOOPBACK,
    OWN,
    STATE,
    Site,
    addresses,
    bridge,
    entries,
    gateways,
    mapping,
    name_of,
    own_tables,
    serve_at,
    subnets,
)
from tests.support.host import HOST_IPV4, Container, Host
from tests.support.traffic import Attempt, Protocol, Saw, connect_tcp, connect_udp, serve_tcp

HOST_ONLY = 7000
ROUTE_LOCALNET = "/proc/sys/net/ipv4/conf/{}/route_localnet"


def turn_loopback_outwards(place: Container, gateway: str) -> None:
    """Have a place send what is for 127.0.0.1 to the host, and believe the answers.

    Whoever is root in a container or on another machine can do it.
    """
    for command in (
        f"echo 1 >{ROUTE_LOCALNET.format('eth0')}",
        "ip address del 127.0.0.1/8 dev lo",
        f"ip route add 127.0.0.0/8 via {gateway} dev eth0",
    ):
        place.run(["sh", "-c", command])


def attack(place: Container, port: int) -> list[str]:
    """Return who answers at 127.0.0.1 by TCP and by UDP."""
    protocols: tuple[Protocol, ...] = ("tcp", "udp")
    both = [Attempt(each, place, LOOPBACK[4], port, timeout=0.5) for each in protocols]
    return [name_of(attempt.outcome()) for attempt in both]


def route_localnet(host: Host, interface: str) -> str:
    return host.run(["cat", ROUTE_LOCALNET.format(interface)]).text.strip()


def test_the_attacks_of_these_tests_work_where_nothing_guards(site: Site) -> None:
    web = site.web()
    serve_at(site.host, LOOPBACK[4], HOST_ONLY)
    target = f"{addresses(1)[4]}:80"
    rule = f"-A PREROUTING -d 127.0.0.1 -p tcp --dport 8080 -j DNAT --to-destination {target}"
    site.host.run(["iptables", "-t", "nat", *rule.split()])
    site.host.run(["sh", "-c", f"echo 1 >{ROUTE_LOCALNET.format('br1')}"])
    turn_loopback_outwards(web.container, gateways(1)[4])
    turn_loopback_outwards(site.host.client, HOST_IPV4)

    assert attack(web.container, HOST_ONLY) == ["host", "host"]
    assert attack(site.host.client, 8080) == ["web", "timeout"]


@pytest.mark.parametrize("localhost", [False, True])
def test_a_port_of_loopback_is_not_to_be_had_from_the_wire(site: Site, localhost: bool) -> None:
    ports = [mapping(8080, host_ip=LOOPBACK[4]), mapping(8080, 53, "udp", LOOPBACK[4])]
    site.web(*ports, localhost=localhost)
    turn_loopback_outwards(site.host.client, HOST_IPV4)

    assert attack(site.host.client, 8080) == ["timeout", "timeout"]
    assert connect_tcp(site.host, LOOPBACK[4], 8080) == Saw("web", gateways(1)[4], 80)
    assert connect_udp(site.host, LOOPBACK[4], 8080) == Saw("web", gateways(1)[4], 53)


def test_a_port_of_loopback_of_others_is_guarded_along_with_ours(site: Site) -> None:
    site.web(mapping(8080), localhost=True)
    target = f"{addresses(1)[4]}:80"
    rule = f"-A PREROUTING -d 127.0.0.1 -p tcp --dport 9090 -j DNAT --to-destination {target}"
    site.host.run(["iptables", "-t", "nat", *rule.split()])
    turn_loopback_outwards(site.host.client, HOST_IPV4)

    assert attack(site.host.client, 9090) == ["timeout", "timeout"]


def test_containers_reach_no_loopback_service_of_the_host(site: Site) -> None:
    web = site.web(mapping(8080), localhost=True, snat=True)
    neighbour = site.neighbour()
    serve_at(site.host, LOOPBACK[4], HOST_ONLY)
    for container in (web.container, neighbour):
        turn_loopback_outwards(container, gateways(1)[4])

    assert attack(web.container, HOST_ONLY) == ["timeout", "timeout"]
    assert attack(neighbour, HOST_ONLY) == ["timeout", "timeout"]
    # Not even what is published at loopback: it is for the host.
    assert attack(neighbour, 8080) == ["timeout", "timeout"]
    assert name_of(connect_tcp(site.host, LOOPBACK[4], HOST_ONLY)) == "host"
    assert name_of(connect_udp(site.host, LOOPBACK[4], HOST_ONLY)) == "host"


def test_containers_of_other_networks_are_kept_out_too(site: Site) -> None:
    site.web(mapping(8080), localhost=True)
    other = site.web(mapping(8081), name="other", number=2, localhost=True)
    serve_at(site.host, LOOPBACK[4], HOST_ONLY)
    turn_loopback_outwards(other.container, gateways(2)[4])

    assert attack(other.container, HOST_ONLY) == ["timeout", "timeout"]


def test_the_host_keeps_its_other_services_at_loopback(site: Site) -> None:
    serve_at(site.host, LOOPBACK[4], HOST_ONLY)
    site.web(mapping(8080), mapping(8080, 53, "udp"), localhost=True)

    seen = connect_tcp(site.host, LOOPBACK[4], HOST_ONLY)
    assert seen == Saw("host", LOOPBACK[4], HOST_ONLY)
    assert connect_udp(site.host, LOOPBACK[4], HOST_ONLY) == seen
    assert connect_tcp(site.host, "127.0.0.2", 8080) == Saw("web", gateways(1)[4], 80)


def test_loopback_stays_the_hosts_for_ports_of_networks_that_do_not_ask(site: Site) -> None:
    site.web(mapping(8080), localhost=True)
    site.web(mapping(HOST_ONLY), mapping(HOST_ONLY, 53, "udp"), name="plain", number=2)

    assert connect_tcp(site.host, LOOPBACK[4], HOST_ONLY) == "refused"

    serve_at(site.host, LOOPBACK[4], HOST_ONLY)

    assert name_of(connect_tcp(site.host, LOOPBACK[4], HOST_ONLY)) == "host"
    assert name_of(connect_udp(site.host, LOOPBACK[4], HOST_ONLY)) == "host"
    assert name_of(connect_tcp(site.host, OWN[4], HOST_ONLY)) == "plain"


def test_somebody_elses_rule_for_a_port_of_loopback_comes_first(site: Site) -> None:
    serve_tcp(site.host, HOST_ONLY, LOOPBACK[4])
    rule = f"-A OUTPUT -d 127.0.0.1 -p tcp --dport 8080 -j REDIRECT --to-ports {HOST_ONLY}"
    site.host.run(["iptables", "-t", "nat", *rule.split()])

    site.web(mapping(8080), localhost=True)

    assert name_of(connect_tcp(site.host, LOOPBACK[4], 8080)) == "host"


def test_what_lets_loopback_out_goes_with_the_last_who_needs_it(site: Site) -> None:
    first = site.web(mapping(8080), name="first", localhost=True)
    second = site.web(mapping(8081), name="second", localhost=True)
    third = site.web(mapping(8082), name="third", localhost=False)
    assert route_localnet(site.host, "br1") == "1"
    guarded = guards(site)

    first.detach()

    assert route_localnet(site.host, "br1") == "1"
    # A chain has a guard for each, a table of our own one for all.
    assert guards(site) == (guarded - 1 if site.back_end.has_chains else 1)
    assert name_of(connect_tcp(site.host, LOOPBACK[4], 8080)) == "refused"
    assert name_of(connect_tcp(site.host, LOOPBACK[4], 8081)) == "second"
    turn_loopback_outwards(third.container, gateways(1)[4])
    serve_at(site.host, LOOPBACK[4], HOST_ONLY)
    assert attack(third.container, HOST_ONLY) == ["timeout", "timeout"]

    second.detach()

    assert route_localnet(site.host, "br1") == "0"
    assert guards(site) == (0 if site.back_end.has_chains else 1)
    assert not [line for line in site.host.ruleset() if "MPM-" in line]
    assert name_of(connect_tcp(site.host, OWN[4], 8082)) == "third"
    assert attack(third.container, HOST_ONLY) == ["timeout", "timeout"]


def guards(site: Site) -> int:
    """Return how many rules keep others out of loopback."""
    chains = [line for line in site.host.ruleset(table="raw") if "-j DROP" in line]
    return len(chains) + len([line for line in own_tables(site) if "127.0.0.0/8 drop" in line])


def test_nothing_is_unguarded_though_the_records_are_lost(site: Site) -> None:
    web = site.web(mapping(8080), localhost=True)
    neighbour = site.neighbour()
    turn_loopback_outwards(neighbour, gateways(1)[4])
    serve_at(site.host, LOOPBACK[4], HOST_ONLY)
    site.host.run(["rm", "-r", STATE])

    web.detach()

    assert attack(neighbour, HOST_ONLY) == ["timeout", "timeout"]
    assert connect_tcp(site.host, LOOPBACK[4], 8080) == "refused"


def test_each_bridge_lets_loopback_out_as_long_as_its_own_network_needs_it(site: Site) -> None:
    one = site.web(mapping(8080), name="one", localhost=True)
    two = site.web(mapping(8081), name="two", number=2, localhost=True)

    one.detach()

    assert [route_localnet(site.host, name) for name in ("br1", "br2")] == ["0", "1"]
    assert name_of(connect_tcp(site.host, LOOPBACK[4], 8081)) == "two"

    two.detach()

    assert [route_localnet(site.host, name) for name in ("br1", "br2")] == ["0", "0"]
    assert site.host.ruleset(table="raw") == []


def test_nothing_is_let_out_for_ports_that_are_not_for_loopback(site: Site) -> None:
    site.web(mapping(8080, host_ip=OWN[4]), mapping(8081, host_ip="::"), localhost=True)

    assert route_localnet(site.host, "br1") == "0"
    assert site.host.ruleset(table="raw") == []


def test_a_port_of_ipv6s_loopback_is_refused_and_not_forgotten(site: Site) -> None:
    member = site.member(site.server("web"), mapping(8080, host_ip="::1"), localhost=True)

    answer = member.run("ADD")

    assert (answer.status, answer.code) == (1, 2), answer.document
    assert "runtimeConfig.portMappings[0].hostIP" in answer.document["msg"]
    assert "::1" in answer.document["msg"]


def test_a_network_without_ipv4_has_nothing_at_loopback(site: Site) -> None:
    only_six = bridge(1, families=(6,))
    assert only_six["ipam"]["ranges"] == [[{"subnet": subnets(1)[6]}]]
    site.web(mapping(8080), localhost=True, delegate=only_six)

    assert connect_tcp(site.host, LOOPBACK[4], 8080) == "refused"
    assert name_of(connect_tcp(site.host, OWN[6], 8080)) == "web"
    assert (entries(site, 4), entries(site, 6)) == (0, 1)


@pytest.mark.parametrize(
    "options",
    [{}, {"markMasqBit": 5}, {"excludeDevices": ["br9+"]}],
    ids=["plain", "marked", "devices by pattern"],
)
def test_an_address_of_loopback_leads_where_it_says_and_not_where_all_lead(
    site: Site, options: dict[str, Any]
) -> None:
    member = site.member(
        site.server("web", tcp=(80, 81)),
        mapping(8080, 80),
        mapping(8080, 81, host_ip="127.0.0.1"),
        localhost=True,
        **options,
    )
    member.attach()

    reached = {
        address: connect_tcp(site.host, address, 8080) for address in ("127.0.0.1", "127.0.0.2")
    }

    assert reached == {
        "127.0.0.1": Saw("web", gateways(1)[4], 81),
        "127.0.0.2": Saw("web", gateways(1)[4], 80),
    }
    assert connect_tcp(site.host.client, HOST_IPV4, 8080) == Saw("web", CLIENT[4], 80)
