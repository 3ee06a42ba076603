"""What an operator can ask for besides, one option at a time, seen from the other end."""

from typing import Any

import pytest

from tests.netns.behaviour.site import (
    CLIENT,
    FAMILIES,
    LOOPBACK,
    NOTHING,
    OTHER,
    OWN,
    Member,
    Site,
    addresses,
    bridge,
    entries,
    everything,
    gateways,
    mapping,
    name_of,
)
from tests.netns.injection import Tool
from tests.support.traffic import Saw, connect_sctp, connect_tcp, connect_udp, serve_tcp

MARK_CHAIN = "OPERATORS-MARK"
PROGRAMS = {4: "iptables", 6: "ip6tables"}


@pytest.mark.parametrize("family", FAMILIES)
def test_masq_all_hides_everybodys_address(site: Site, family: int) -> None:
    web = site.web(mapping(8080), masqAll=True)
    seen = Saw("web", gateways(1)[family], 80)

    assert connect_tcp(site.host.client, OWN[family], 8080) == seen
    assert connect_tcp(site.host, OWN[family], 8080) == seen
    assert connect_tcp(site.neighbour(), OWN[family], 8080) == seen
    assert connect_tcp(web.container, OWN[family], 8080) == seen


def test_masq_all_leaves_what_was_not_forwarded(site: Site) -> None:
    web = site.web(mapping(8080), masqAll=True)
    serve_tcp(site.host.client, 8080)
    routes = f"ip route add 10.1.0.0/24 via {OWN[4]}"
    site.host.client.run(routes.split())

    direct = connect_tcp(site.host.client, addresses(1)[4], 80)
    assert direct == Saw("web", CLIENT[4], 80)
    outwards = connect_tcp(web.container, CLIENT[4], 8080)
    assert outwards == Saw("client", addresses(1)[4], 8080)


@pytest.mark.parametrize("family", FAMILIES)
def test_conditions_narrow_one_family_down_and_leave_the_other(site: Site, family: int) -> None:
    other = {4: 6, 6: 4}[family]
    words = ["!", "-s", CLIENT[family]]
    if not site.back_end.has_chains:
        words = [{4: "ip", 6: "ip6"}[family], "saddr", "!=", CLIENT[family]]
    conditions: dict[str, Any] = {f"conditionsV{family}": words}
    site.web(mapping(8080), **conditions)

    assert connect_tcp(site.host.client, OWN[family], 8080) == "refused"
    assert name_of(connect_tcp(site.host, OWN[family], 8080)) == "web"
    assert name_of(connect_tcp(site.host.client, OWN[other], 8080)) == "web"


def test_conditions_of_one_network_are_not_those_of_another_in_its_chain(site: Site) -> None:
    site.web(mapping(8080), name="open")
    source = ["-s"] if site.back_end.has_chains else ["ip", "saddr"]
    site.web(mapping(8081), name="shut", number=2, conditionsV4=[*source, "198.51.100.0/24"])
    site.web(mapping(8082), name="late", number=3)

    who = [name_of(connect_tcp(site.host.client, OWN[4], port)) for port in (8080, 8081, 8082)]
    assert who == ["open", "refused", "late"]


def test_conditions_may_be_several_matches(site: Site) -> None:
    conditions = ["-m", "conntrack", "--ctstate", "NEW", "-m", "mark", "--mark", "0"]
    if not site.back_end.has_chains:
        conditions = ["ct", "state", "new", "meta", "mark", "{", "0,", "1", "}"]
    ports = [mapping(8080), mapping(8081, 53, "udp"), mapping(9000), mapping(9001, 81)]
    web = site.web(*ports, conditionsV4=conditions, localhost=True, snat=True)

    assert name_of(connect_tcp(site.host.client, OWN[4], 8080)) == "web"
    assert name_of(connect_udp(site.host.client, OWN[4], 8081)) == "web"
    assert name_of(connect_tcp(site.host, LOOPBACK[4], 9000)) == "web"

    web.detach()

    assert connect_tcp(site.host.client, OWN[4], 8080) == "refused"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_mark_of_the_operators_own_choice_masquerades_the_same(site: Site, family: int) -> None:
    web = site.web(mapping(8080), snat=True, localhost=True, markMasqBit=5)
    count = ["-A", "POSTROUTING", "-m", "mark", "--mark", "0x20/0x20", "-j", "ACCEPT"]
    site.host.run([PROGRAMS[family], "-t", "mangle", *count])
    seen = Saw("web", gateways(1)[family], 80)

    assert connect_tcp(site.host.client, OWN[family], 8080) == Saw("web", CLIENT[family], 80)
    assert marked(site, family) == 0

    assert connect_tcp(site.neighbour(), OWN[family], 8080) == seen
    assert connect_tcp(web.container, OWN[family], 8080) == seen
    assert marked(site, family) > 0
    if family == 4:
        assert connect_tcp(site.host, LOOPBACK[4], 8080) == seen


def marked(site: Site, family: int) -> int:
    """Return how many packets with the mark have left."""
    listing = [PROGRAMS[family], "-t", "mangle", "-nvxL", "POSTROUTING"]
    return int(site.host.run(listing).text.splitlines()[2].split()[0])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_chain_of_the_operators_marks_and_the_operator_masquerades(
    chains_site: Site, family: int
) -> None:
    site = chains_site
    for each, program in PROGRAMS.items():
        for words in (
            f"-N {MARK_CHAIN}",
            f"-A {MARK_CHAIN} -j MARK --or-mark 0x4000",
            f"-A POSTROUTING -m mark --mark 0x4000/0x4000 -j SNAT --to-source {OTHER[each]}",
        ):
            site.host.run([program, "-t", "nat", *words.split()])
    before = site.host.ruleset(ipv6=family == 6)
    web = site.web(mapping(8080), snat=True, externalSetMarkChain=MARK_CHAIN)

    assert connect_tcp(site.host.client, OWN[family], 8080) == Saw("web", CLIENT[family], 80)
    seen = Saw("web", OTHER[family], 80)
    assert connect_tcp(site.neighbour(), OWN[family], 8080) == seen
    assert connect_tcp(web.container, OWN[family], 8080) == seen

    web.detach()

    assert site.host.ruleset(ipv6=family == 6) == before


def test_a_chain_of_iptables_is_out_of_reach_of_maps(maps_site: Site) -> None:
    member = maps_site.member(
        maps_site.host.container("web"), mapping(8080), externalSetMarkChain=MARK_CHAIN
    )

    answer = member.run("ADD")

    assert (answer.code, everything(maps_site)) == (2, NOTHING), answer.document
    assert "externalSetMarkChain" in answer.document["msg"]


def test_a_bridge_that_calls_iptables_changes_nothing_where_there_is_snat(site: Site) -> None:
    for name in ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables"):
        site.host.run(["sh", "-c", f"echo 1 >/proc/sys/net/bridge/{name}"])
    # Such a bridge forwards what was rewritten itself, and back to where it came from only if told.
    web = site.web(mapping(8080), snat=True, delegate={**bridge(1), "hairpinMode": True})
    neighbour = site.neighbour()

    for family in FAMILIES:
        seen = Saw("web", gateways(1)[family], 80)
        assert connect_tcp(neighbour, OWN[family], 8080) == seen
        assert connect_tcp(web.container, OWN[family], 8080) == seen
        # What stays on the bridge has no business with us.
        direct = connect_tcp(neighbour, addresses(1)[family], 80)
        assert direct == Saw("web", addresses(1, 1)[family], 80)


def test_a_bridge_that_masquerades_what_leaves_it_is_no_obstacle(site: Site) -> None:
    delegate = {**bridge(1), "ipMasq": True}
    web = site.web(mapping(8080), snat=True, localhost=True, delegate=delegate)

    for family in FAMILIES:
        seen = Saw("web", gateways(1)[family], 80)
        assert connect_tcp(web.container, OWN[family], 8080) == seen
        assert connect_tcp(site.host.client, OWN[family], 8080) == Saw("web", CLIENT[family], 80)
    assert connect_tcp(site.host, LOOPBACK[4], 8080) == Saw("web", gateways(1)[4], 80)


@pytest.mark.parametrize("family", FAMILIES)
def test_several_excluded_devices_find_the_host_itself(site: Site, family: int) -> None:
    devices = ["br1", "br3+"]
    web = site.web(mapping(8080), excludeDevices=devices, snat=True)
    beyond = site.neighbour(number=31)
    third = site.neighbour(name="third", number=2)
    serve_tcp(site.host, 8080)

    assert name_of(connect_tcp(web.container, OWN[family], 8080)) == "host"
    assert name_of(connect_tcp(beyond, OWN[family], 8080)) == "host"
    assert name_of(connect_tcp(third, OWN[family], 8080)) == "web"
    assert name_of(connect_tcp(site.host.client, OWN[family], 8080)) == "web"


def test_a_thousand_consecutive_ports_are_one_rule(site: Site) -> None:
    web = site.member(site.server("web", tcp=[20000, 20999]), *_run(20000, 20000))

    web.attach()

    assert [entries(site, family) for family in FAMILIES] == [1, 1]
    for family in FAMILIES:
        for port in (20000, 20999):
            seen = Saw("web", CLIENT[family], port)
            assert connect_tcp(site.host.client, OWN[family], port) == seen
        # Not forwarded: refused by the container or by the host, so the host is given a server.
    for port in (19999, 21000):
        serve_tcp(site.host, port)
        assert name_of(connect_tcp(site.host.client, OWN[4], port)) == "host"

    web.detach()

    assert everything(site) == NOTHING


def test_a_thousand_consecutive_ports_may_be_shifted_one_to_one(site: Site) -> None:
    server = site.server("web", tcp=[30000, 30999], udp=[30500], sctp=[30007])
    protocols = ("tcp", "udp", "sctp")
    ports = [port for protocol in protocols for port in _run(20000, 30000, protocol)]
    site.member(server, *ports, snat=True, localhost=True).attach()

    # In a map a run that is shifted is an element for each port.
    assert not site.back_end.has_chains or entries(site) == len(protocols)
    for family in FAMILIES:
        client, own = site.host.client, OWN[family]
        assert connect_tcp(client, own, 20000) == Saw("web", CLIENT[family], 30000)
        assert connect_tcp(client, own, 20999) == Saw("web", CLIENT[family], 30999)
        assert connect_udp(client, own, 20500) == Saw("web", CLIENT[family], 30500)
        assert connect_sctp(client, own, 20007) == Saw("web", CLIENT[family], 30007)
        assert connect_tcp(client, own, 21000) == "refused"
    assert connect_tcp(site.host, LOOPBACK[4], 20999) == Saw("web", gateways(1)[4], 30999)


def test_a_thousand_consecutive_ports_are_told_to_iptables_in_the_words_of_one(
    iptables_site: Site,
) -> None:
    site = iptables_site
    options = {"snat": True, "localhost": True}
    members = [
        site.member(site.host.container(f"web-{count}"), *_run(20000, 30000)[:count], **options)
        for count in (1, 1000)
    ]

    told = [_batches(site, member) for member in members]

    # For ADD and for DEL: two tables of one family and one of the other, or each family's together.
    count = 4 if site.host.variant == "nft" else 6
    assert [len(batches) for batches in told] == [count, count]
    assert told[0] == told[1]


def _batches(site: Site, member: Member) -> list[tuple[str, int]]:
    """Attach and detach; return the tools that changed tables, and to how many lines, in order."""
    for name in ("iptables-restore", "ip6tables-restore"):
        batch = f"/run/batch-{member.container.name}"
        Tool(site.host, name).behave(
            f'cat >{batch}\necho {name} $(wc -l <{batch}) >>{batch}.log\nreal "$@" <{batch}'
        )
    member.attach()
    member.detach()
    log = site.host.path(f"/run/batch-{member.container.name}.log").read_text()
    return [(name, int(lines)) for name, lines in (line.split() for line in log.splitlines())]


def _run(host_port: int, container_port: int, protocol: str = "tcp") -> list[dict[str, object]]:
    return [
        mapping(host_port + number, container_port + number, protocol) for number in range(1000)
    ]


@pytest.mark.parametrize(
    ("host_ip", "served"),
    [("", (4, 6)), ("0.0.0.0", (4,)), ("::", (6,)), ("::ffff:192.0.2.1", (4,))],
    ids=["any", "IPv4", "IPv6", "IPv4 in the spelling of IPv6"],
)
def test_an_unspecified_address_means_all_of_its_family(
    site: Site, host_ip: str, served: tuple[int, ...]
) -> None:
    site.web(mapping(8080, host_ip=host_ip))

    reached = [
        family
        for family in FAMILIES
        if name_of(connect_tcp(site.host.client, OWN[family], 8080)) == "web"
    ]
    assert tuple(reached) == served
