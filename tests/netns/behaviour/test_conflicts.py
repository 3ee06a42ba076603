"""Two that want one port: who gets it, who is told, and what the other is left with."""

import dataclasses
import re
from typing import Any

import pytest

from tests.netns.behaviour.site import (
    FAMILIES,
    LOOPBACK,
    NOTHING,
    OTHER,
    OWN,
    STATE,
    TAKEN,
    Imagined,
    Json,
    Site,
    entries,
    everything,
    mapping,
    name_of,
    owners,
)
from tests.support.plugin import Answer
from tests.support.traffic import Hammer, Saw, connect_tcp, connect_udp

POLICIES = ("fail", "takeover", "ignore", "strict")

# What an owner has, what the next one wants, and whether there is a port that both would have.
CONTESTS: dict[str, tuple[Json, Json, bool]] = {
    "the same port": (mapping(8080), mapping(8080), True),
    "the same port for another of the container's": (mapping(8080), mapping(8080, 81), True),
    "one address": (mapping(8080, host_ip=OWN[4]), mapping(8080, host_ip=OWN[4]), True),
    "one address of IPv6": (mapping(8080, host_ip=OWN[6]), mapping(8080, host_ip=OWN[6]), True),
    "one address spelt otherwise": (
        mapping(8080, host_ip="2001:db8:1::1"),
        mapping(8080, host_ip="2001:0DB8:1:0::1"),
        True,
    ),
    "all and all of IPv4": (mapping(8080), mapping(8080, host_ip="0.0.0.0"), True),
    "all of IPv6 and all": (mapping(8080, host_ip="::"), mapping(8080), True),
    "all of one family each": (
        mapping(8080, host_ip="0.0.0.0"),
        mapping(8080, host_ip="::"),
        False,
    ),
    "all and one": (mapping(8080), mapping(8080, host_ip=OWN[4]), False),
    "one and all": (mapping(8080, host_ip=OWN[4]), mapping(8080), False),
    "one and another": (mapping(8080, host_ip=OWN[4]), mapping(8080, host_ip=OTHER[4]), False),
    "one of each family": (mapping(8080, host_ip=OWN[4]), mapping(8080, host_ip=OWN[6]), False),
    "loopback and all": (mapping(8080, host_ip=LOOPBACK[4]), mapping(8080), False),
    "tcp and udp": (mapping(8080), mapping(8080, 53, "udp"), False),
    "tcp and sctp": (mapping(8080), mapping(8080, 80, "sctp"), False),
    "one port beside the other": (mapping(8080), mapping(8081), False),
}


def test_runtimes_are_told_by_default(site: Site) -> None:
    imagined = Imagined(site)
    imagined.member("old", mapping(8080)).attach()

    assert imagined.member("new", mapping(8080)).run("ADD").code == TAKEN


def test_mesos_gets_the_port_by_default(site: Site) -> None:
    imagined = Imagined(site)
    imagined.member("old", mapping(8080)).attach()
    info = {"port_mappings": [{"host_port": 8080, "container_port": 80}]}
    by_mesos = {"org.apache.mesos": {"network_info": info}}

    answer = imagined.member("new", args=by_mesos).run("ADD")

    assert (answer.status, answer.code) == (0, None), answer.document


@pytest.mark.parametrize("contest", CONTESTS)
def test_a_port_with_a_live_owner_is_refused_naming_the_owner(site: Site, contest: str) -> None:
    has, wants, contested = CONTESTS[contest]
    imagined = Imagined(site)
    imagined.member("old", has).attach()
    before = everything(site)

    answer = imagined.member("new", wants, onConflict="fail", name="elsewhere").run("ADD")

    if not contested:
        assert answer.status == 0, answer.document
        return
    assert (answer.status, answer.code) == (1, TAKEN), answer.document
    assert "container old on network net-1 (eth0)" in answer.document["msg"]
    assert f"{has['protocol']} {has['hostPort']}" in answer.document["msg"]
    assert everything(site) == before


@pytest.mark.parametrize("contest", [name for name, (_, _, same) in CONTESTS.items() if same])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_port_whose_owner_is_gone_is_free(site: Site, contest: str, policy: str) -> None:
    has, wants, _ = CONTESTS[contest]
    imagined = Imagined(site)
    old = imagined.member("old", has)
    old.attach()
    old.container.remove()
    new = imagined.member("new", wants, onConflict=policy)

    new.attach()

    port = wants.get("hostIP", "")
    families = [6] if ":" in port else [4] if port else [4, 6]
    assert [owners(site, family) for family in families] == len(families) * [{"new"}]

    old.plugin.delete(None, old.request(), container_id="old")

    assert owners(site) == {"new"}

    new.detach()

    assert everything(site) == NOTHING


def test_an_owner_of_an_earlier_boot_is_gone(site: Site) -> None:
    imagined = Imagined(site)
    imagined.member("old", mapping(8080)).attach()
    (record,) = [name for name in site.host.files(STATE) if "/attachments/" in name]
    path = site.host.path(f"{STATE}/{record}")
    text = path.read_text()
    path.write_text(re.sub(r'"bootID": ?"[^"]*"', '"bootID":"another"', text))
    assert path.read_text() != text

    imagined.member("new", mapping(8080)).attach()

    assert owners(site) == {"new"}


def test_an_owner_whose_address_was_given_to_another_is_gone(site: Site) -> None:
    imagined = Imagined(site)
    same = {"type": "fixed", "address": "10.77.0.99/24"}
    imagined.member("old", mapping(8080), delegate=same).attach()

    imagined.member("new", mapping(8080), delegate=same).attach()

    assert owners(site) == {"new"}


def test_the_newest_takes_over_and_the_loser_leaves_in_peace(site: Site) -> None:
    old = site.web(mapping(8080), mapping(8081), name="old", snat=True, localhost=True)
    new = site.web(mapping(8080), name="new", onConflict="takeover")
    both = [name_of(connect_tcp(site.host.client, OWN[each], 8080)) for each in FAMILIES]
    assert both == ["new", "new"]
    assert name_of(connect_tcp(site.host.client, OWN[4], 8081)) == "old"

    old.detach()

    both = [name_of(connect_tcp(site.host.client, OWN[each], 8080)) for each in FAMILIES]
    assert both == ["new", "new"]
    assert connect_tcp(site.host.client, OWN[4], 8081) == "refused"

    new.detach()

    assert everything(site) == NOTHING


def test_who_ignores_gets_the_port_until_leaving(site: Site) -> None:
    site.web(mapping(8080), name="old")
    new = site.web(mapping(8080), name="new", onConflict="ignore")
    assert name_of(connect_tcp(site.host.client, OWN[4], 8080)) == "new"
    # A map cannot hold two: to ignore is to take over there.
    assert entries(site) == (2 if site.back_end.has_chains else 1)

    new.detach()

    left = "old" if site.back_end.has_chains else "refused"
    assert name_of(connect_tcp(site.host.client, OWN[4], 8080)) == left
    if site.back_end.has_chains:
        # It has the port, and not only a rule for it.
        third = site.member(site.server("third"), mapping(8080), onConflict="fail")
        assert "container old" in third.run("ADD").document["msg"]
        assert entries(site) == 1


@pytest.mark.parametrize("order", [("all", "one"), ("one", "all")], ids="-then-".join)
def test_one_address_is_looked_at_before_all(site: Site, order: tuple[str, str]) -> None:
    for name in order:
        addresses = {"all": [""], "one": [OWN[4], OWN[6]]}[name]
        site.web(*[mapping(8080, host_ip=each) for each in addresses], name=name)

    for family in FAMILIES:
        assert name_of(connect_tcp(site.host.client, OWN[family], 8080)) == "one"
        assert name_of(connect_tcp(site.host.client, OTHER[family], 8080)) == "all"
        assert name_of(connect_tcp(site.host, OWN[family], 8080)) == "one"


def test_one_address_stays_before_all_when_all_changes_hands(site: Site) -> None:
    site.web(mapping(8080, host_ip=OWN[4]), name="one")
    site.web(mapping(8080), name="all")
    site.web(mapping(8080), name="newest", onConflict="takeover")

    assert name_of(connect_tcp(site.host.client, OWN[4], 8080)) == "one"
    assert name_of(connect_tcp(site.host.client, OTHER[4], 8080)) == "newest"


def test_loopback_alone_is_looked_at_before_all_with_localhost(site: Site) -> None:
    site.web(mapping(8080, host_ip=LOOPBACK[4]), name="local")
    site.web(mapping(8080), name="all", localhost=True)

    assert name_of(connect_tcp(site.host, LOOPBACK[4], 8080)) == "local"
    assert name_of(connect_tcp(site.host, OWN[4], 8080)) == "all"


def test_tcp_and_udp_of_one_port_are_two(site: Site) -> None:
    one = site.web(mapping(8080), name="one", onConflict="takeover")
    site.web(mapping(8080, 53, "udp"), name="two", onConflict="takeover")

    assert name_of(connect_tcp(site.host.client, OWN[4], 8080)) == "one"
    assert name_of(connect_udp(site.host.client, OWN[4], 8080)) == "two"

    one.detach()

    assert connect_tcp(site.host.client, OWN[4], 8080) == "refused"
    assert name_of(connect_udp(site.host.client, OWN[4], 8080)) == "two"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_takeover_has_no_moment_without_a_mapping(site: Site, family: int) -> None:
    chained: dict[str, Any] = {"snat": True, "onConflict": "takeover"}
    site.web(mapping(8080), name="web-0", **chained)
    successors = [site.member(site.server(f"web-{n}"), mapping(8080), **chained) for n in (1, 2, 3)]
    places = (site.host.client, site.host)
    # The first packet may wait until neighbours have found one another.
    assert {name_of(connect_tcp(place, OWN[family], 8080)) for place in places} == {"web-0"}
    hammers = [Hammer(place, OWN[family], 8080) for place in places]

    for successor in successors:
        successor.attach()

    for hammer in hammers:
        outcomes = hammer.stop()
        names = [outcome.name if isinstance(outcome, Saw) else outcome for outcome, _ in outcomes]
        assert names == ["web-0", "web-1", "web-2", "web-3"]


def test_ports_taken_at_the_same_time_have_one_owner(site: Site) -> None:
    imagined = Imagined(site)
    members = [imagined.member(f"web-{number}", mapping(8080)) for number in range(6)]

    answers: list[Answer] = [call.wait() for call in [each.start("ADD") for each in members]]

    assert sorted(answer.code or 0 for answer in answers) == [0] + 5 * [TAKEN]
    assert len(owners(site)) == 1
    assert entries(site) == 1


def test_a_loser_keeps_the_family_that_was_not_taken(site: Site) -> None:
    old = site.web(mapping(8080), name="old")
    new = site.web(mapping(8080, host_ip="0.0.0.0"), name="new", onConflict="takeover")

    assert name_of(connect_tcp(site.host.client, OWN[4], 8080)) == "new"
    assert name_of(connect_tcp(site.host.client, OWN[6], 8080)) == "old"

    old.detach()

    assert owners(site) == {"new"}
    assert connect_tcp(site.host.client, OWN[6], 8080) == "refused"

    new.detach()

    assert everything(site) == NOTHING


@pytest.mark.parametrize("heir", [False, True], ids=["alone", "to another of its kind"])
def test_a_loser_loses_what_it_had_at_loopback_too(site: Site, heir: bool) -> None:
    old = site.web(mapping(8080), name="old", localhost=True)
    new = site.web(mapping(8080), name="new", localhost=heir, onConflict="takeover")
    answer = "new" if heir else "refused"
    assert name_of(connect_tcp(site.host, LOOPBACK[4], 8080)) == answer

    new.detach()

    # Without a guard nothing may be let out.
    setting = site.host.run(["cat", "/proc/sys/net/ipv4/conf/br1/route_localnet"]).text.strip()
    assert (setting, site.host.ruleset(table="raw")) == ("0", [])

    old.detach()

    assert everything(site) == NOTHING


def test_ports_at_loopback_change_hands_without_a_moment_between(site: Site) -> None:
    options: dict[str, Any] = {"localhost": True, "onConflict": "takeover"}
    site.web(mapping(8080), name="old", **options)
    new = site.member(site.server("new"), mapping(8080), **options)
    hammer = Hammer(site.host, LOOPBACK[4], 8080)

    new.attach()

    names = [each.name if isinstance(each, Saw) else each for each, _ in hammer.stop()]
    assert names == ["old", "new"]


@pytest.mark.parametrize("policy", ["fail", "strict"])
def test_a_container_may_have_a_port_on_two_of_its_networks(site: Site, policy: str) -> None:
    first = site.web(mapping(8080), name="web", onConflict=policy)
    second = dataclasses.replace(
        site.member(first.container, mapping(8080), number=2, onConflict=policy), ifname="eth1"
    )
    result = second.attach().document

    assert name_of(connect_tcp(site.host.client, OWN[4], 8080)) == "web"
    assert second.run("CHECK", prevResult=result).status == 0

    first.detach()

    assert entries(site) == 1
    second.detach()
    assert everything(site) == NOTHING
