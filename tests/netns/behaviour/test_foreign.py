"""Ports that rules of others take, or rules of ours that nothing remembers."""

import pytest

from tests.netns.behaviour.site import (
    FAMILIES,
    NOTHING,
    OTHER,
    OWN,
    STATE,
    TAKEN,
    Imagined,
    Json,
    Site,
    addresses,
    bridge,
    everything,
    mapping,
    name_of,
    owners,
)
from tests.support.plugin import PLUGIN_DIRECTORY, Plugin
from tests.support.traffic import connect_tcp

PROGRAMS = {4: "iptables", 6: "ip6tables"}

# Rules as others make them, the mapping that is wanted, and whether they are for the same port.
RULES: dict[str, tuple[list[str], Json, bool]] = {
    "by hand": (
        ["-A PREROUTING -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.9.9.9:80"],
        mapping(8080),
        True,
    ),
    "as Docker has it": (
        [
            "-N DOCKER",
            "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
            "-A DOCKER ! -i docker0 -p tcp --dport 8080 -j DNAT --to-destination 10.9.9.9:80",
        ],
        mapping(8080),
        True,
    ),
    "a range": (
        ["-A PREROUTING -p tcp -m tcp --dport 8000:9000 -j DNAT --to-destination 10.9.9.9"],
        mapping(8080),
        True,
    ),
    "a list": (
        ["-A PREROUTING -p tcp -m multiport --dports 1,8080 -j DNAT --to-destination 10.9.9.9"],
        mapping(8080),
        True,
    ),
    "a local port": (
        ["-A PREROUTING -p tcp -m tcp --dport 8080 -j REDIRECT --to-ports 80"],
        mapping(8080),
        True,
    ),
    "one address, and all are wanted": (
        ["-A PREROUTING -d 192.0.2.1 -p tcp --dport 8080 -j DNAT --to-destination 10.9.9.9"],
        mapping(8080),
        True,
    ),
    "another address": (
        ["-A PREROUTING -d 192.0.2.3 -p tcp --dport 8080 -j DNAT --to-destination 10.9.9.9"],
        mapping(8080, host_ip=OWN[4]),
        False,
    ),
    "another port": (
        ["-A PREROUTING -p tcp -m tcp --dport 8081 -j DNAT --to-destination 10.9.9.9"],
        mapping(8080),
        False,
    ),
    "another protocol": (
        ["-A PREROUTING -p udp -m udp --dport 8080 -j DNAT --to-destination 10.9.9.9"],
        mapping(8080),
        False,
    ),
    "nothing but a mark": (
        ["-A PREROUTING -p tcp -m tcp --dport 8080 -j MARK --set-mark 1"],
        mapping(8080),
        False,
    ),
}


@pytest.mark.parametrize("case", RULES)
def test_who_is_strict_respects_rules_of_others(site: Site, case: str) -> None:
    rules, wanted, taken = RULES[case]
    for rule in rules:
        site.host.run(["iptables", "-t", "nat", *rule.split()])
    before = everything(site)

    answer = Imagined(site).member("web", wanted, onConflict="strict").run("ADD")

    assert answer.code == (TAKEN if taken else None), answer.document
    if taken:
        assert "tcp 8080" in answer.document["msg"]
        assert rules[-1].split()[-1] in answer.document["details"]
        assert everything(site) == before


@pytest.mark.parametrize("policy", ["fail", "takeover", "ignore"])
def test_nobody_else_minds_them(site: Site, policy: str) -> None:
    (rule,) = RULES["by hand"][0]
    site.host.run(["iptables", "-t", "nat", *rule.split()])

    answer = Imagined(site).member("web", mapping(8080), onConflict=policy).run("ADD")

    assert answer.status == 0, answer.document


def test_who_is_strict_respects_rules_of_ipv6(site: Site) -> None:
    rule = "-A PREROUTING -p tcp -m tcp --dport 8080 -j DNAT --to-destination [fd09::9]:80"
    site.host.run(["ip6tables", "-t", "nat", *rule.split()])
    before = everything(site)
    imagined = Imagined(site)

    answer = imagined.member("web", mapping(8080), onConflict="strict").run("ADD")

    assert answer.code == TAKEN, answer.document
    assert everything(site) == before

    only_four = mapping(8080, host_ip="0.0.0.0")
    imagined.member("other", only_four, onConflict="strict").attach()


NATIVE = {
    "a port": ("tcp dport 8080 dnat to 10.9.9.9:80", True),
    "a range": ("tcp dport 8000-9000 redirect to :80", True),
    "a map": ("dnat ip to meta l4proto . th dport map { tcp . 8080 : 10.9.9.9 . 80 }", True),
    "another port": ("tcp dport 8081 dnat to 10.9.9.9:80", False),
    "another protocol": ("udp dport 8080 dnat to 10.9.9.9:80", False),
    "nothing but a mark": ("tcp dport 8080 meta mark set 1", False),
}


@pytest.mark.parametrize("case", NATIVE)
def test_who_is_strict_respects_rules_that_iptables_does_not_show(site: Site, case: str) -> None:
    rule, taken = NATIVE[case]
    hook = "type nat hook prerouting priority -100;"
    table = f"table ip theirs {{ chain pre {{ {hook} {rule}; }}; }}"
    site.host.run(["nft", "-f", "-"], table.encode())

    answer = Imagined(site).member("web", mapping(8080), onConflict="strict").run("ADD")

    assert answer.code == (TAKEN if taken else None), answer.document
    if taken:
        assert answer.document["details"] == "table ip theirs chain pre"
        assert owners(site) == set()


def test_who_is_strict_respects_the_ports_of_portmap(site: Site) -> None:
    container = site.server("theirs")
    netconf = {**bridge(2), "cniVersion": "1.0.0", "name": "theirs"}
    result = Plugin(site.host, f"{PLUGIN_DIRECTORY}/bridge").add(container, netconf).document
    portmap = {
        "cniVersion": "1.0.0",
        "name": "theirs",
        "type": "portmap",
        "runtimeConfig": {"portMappings": [mapping(8080)]},
        "prevResult": result,
    }
    assert Plugin(site.host, f"{PLUGIN_DIRECTORY}/portmap").add(container, portmap).status == 0
    assert name_of(connect_tcp(site.host.client, OWN[4], 8080)) == "theirs"

    answer = site.member(site.server("web"), mapping(8080), onConflict="strict").run("ADD")

    assert answer.code == TAKEN, answer.document
    assert name_of(connect_tcp(site.host.client, OWN[4], 8080)) == "theirs"


@pytest.mark.parametrize("order", [("all", "one"), ("one", "all")], ids="-then-".join)
def test_two_who_are_strict_get_along(site: Site, order: tuple[str, str]) -> None:
    for name in order:
        host_ip = {"all": "", "one": OWN[4]}[name]
        site.web(mapping(8080, host_ip=host_ip), name=name, onConflict="strict")
    site.web(mapping(8081), name="third", onConflict="strict")

    assert name_of(connect_tcp(site.host.client, OWN[4], 8080)) == "one"
    assert name_of(connect_tcp(site.host.client, OTHER[4], 8080)) == "all"


def test_an_owner_without_a_record_is_named_by_the_rule(site: Site) -> None:
    site.web(mapping(8080), name="old")
    site.host.run(["rm", "-r", STATE])

    answer = site.member(site.server("new"), mapping(8080)).run("ADD")

    assert answer.code == TAKEN, answer.document
    assert "container_id: old network: net-1 ifname: eth0" in answer.document["msg"]
    assert name_of(connect_tcp(site.host.client, OWN[4], 8080)) == "old"


def test_rules_are_found_in_every_table_though_the_records_are_lost(site: Site) -> None:
    old = site.web(mapping(8080), name="old", snat=True)
    site.host.run(["rm", "-r", STATE])
    # What somebody else does since must not hide it.
    new = site.web(mapping(8081, host_ip="0.0.0.0"), name="new")

    old.detach()
    new.detach()

    assert everything(site) == NOTHING


def test_without_records_the_newest_still_gets_the_port(site: Site) -> None:
    old = site.web(mapping(8080), name="old")
    site.host.run(["rm", "-r", STATE])
    new = site.web(mapping(8080), name="new", onConflict="takeover")
    for family in FAMILIES:
        assert name_of(connect_tcp(site.host.client, OWN[family], 8080)) == "new"

    old.detach()

    for family in FAMILIES:
        assert name_of(connect_tcp(site.host.client, OWN[family], 8080)) == "new"

    new.detach()

    assert everything(site) == NOTHING
    assert addresses(1)[4] not in str(site.host.ruleset())
