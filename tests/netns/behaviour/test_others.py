"""Nobody's traffic but the right one: what passes through, and rules that were there before."""

from typing import Any

import pytest

from tests.netns.behaviour.site import (
    CHAIN,
    CLIENT,
    FAMILIES,
    OWN,
    Site,
    addresses,
    bridge,
    everything,
    mapping,
    name_of,
    subnets,
)
from tests.support.traffic import Saw, connect_tcp, connect_udp, serve_tcp, serve_udp

FAR = addresses(2)
"""Where the other machine is: beyond the host, on a network of its own."""

PROGRAMS = {4: "iptables", 6: "ip6tables"}


def far_machine(site: Site) -> None:
    """Put another machine behind the host, with servers on the ports that are mapped here."""
    far = site.member(site.server("far", tcp=[8080], udp=[8080]), number=2)
    far.attach()
    for family in FAMILIES:
        route = f"ip -{family} route add {subnets(2)[family]} via {OWN[family]}"
        site.host.client.run(route.split())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("address", ["any", "the host's", "the other machine's"])
@pytest.mark.parametrize("options", [{}, {"snat": True, "localhost": True}], ids=["plain", "all"])
def test_traffic_to_the_same_port_of_another_machine_passes(
    site: Site, family: int, address: str, options: dict[str, Any]
) -> None:
    far_machine(site)
    for serve in (serve_tcp, serve_udp):
        serve(site.host.client, 8080)
    host_ip = {"any": "", "the host's": OWN[family], "the other machine's": FAR[family]}[address]
    ports = [mapping(8080, 80, "tcp", host_ip), mapping(8080, 53, "udp", host_ip)]
    web = site.web(*ports, **options)

    through = Saw("far", CLIENT[family], 8080)
    assert connect_tcp(site.host.client, FAR[family], 8080) == through
    assert connect_udp(site.host.client, FAR[family], 8080) == through
    out = Saw("client", addresses(1)[family], 8080)
    site.host.client.run(f"ip -{family} route add {subnets(1)[family]} via {OWN[family]}".split())
    assert connect_tcp(web.container, CLIENT[family], 8080) == out
    assert connect_udp(web.container, CLIENT[family], 8080) == out
    assert name_of(connect_tcp(site.host, CLIENT[family], 8080)) == "client"


@pytest.mark.parametrize("family", FAMILIES)
def test_rules_that_were_there_before_come_first(site: Site, family: int) -> None:
    serve_tcp(site.host, 7000)
    for chain in ("PREROUTING", "OUTPUT"):
        rule = f"-A {chain} -d {OWN[family]} -p tcp --dport 8080 -j REDIRECT --to-ports 7000"
        site.host.run([PROGRAMS[family], "-t", "nat", *rule.split()])

    # The first brings the chain, the second finds it, the third brings it again.
    first = site.web(mapping(8080), name="first")
    assert reached(site, family) == ["host", "host"]
    second = site.web(mapping(8080, host_ip=OWN[family]), name="second", onConflict="takeover")
    assert reached(site, family) == ["host", "host"]
    first.detach()
    second.detach()
    site.web(mapping(8080), name="third")
    assert reached(site, family) == ["host", "host"]


def reached(site: Site, family: int) -> list[str]:
    """Return who answers to the client and to the host itself."""
    places = (site.host.client, site.host)
    return [name_of(connect_tcp(place, OWN[family], 8080)) for place in places]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_lost_jump_comes_back_behind_the_rules_of_others(site: Site, family: int) -> None:
    site.web(mapping(8081), name="first")
    site.host.run([PROGRAMS[family], "-t", "nat", "-F", "PREROUTING"])
    rule = f"-A PREROUTING -d {OWN[family]} -p tcp --dport 8080 -j REDIRECT --to-ports 7000"
    site.host.run([PROGRAMS[family], "-t", "nat", *rule.split()])
    serve_tcp(site.host, 7000)

    site.web(mapping(8080), name="second")

    assert name_of(connect_tcp(site.host.client, OWN[family], 8080)) == "host"
    assert name_of(connect_tcp(site.host.client, OWN[family], 8081)) == "first"


def test_rules_of_others_survive_us(site: Site) -> None:
    rules = {
        ("iptables", "nat"): "-A PREROUTING -p tcp --dport 1 -j REDIRECT --to-ports 2",
        ("ip6tables", "nat"): "-A POSTROUTING -s fd09::/64 -j MASQUERADE",
        ("iptables", "raw"): "-A PREROUTING -s 198.51.100.7/32 -j DROP",
    }
    for (program, table), rule in rules.items():
        site.host.run([program, "-t", table, *rule.split()])

    before = everything(site)
    ports = [mapping(8080), mapping(8081, 53, "udp", OWN[4]), mapping(8082, host_ip="127.0.0.1")]
    web = site.web(*ports, snat=True, localhost=True)
    assert everything(site) != before

    web.detach()

    assert everything(site) == before


def test_networks_in_one_chain_leave_each_others_ports_and_options_alone(site: Site) -> None:
    plain = site.web(mapping(8080), name="plain")
    hidden = site.web(mapping(8081), name="hidden", number=2, snat=True, masqAll=True)
    neighbour = site.neighbour(name="near-hidden", number=2)
    assert bridge(1)["bridge"] != bridge(2)["bridge"]

    assert connect_tcp(site.host.client, OWN[4], 8080) == Saw("plain", CLIENT[4], 80)
    assert connect_tcp(neighbour, OWN[4], 8080) == Saw("plain", addresses(2, 1)[4], 80)

    hidden.detach()

    assert connect_tcp(site.host.client, OWN[4], 8080) == Saw("plain", CLIENT[4], 80)
    assert connect_tcp(site.host.client, OWN[4], 8081) == "refused"

    plain.detach()

    assert not [line for line in site.host.ruleset() if CHAIN in line or "MPM-" in line]
