"""Which rules should exist: whole plans, compared as values."""

import pytest

from mesos_cni_port_mapper.portmap.mapping import PortMapping
from mesos_cni_port_mapper.portmap.plan import (
    Endpoint,
    Wish,
    endpoints_of,
    entries_into,
    find_unserved,
    host,
    plan_forwarding,
    plan_leaving,
    plan_tables,
    tables_of,
)
from mesos_cni_port_mapper.portmap.rule import (
    IPV4,
    IPV6,
    NAT,
    RAW,
    Dnat,
    Entry,
    Jump,
    Plan,
    Return,
    Rule,
)
from tests.unit.plans import DUAL, FORWARD, FORWARD_V6, guard, plan, plan_of
from tests.unit.wishes import LO, SN, attachment, mapping, tag, wish

ADDRESS = "192.0.2.2"
TO_LOCAL = Rule(target=Jump(chain="CHAIN"), to_local_address=True)
ENTRIES = {
    IPV4: (
        Entry(built_in="PREROUTING", rule=TO_LOCAL),
        Entry(built_in="OUTPUT", rule=TO_LOCAL.but(not_destination="127.0.0.0/8")),
    ),
    IPV6: (
        Entry(built_in="PREROUTING", rule=TO_LOCAL),
        Entry(built_in="OUTPUT", rule=TO_LOCAL.but(not_destination="::1/128")),
    ),
}


@pytest.mark.parametrize(
    ("devices", "rules"),
    [
        pytest.param((), [FORWARD], id="no device"),
        pytest.param(("cni0",), [FORWARD.but(not_in_device="cni0")], id="one device"),
        pytest.param(("a", "b+"), [guard("a"), guard("b+"), FORWARD], id="two devices"),
        pytest.param(
            tuple("abcde"), [*[guard(device) for device in "abcde"], FORWARD], id="five devices"
        ),
    ],
)
def test_a_mapping_excludes(devices: tuple[str, ...], rules: list[Rule]) -> None:
    assert plan_forwarding(wish("web-1", mapping(8080), devices=devices)) == (plan(*rules),)


def test_guards_stand_before_each_mapping_and_repeat_its_matches() -> None:
    asked = wish("web-1", mapping(8080), mapping(53, 53, "udp"), devices=("a", "b"))
    other = Rule(
        target=Dnat(address=ADDRESS, first_port=53, count=1, matched_from=53),
        protocol="udp",
        host_port=53,
        tag=tag(),
    )

    assert plan_forwarding(asked) == (
        plan(
            guard("a"),
            guard("b"),
            FORWARD,
            other.but(target=Return(), in_device="a"),
            other.but(target=Return(), in_device="b"),
            other,
        ),
    )


@pytest.mark.parametrize(
    ("mappings", "host_port", "target"),
    [
        pytest.param(
            [mapping(80, 80)],
            80,
            Dnat(address=ADDRESS, first_port=80, count=1, matched_from=80),
            id="one port to itself",
        ),
        pytest.param(
            [mapping(80, 80), mapping(81, 81), mapping(82, 82)],
            80,
            Dnat(address=ADDRESS, first_port=0, count=3, matched_from=80),
            id="a run to itself",
        ),
        pytest.param(
            [mapping(8081, 81), mapping(8080, 80)],
            8080,
            Dnat(address=ADDRESS, first_port=80, count=2, matched_from=8080),
            id="a run that is shifted",
        ),
    ],
)
def test_consecutive_ports_are_one_rule(
    mappings: list[PortMapping], host_port: int, target: Dnat
) -> None:
    assert plan_forwarding(wish("web-1", *mappings)) == (
        plan(
            Rule(
                target=target,
                protocol="tcp",
                host_port=host_port,
                port_count=target.count,
                tag=tag(),
            )
        ),
    )


def test_a_thousand_consecutive_ports_are_one_rule_in_each_family() -> None:
    ports = [mapping(port, port) for port in range(30000, 31000)]

    plans = plan_forwarding(wish("web-1", *ports, addresses=DUAL, snat=True, localhost=True))

    assert [
        (plan.family, plan.table, chain.name, len(chain.rules))
        for plan in plans
        for chain in plan.chains
    ] == [
        (IPV4, RAW, LO, 1),
        (IPV4, NAT, "CHAIN", 1),
        (IPV4, NAT, LO, 1),
        (IPV4, NAT, SN, 2),
        (IPV6, NAT, "CHAIN", 1),
        (IPV6, NAT, SN, 1),
    ]


def test_a_port_of_one_address_is_looked_at_before_the_same_of_all() -> None:
    asked = wish("web-1", mapping(8080), mapping(8080, 80, host_address="198.51.100.1"))

    assert plan_forwarding(asked) == (plan(FORWARD.but(destination="198.51.100.1/32"), FORWARD),)


@pytest.mark.parametrize(
    ("address", "plans"),
    [
        pytest.param("", (plan(FORWARD), plan(FORWARD_V6, family=IPV6)), id="all addresses"),
        pytest.param("0.0.0.0", (plan(FORWARD),), id="all of IPv4"),
        pytest.param("::", (plan(FORWARD_V6, family=IPV6),), id="all of IPv6"),
        pytest.param(
            "198.51.100.1", (plan(FORWARD.but(destination="198.51.100.1/32")),), id="one of IPv4"
        ),
        pytest.param(
            "2001:db8::1",
            (plan(FORWARD_V6.but(destination="2001:db8::1/128"), family=IPV6),),
            id="one of IPv6",
        ),
    ],
)
def test_a_container_with_two_families_is_reached_by(address: str, plans: tuple[Plan, ...]) -> None:
    asked = wish("web-1", mapping(8080, host_address=address), addresses=DUAL)

    assert plan_forwarding(asked) == plans


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(wish("web-1", devices=("a", "b"), snat=True), id="no mappings"),
        pytest.param(wish("web-1", mapping(8080), addresses=()), id="no address"),
        pytest.param(
            wish("web-1", mapping(8080, host_address="::")), id="no address of the family"
        ),
    ],
)
def test_nothing_is_planned_for(asked: Wish) -> None:
    assert plan_forwarding(asked) == ()


def test_leaving_is_a_plan_without_rules_for_each_table() -> None:
    assert plan_leaving(attachment(), "CHAIN", ((IPV4, RAW), (IPV4, NAT), (IPV6, NAT))) == (
        plan_of(table=RAW, LO=()),
        plan_of(CHAIN=(), LO=(), SN=()).but(old_tags=("container_id: web-1",)),
        plan_of(family=IPV6, CHAIN=(), SN=()).but(old_tags=("container_id: web-1",)),
    )


def test_leaving_knows_no_tag_that_the_original_would_have_cut() -> None:
    long = attachment("c" * 300)

    (leaving,) = plan_leaving(long, "CHAIN", ((IPV4, NAT),))

    assert leaving.old_tags == ()


@pytest.mark.parametrize("family", [IPV4, IPV6])
def test_the_jumps_are_for_the_host_s_own_addresses_and_never_for_loopback(family: int) -> None:
    assert entries_into("CHAIN", family, NAT) == ENTRIES[family]


@pytest.mark.parametrize(
    ("asked", "tables"),
    [
        pytest.param(wish("web-1"), (), id="nothing"),
        pytest.param(wish("web-1", mapping(1)), ((IPV4, NAT),), id="IPv4"),
        pytest.param(
            wish("web-1", mapping(1), addresses=tuple(reversed(DUAL)), localhost=True),
            ((IPV4, RAW), (IPV4, NAT), (IPV6, NAT)),
            id="everything, the guard first",
        ),
    ],
)
def test_tables_are_changed_in_one_order(asked: Wish, tables: tuple[tuple[int, str], ...]) -> None:
    assert tables_of(asked) == tables


def test_a_table_without_a_part_in_a_wish_is_planned_to_be_left() -> None:
    asked = wish("web-1", mapping(8080))

    assert plan_tables(asked, ((IPV4, RAW), (IPV4, NAT), (IPV6, NAT))) == (
        plan_of(table=RAW, LO=()),
        plan(FORWARD),
        plan_of(family=IPV6, CHAIN=(), SN=()).but(old_tags=("container_id: web-1",)),
    )


def test_an_endpoint_is_an_address_and_the_network_of_its_neighbours() -> None:
    assert endpoints_of(["192.0.2.200/25", "2001:db8::2:3/112"]) == (
        Endpoint(family=IPV4, address="192.0.2.200", network="192.0.2.128/25"),
        Endpoint(family=IPV6, address="2001:db8::2:3", network="2001:db8::2:0/112"),
    )


@pytest.mark.parametrize(
    ("addresses", "unserved"),
    [
        ((), ["", "192.0.2.1", "::"]),
        (("192.0.2.2/24",), ["::"]),
        (("2001:db8::2/64",), ["192.0.2.1"]),
        (DUAL, []),
    ],
    ids=["none", "IPv4", "IPv6", "both"],
)
def test_a_mapping_is_served_by_an_address_of_its_family(
    addresses: tuple[str, ...], unserved: list[str]
) -> None:
    mappings = [mapping(1, host_address=address) for address in ("", "192.0.2.1", "::")]

    found = find_unserved(mappings, endpoints_of(addresses))

    assert [item.host_address for item in found] == unserved


def test_an_address_is_written_as_iptables_prints_it() -> None:
    assert [host(address) for address in ("192.0.2.1", "2001:db8::1")] == [
        "192.0.2.1/32",
        "2001:db8::1/128",
    ]
