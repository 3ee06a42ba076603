"""What is planned beside forwarding: loopback, hidden sources, marks and conditions."""

import pytest

from mesos_cni_port_mapper.portmap.loopback import plan_guard
from mesos_cni_port_mapper.portmap.plan import entries_into, plan_forwarding
from mesos_cni_port_mapper.portmap.rule import (
    IPV4,
    IPV6,
    NAT,
    RAW,
    Chain,
    Mark,
    Masquerade,
    Plan,
    Rule,
)
from tests.unit.plans import DUAL, FORWARD, FORWARD_V6, guard, plan, plan_of
from tests.unit.wishes import LO, SN, mapping, tag, wish

HIDE = Rule(target=Masquerade(), destination="192.0.2.2/32", translated=True, tag=tag())
GUARD = plan_of(table=RAW, LO=(plan_guard(tag()),))


def test_conditions_narrow_down_every_rule_of_their_family_that_matches_a_port() -> None:
    asked = wish(
        "web-1",
        mapping(8080),
        addresses=DUAL,
        devices=("a", "b"),
        conditions_v4=("-f",),
        conditions_v6=("-s", "2001:db8::/64"),
    )

    v4, v6 = plan_forwarding(asked)

    assert v4 == plan(*[rule.but(conditions=("-f",)) for rule in (guard("a"), guard("b"), FORWARD)])
    assert {rule.conditions for rule in v6.chains[0].rules} == {("-s", "2001:db8::/64")}


@pytest.mark.parametrize("devices", [(), ("cni0",)], ids=["no device", "a device"])
def test_localhost_has_its_mappings_and_its_guard_in_a_chain_of_its_own(
    devices: tuple[str, ...],
) -> None:
    asked = wish("web-1", mapping(8080), devices=devices, localhost=True)
    outer = FORWARD.but(not_in_device="cni0") if devices else FORWARD

    assert plan_forwarding(asked) == (
        GUARD,
        plan_of(CHAIN=(outer,), LO=(FORWARD,), SN=(HIDE.but(source="127.0.0.0/8"),)),
    )


def test_an_address_of_loopback_leads_past_the_network_s_chain() -> None:
    asked = wish("web-1", mapping(8080, host_address="127.0.0.1"), addresses=DUAL)

    assert plan_forwarding(asked) == (
        GUARD,
        plan_of(
            LO=(FORWARD.but(destination="127.0.0.1/32"),), SN=(HIDE.but(source="127.0.0.0/8"),)
        ),
    )


def test_localhost_takes_no_mapping_along_that_names_another_address() -> None:
    asked = wish(
        "web-1",
        mapping(8080),
        mapping(8081, 81, host_address="198.51.100.1"),
        mapping(8082, 82, host_address="0.0.0.0"),
        localhost=True,
    )

    _, nat = plan_forwarding(asked)

    ports = {chain.name: [rule.host_port for rule in chain.rules] for chain in nat.chains}
    assert ports == {"CHAIN": [8081, 8080, 8082], LO: [8080, 8082], SN: [0]}


def test_ipv6_has_no_loopback_to_be_let_out() -> None:
    asked = wish("web-1", mapping(8080), addresses=("2001:db8::2/64",), localhost=True)

    assert plan_forwarding(asked) == (plan(FORWARD_V6, family=IPV6),)


def test_snat_hides_the_subnet_of_each_family() -> None:
    asked = wish("web-1", mapping(8080), addresses=DUAL, snat=True)

    assert plan_forwarding(asked) == (
        plan_of(CHAIN=(FORWARD,), SN=(HIDE.but(source="192.0.2.0/24"),)),
        plan_of(
            family=IPV6,
            CHAIN=(FORWARD_V6,),
            SN=(HIDE.but(destination="2001:db8::2/128", source="2001:db8::/64"),),
        ),
    )


def test_marks_stand_between_guards_and_mapping_and_nothing_excluded_is_marked() -> None:
    marked = FORWARD.but(target=Mark(bits=0x2000), source="192.0.2.0/24")
    hide = Rule(target=Masquerade(), destination="192.0.2.2/32", marked=0x2000, tag=tag())

    def of(*devices: str) -> tuple[Plan, ...]:
        return plan_forwarding(
            wish("web-1", mapping(8080), devices=devices, snat=True, mark=0x2000)
        )

    assert of("a", "b") == (plan_of(CHAIN=(guard("a"), guard("b"), marked, FORWARD), SN=(hide,)),)
    assert of("a") == (
        plan_of(CHAIN=(marked.but(not_in_device="a"), FORWARD.but(not_in_device="a")), SN=(hide,)),
    )


def test_what_the_host_sends_from_loopback_is_marked_too() -> None:
    asked = wish("web-1", mapping(8080), localhost=True, mark=0x2000)

    _, nat = plan_forwarding(asked)

    assert nat.chains[1] == Chain(
        name=LO,
        rules=(FORWARD.but(target=Mark(bits=0x2000), source="127.0.0.0/8"), FORWARD),
        entries=entries_into(LO, IPV4, NAT),
    )
