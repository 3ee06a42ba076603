"""Batches for iptables-restore, carried out on a table in memory."""

import pytest

from mesos_cni_port_mapper.netfilter.batch import (
    plan_agreement,
    plan_insertion,
)
from mesos_cni_port_mapper.portmap.plan import plan_forwarding, plan_leaving
from mesos_cni_port_mapper.portmap.rule import IPV4, NAT, Plan
from tests.unit.memory_table import MemoryTable, RefusedError
from tests.unit.wishes import attachment, mapping, tag, wish

TO_LOCAL = "-m addrtype --dst-type LOCAL -j CHAIN"
FROM_HOST = f"! -d 127.0.0.0/8 {TO_LOCAL}"
FOREIGN = '-p tcp -m tcp --dport 22 -m comment --comment "the admin\'s" -j ACCEPT'


def plan(container_id: str, *ports: int, chain: str = "CHAIN") -> Plan:
    if not ports:
        return leaving(container_id, chain)
    (plan,) = plan_forwarding(wish(container_id, *map(mapping, ports), chain=chain))
    return plan


def leaving(container_id: str, chain: str = "CHAIN", table: str = NAT) -> Plan:
    (plan,) = plan_leaving(attachment(container_id), chain, [(IPV4, table)])
    return plan


def rule(container_id: str, port: int) -> str:
    return (
        f"-p tcp -m tcp --dport {port} -m comment "
        f'--comment "{tag(container_id)}" '
        "-j DNAT --to-destination 192.0.2.2:80"
    )


@pytest.fixture
def table() -> MemoryTable:
    """Return a table in which web-1 has a port."""
    table = MemoryTable()
    table.restore(plan_insertion(plan("web-1", 8080), []))
    return table


def test_a_first_insertion_makes_chain_jumps_and_rules() -> None:
    assert plan_insertion(plan("web-1", 1, 3), []) == [
        "-N CHAIN",
        f"-A PREROUTING {TO_LOCAL}",
        f"-A OUTPUT {FROM_HOST}",
        f"-I CHAIN {rule('web-1', 3)}",
        f"-I CHAIN {rule('web-1', 1)}",
    ]


def test_an_insertion_checks_the_jumps_and_makes_rules() -> None:
    assert plan_insertion(plan("web-1", 1, 3), ["CHAIN"]) == [
        f"-C PREROUTING {TO_LOCAL}",
        f"-C OUTPUT {FROM_HOST}",
        f"-I CHAIN {rule('web-1', 3)}",
        f"-I CHAIN {rule('web-1', 1)}",
    ]


def test_rules_come_to_stand_in_their_order_and_before_older_ones(table: MemoryTable) -> None:
    table.restore(plan_insertion(plan("web-2", 1, 3), ["CHAIN"]))

    assert table.chains["CHAIN"] == [rule("web-2", 1), rule("web-2", 3), rule("web-1", 8080)]


def test_a_first_insertion_is_refused_where_the_chain_exists(table: MemoryTable) -> None:
    with pytest.raises(RefusedError, match=r"^-N CHAIN: the chain exists"):
        table.restore(plan_insertion(plan("web-2", 1), []))


@pytest.mark.parametrize("built_in", ["PREROUTING", "OUTPUT"])
def test_an_insertion_is_refused_where_a_jump_is_lost(table: MemoryTable, built_in: str) -> None:
    table.chains[built_in].clear()

    with pytest.raises(RefusedError, match=f"^-C {built_in}"):
        table.restore(plan_insertion(plan("web-2", 1), ["CHAIN"]))


def test_agreement_makes_what_is_missing() -> None:
    assert plan_agreement(MemoryTable().listing(), [plan("web-1", 1)]) == [
        "-N CHAIN",
        f"-I CHAIN {rule('web-1', 1)}",
        f"-A PREROUTING {TO_LOCAL}",
        f"-A OUTPUT {FROM_HOST}",
    ]


def test_agreement_leaves_what_agrees_alone(table: MemoryTable) -> None:
    assert plan_agreement(table.listing(), [plan("web-1", 8080)]) == []


def test_agreement_replaces_only_the_rules_of_its_tag(table: MemoryTable) -> None:
    table.restore(plan_insertion(plan("web-10", 1), ["CHAIN"]))

    assert plan_agreement(table.listing(), [plan("web-1", 2)]) == [
        f"-D CHAIN {rule('web-1', 8080)}",
        f"-I CHAIN {rule('web-1', 2)}",
    ]


def test_agreement_removes_a_doubled_jump_and_no_other(table: MemoryTable) -> None:
    table.restore([f"-A PREROUTING {TO_LOCAL}", f"-A PREROUTING {TO_LOCAL} "])

    assert plan_agreement(table.listing(), [plan("web-1", 8080)])[:1] == [
        f"-D PREROUTING {TO_LOCAL}"
    ]


def test_leaving_takes_chain_and_jumps_along(table: MemoryTable) -> None:
    assert plan_agreement(table.listing(), [leaving("web-1")]) == [
        f"-D CHAIN {rule('web-1', 8080)}",
        f"-D PREROUTING {TO_LOCAL}",
        f"-D OUTPUT {FROM_HOST}",
        "-X CHAIN",
    ]


@pytest.mark.parametrize(
    "others",
    [
        pytest.param([f"-A CHAIN {rule('web-10', 1)}"], id="another container's"),
        pytest.param([f"-A CHAIN {FOREIGN}"], id="the administrator's"),
    ],
)
def test_leaving_keeps_a_chain_that_others_have_rules_in(
    table: MemoryTable, others: list[str]
) -> None:
    table.restore(others)

    assert plan_agreement(table.listing(), [leaving("web-1")]) == [
        f"-D CHAIN {rule('web-1', 8080)}"
    ]


@pytest.mark.parametrize(
    "jump",
    [
        "-A INPUT -j CHAIN",
        "-A PREROUTING -g CHAIN",
        "-A PREROUTING -i eth0 -m addrtype --dst-type LOCAL -j CHAIN",
        f"-A OUTPUT {TO_LOCAL}",
    ],
)
def test_leaving_keeps_a_chain_that_a_foreign_jump_leads_to(table: MemoryTable, jump: str) -> None:
    table.restore([jump])

    assert plan_agreement(table.listing(), [leaving("web-1")]) == [
        f"-D CHAIN {rule('web-1', 8080)}"
    ]


def test_leaving_dissolves_a_chain_that_was_left_empty(table: MemoryTable) -> None:
    table.chains["CHAIN"].clear()

    assert plan_agreement(table.listing(), [leaving("web-1")]) == [
        f"-D PREROUTING {TO_LOCAL}",
        f"-D OUTPUT {FROM_HOST}",
        "-X CHAIN",
    ]


def test_leaving_a_table_without_the_chain_is_nothing_to_do() -> None:
    assert plan_agreement(MemoryTable().listing(), [leaving("a")]) == []


def test_leaving_removes_what_the_original_made_for_the_same_container(table: MemoryTable) -> None:
    bare = '-m comment --comment "container_id: {}" -j RETURN'
    table.restore([f"-A CHAIN {bare.format(name)}" for name in ("web-1", "web-10", "web")])

    assert plan_agreement(table.listing(), [leaving("web-1")]) == [
        f"-D CHAIN {rule('web-1', 8080)}",
        f"-D CHAIN {bare.format('web-1')}",
    ]


def test_the_original_s_rules_in_another_network_s_chain_are_left_alone(table: MemoryTable) -> None:
    table.restore(["-N OTHER", '-A OTHER -m comment --comment "container_id: web-1" -j RETURN'])

    assert plan_agreement(table.listing(), [leaving("web-1")])[0] == (
        f"-D CHAIN {rule('web-1', 8080)}"
    )
    assert not any("OTHER" in line for line in plan_agreement(table.listing(), [leaving("web-1")]))


def test_a_chain_that_was_renamed_leaves_nothing_behind(table: MemoryTable) -> None:
    table.restore(plan_agreement(table.listing(), [plan("web-1", 8080, chain="NEW")]))

    assert table.chains == {
        "PREROUTING": [TO_LOCAL.replace("CHAIN", "NEW")],
        "INPUT": [],
        "OUTPUT": [FROM_HOST.replace("CHAIN", "NEW")],
        "POSTROUTING": [],
        "NEW": [rule("web-1", 8080)],
    }


def test_a_takeover_is_one_batch(table: MemoryTable) -> None:
    lines = plan_agreement(table.listing(), [plan("web-1"), plan("web-2", 8080)])

    assert lines == [
        f"-D CHAIN {rule('web-1', 8080)}",
        f"-I CHAIN {rule('web-2', 8080)}",
    ]


def test_a_chain_is_never_declared(table: MemoryTable) -> None:
    lines = [
        *plan_insertion(plan("web-2", 1), ["CHAIN"]),
        *plan_insertion(plan("web-2", 1), []),
        *plan_agreement(table.listing(), [plan("web-2", 1)]),
        *plan_agreement(table.listing(), [leaving("web-1")]),
    ]

    assert {line.split(" ")[0] for line in lines} == {"-C", "-N", "-A", "-I", "-D", "-X"}
