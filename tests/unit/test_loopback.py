"""Ports at 127.0.0.1: who asks for them, and the chain that is theirs."""

import pytest

from mesos_cni_port_mapper.portmap.loopback import (
    chain_name,
    entries_into,
    is_asked_for,
    is_loopback,
    plan_guard,
)
from mesos_cni_port_mapper.portmap.rule import NAT, RAW, Drop, Entry, Jump, Rule
from mesos_cni_port_mapper.portmap.traffic import Traffic
from tests.unit.wishes import LO, mapping, tag


@pytest.mark.parametrize(
    ("address", "without", "with_it"),
    [
        ("", False, True),
        ("127.0.0.1", True, True),
        ("127.8.8.8", True, True),
        ("128.0.0.1", False, False),
        ("192.0.2.127", False, False),
        ("::1", False, False),
        ("2001:db8::127.0.0.1", False, False),
    ],
)
def test_loopback_is_asked_for_by_address_or_for_all_of_them(
    address: str, without: bool, with_it: bool
) -> None:
    item = mapping(80, host_address=address)

    assert is_asked_for(item, Traffic(localhost=False)) == without
    assert is_asked_for(item, Traffic(localhost=True)) == with_it
    assert is_loopback(address) == without


@pytest.mark.parametrize("chain", ["CHAIN", "C" * 28])
def test_the_chain_s_name_is_one_that_iptables_takes(chain: str) -> None:
    assert len(chain_name(chain)) == len(LO) <= 28


def test_each_network_s_chain_has_one_of_its_own() -> None:
    assert chain_name("CHAIN") == LO
    assert chain_name("CHAIN2") != LO


def test_only_what_the_host_itself_sends_to_loopback_comes_to_the_mappings() -> None:
    assert entries_into(LO, NAT) == (
        Entry(
            built_in="OUTPUT",
            rule=Rule(target=Jump(chain=LO), destination="127.0.0.0/8", to_local_address=True),
            first=False,
        ),
    )


def test_what_arrives_for_loopback_meets_the_guard_before_anything_else() -> None:
    assert entries_into(LO, RAW) == (
        Entry(
            built_in="PREROUTING",
            rule=Rule(target=Jump(chain=LO), destination="127.0.0.0/8"),
            first=True,
        ),
    )


def test_the_guard_drops_what_does_not_come_from_the_host() -> None:
    assert plan_guard(tag()) == Rule(
        target=Drop(), destination="127.0.0.0/8", not_in_device="lo", tag=tag()
    )
