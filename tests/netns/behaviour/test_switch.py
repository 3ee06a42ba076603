"""Containers that run on while their network's configuration changes to another back end."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.netns.behaviour.backends import BACK_ENDS, BackEnd
from tests.netns.behaviour.site import (
    FAMILIES,
    LOOPBACK,
    NOTHING,
    OWN,
    STATE,
    Member,
    Site,
    everything,
    mapping,
    name_of,
    own_tables,
    owners,
    rules_in,
    settle,
)
from tests.support.gate import need_host
from tests.support.host import Host
from tests.support.plugin import Plugin
from tests.support.traffic import connect_tcp

PORTS = (mapping(8080), mapping(8081, 53, "udp"), mapping(9000, host_ip=LOOPBACK[4]))
OPTIONS: dict[str, Any] = {"snat": True, "localhost": True, "onConflict": "takeover"}
PAIRS = [
    (first, then)
    for first in BACK_ENDS
    for then in BACK_ENDS
    # A host has one iptables; what it had before it had another is not ours to switch.
    if first.keys != then.keys
]


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[0]} to {pair[1]}")
def switch(request: pytest.FixtureRequest, frozen: Path) -> Iterator[tuple[Site, BackEnd]]:
    """Stand in for a machine with one back end, and name the one its networks change to."""
    first, then = request.param
    variant = first.variant if first.has_chains else then.variant
    need_host(variant)
    with Host(variant) as host:
        settle(host)
        yield Site(host, Plugin(host, str(frozen)), first), then


def moved(site: Site, then: BackEnd, member: Member) -> Member:
    """Return a container as it asks once its network's configuration has changed."""
    changed = {**dict.fromkeys(site.back_end.keys), **then.keys}
    netconf = {**member.netconf, **changed}
    kept = {key: value for key, value in netconf.items() if value is not None}
    return Member(member.plugin, kept, member.container, member.mappings)


def reached(site: Site) -> list[str]:
    """Return who answers at the port from everywhere."""
    outer = [connect_tcp(site.host.client, OWN[family], 8080) for family in FAMILIES]
    local = [connect_tcp(site.host, LOOPBACK[4], port) for port in (8080, 9000)]
    return [name_of(each) for each in (*outer, *local)]


def has_rules(site: Site) -> tuple[bool, bool]:
    """Tell whether there are rules of iptables, and tables of our own."""
    rules = [rules_in(site, ipv6=ipv6) for ipv6 in (False, True)]
    return any(rules), bool(own_tables(site))


def test_a_del_after_the_switch_leaves_nothing_of_either(switch: tuple[Site, BackEnd]) -> None:
    site, then = switch
    member = site.web(*PORTS, **OPTIONS)

    moved(site, then, member).detach()

    assert everything(site) == NOTHING
    setting = site.host.run(["cat", "/proc/sys/net/ipv4/conf/br1/route_localnet"])
    assert setting.text.strip() == "0"


def test_an_add_after_the_switch_moves_everything(switch: tuple[Site, BackEnd]) -> None:
    site, then = switch
    container = site.server("web")
    member = site.member(container, *PORTS, **OPTIONS)
    previous = member.attach().document
    after = moved(site, then, member)
    # Chained behind what has attached it already: a bridge would not do it twice.
    chained = Member(after.plugin, _without_delegate(after), container, PORTS)

    answer = chained.run("ADD", prevResult=previous)

    assert answer.status == 0, answer.document
    assert has_rules(site) == (then.has_chains, not then.has_chains)
    assert reached(site) == ["web"] * 4
    after.detach()
    assert everything(site) == NOTHING


def _without_delegate(member: Member) -> dict[str, Any]:
    return {key: value for key, value in member.netconf.items() if key != "delegate"}


def test_ports_change_hands_across_back_ends(switch: tuple[Site, BackEnd]) -> None:
    site, then = switch
    old = site.web(*PORTS, mapping(8085), name="old", **OPTIONS)
    new = moved(site, then, site.member(site.server("new"), *PORTS, **OPTIONS))

    new.attach()

    assert reached(site) == ["new"] * 4
    assert name_of(connect_tcp(site.host.client, OWN[4], 8085)) == "old"
    assert owners(site) == {"old", "new"}

    old.detach()

    assert reached(site) == ["new"] * 4
    assert owners(site) == {"new"}
    new.detach()
    assert everything(site) == NOTHING


def test_a_port_is_kept_across_back_ends(switch: tuple[Site, BackEnd]) -> None:
    site, then = switch
    site.web(*PORTS, name="old", **OPTIONS)
    before = [sorted(lines) for lines in everything(site)]
    new = moved(site, then, site.member(site.server("new"), *PORTS, **OPTIONS))

    answer = new.run("ADD", onConflict="fail")

    assert answer.code == 105, answer.document
    assert [sorted(lines) for lines in everything(site)] == before
    assert reached(site) == ["old"] * 4


def test_a_del_without_state_finds_what_either_left(switch: tuple[Site, BackEnd]) -> None:
    site, then = switch
    member = site.web(*PORTS, **OPTIONS)
    other = moved(site, then, site.member(site.server("other"), mapping(8090), **OPTIONS))
    other.attach()
    site.host.run(["rm", "-r", STATE])

    moved(site, then, member).detach()

    assert owners(site) == {"other"}
    assert name_of(connect_tcp(site.host.client, OWN[6], 8090)) == "other"
    site.member(other.container, **OPTIONS).detach()
    assert everything(site) == NOTHING


def test_a_del_makes_no_tables_where_there_are_none(frozen: Path) -> None:
    need_host("legacy")
    with Host("legacy") as host:
        settle(host)
        (maps,) = [each for each in BACK_ENDS if not each.has_chains]
        site = Site(host, Plugin(host, str(frozen)), maps)

        site.member(host.container("unknown"), mapping(8080), backend=None).detach()
        member = site.web(*PORTS, **OPTIONS)
        host.run(["rm", "-r", STATE])
        moved(site, BACK_ENDS[0], member).detach()

        names = ["/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"]
        assert host.run(["cat", *names], check=False).text == ""
        assert host.run(["nft", "list", "tables"]).text == ""
