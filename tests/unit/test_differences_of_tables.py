"""What CHECK finds in several tables: each is named, and every chain in it is looked at."""

import pytest

from mesos_cni_port_mapper.netfilter.batch import plan_insertion
from mesos_cni_port_mapper.netfilter.differences import name_differences
from mesos_cni_port_mapper.portmap.plan import plan_forwarding
from mesos_cni_port_mapper.portmap.rule import IPV6, RAW
from tests.unit.memory_table import MemoryTable
from tests.unit.wishes import LO, SN, mapping, wish

EVERYTHING = plan_forwarding(
    wish(
        "web-1",
        mapping(8080),
        addresses=("192.0.2.2/24", "2001:db8::2/64"),
        snat=True,
        localhost=True,
    )
)


@pytest.fixture
def tables() -> list[MemoryTable]:
    """Return the tables that are as a plan for all of them has it."""
    tables = [MemoryTable(RAW), MemoryTable(), MemoryTable(family=IPV6)]
    for table, plan in zip(tables, EVERYTHING, strict=True):
        table.restore(plan_insertion(plan, []))
    return tables


WHERE = ("iptables raw: ", "", "ip6tables nat: ")
"""How each of them is named."""


def differences_of(tables: list[MemoryTable]) -> list[list[str]]:
    return [
        name_differences(table.listing(), plan)
        for table, plan in zip(tables, EVERYTHING, strict=True)
    ]


def test_no_table_has_any_that_agrees(tables: list[MemoryTable]) -> None:
    assert differences_of(tables) == [[], [], []]


@pytest.mark.parametrize(
    ("number", "built_in", "chain", "jump"),
    [
        (0, "PREROUTING", LO, f"-d 127.0.0.0/8 -j {LO}"),
        (1, "OUTPUT", LO, f"-d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j {LO}"),
        (1, "POSTROUTING", SN, f"-j {SN}"),
        (2, "POSTROUTING", SN, f"-j {SN}"),
    ],
)
def test_what_leads_into_a_chain_beside_the_network_s_is_missing(
    tables: list[MemoryTable], number: int, built_in: str, chain: str, jump: str
) -> None:
    tables[number].chains[built_in].remove(jump)

    assert differences_of(tables)[number] == [
        f"{WHERE[number]}0 times instead of once: -A {built_in} {jump}"
    ]


@pytest.mark.parametrize(
    ("number", "chain", "count"), [(0, LO, 1), (1, "CHAIN", 1), (1, LO, 1), (1, SN, 2), (2, SN, 1)]
)
def test_a_rule_of_any_chain_is_missing(
    tables: list[MemoryTable], number: int, chain: str, count: int
) -> None:
    rules = tables[number].chains[chain].copy()
    tables[number].chains[chain].clear()

    assert len(rules) == count
    assert differences_of(tables)[number] == [
        f"{WHERE[number]}missing: -A {chain} {rule}" for rule in rules
    ]


def test_a_mapping_at_loopback_is_shadowed_in_its_own_chain(tables: list[MemoryTable]) -> None:
    tables[1].chains[LO].insert(0, "-p tcp -m tcp --dport 8080 -j ACCEPT")

    assert differences_of(tables)[1] == [
        f"shadowed by: -A {LO} -p tcp -m tcp --dport 8080 -j ACCEPT"
    ]
