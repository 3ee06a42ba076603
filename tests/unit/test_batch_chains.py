"""Batches for the chains beside a network's own, and for the order of rules within one."""

import pytest

from mesos_cni_port_mapper.netfilter.batch import (
    find_chains_gone,
    plan_agreement,
    plan_insertion,
)
from mesos_cni_port_mapper.portmap.mapping import PortMapping
from mesos_cni_port_mapper.portmap.plan import plan_forwarding, plan_leaving
from mesos_cni_port_mapper.portmap.render import render_rule
from mesos_cni_port_mapper.portmap.rule import IPV4, IPV6, NAT, RAW, Plan
from tests.unit.memory_table import MemoryTable, RefusedError
from tests.unit.wishes import LO, SN, attachment, mapping, tag, wish

TO_LOCAL = "-m addrtype --dst-type LOCAL -j CHAIN"
COMMENT = f'-m comment --comment "{tag()}"'
FORWARD = f"-p tcp -m tcp --dport 8080 {COMMENT} -j DNAT --to-destination 192.0.2.2:80"
HIDE = f"-d 192.0.2.2/32 -m conntrack --ctstate DNAT {COMMENT} -j MASQUERADE"
FOREIGN = "-s 192.0.2.0/24 -j MASQUERADE"


def leaving(container_id: str = "web-1", family: int = IPV4, table: str = NAT) -> Plan:
    (plan,) = plan_leaving(attachment(container_id), "CHAIN", [(family, table)])
    return plan


@pytest.fixture
def plans() -> tuple[Plan, ...]:
    """Plan for every chain there is: raw, nat, and nat of IPv6."""
    addresses = ("192.0.2.2/24", "2001:db8::2/64")
    return plan_forwarding(
        wish("web-1", mapping(8080), addresses=addresses, snat=True, localhost=True)
    )


def test_the_guard_is_put_in_before_everything_that_arrives(plans: tuple[Plan, ...]) -> None:
    table = MemoryTable(RAW)
    table.restore(["-A PREROUTING -j ACCEPT"])

    table.restore(plan_insertion(plans[0], []))

    assert table.chains == {
        "PREROUTING": [f"-d 127.0.0.0/8 -j {LO}", "-j ACCEPT"],
        "OUTPUT": [],
        LO: [f"-d 127.0.0.0/8 ! -i lo {COMMENT} -j DROP"],
    }


def test_chains_beside_the_network_s_are_made_with_it(plans: tuple[Plan, ...]) -> None:
    table = MemoryTable()
    table.restore([f"-A POSTROUTING {FOREIGN}"])

    table.restore(plan_insertion(plans[1], []))

    assert table.chains == {
        "PREROUTING": [TO_LOCAL],
        "INPUT": [],
        "OUTPUT": [
            f"! -d 127.0.0.0/8 {TO_LOCAL}",
            f"-d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j {LO}",
        ],
        "POSTROUTING": [f"-j {SN}", FOREIGN],
        "CHAIN": [FORWARD],
        LO: [FORWARD],
        SN: [f"-s 192.0.2.0/24 {HIDE}", f"-s 127.0.0.0/8 {HIDE}"],
    }


def test_the_chains_of_ipv6_are_made_in_its_own_words(plans: tuple[Plan, ...]) -> None:
    table = MemoryTable(NAT, IPV6)

    table.restore(plan_insertion(plans[2], []))

    forward = FORWARD.replace("192.0.2.2", "[2001:db8::2]")
    hide = HIDE.replace("192.0.2.2/32", "2001:db8::2/128")
    assert table.chains == {
        "PREROUTING": [TO_LOCAL],
        "INPUT": [],
        "OUTPUT": [f"! -d ::1/128 {TO_LOCAL}"],
        "POSTROUTING": [f"-j {SN}"],
        "CHAIN": [forward],
        SN: [f"-s 2001:db8::/64 {hide}"],
    }


def test_an_insertion_makes_the_chains_that_are_not_there_and_expects_the_others(
    plans: tuple[Plan, ...],
) -> None:
    lines = plan_insertion(plans[1], ["CHAIN", SN])

    assert [line for line in lines if not line.startswith("-I CHAIN")] == [
        f"-C PREROUTING {TO_LOCAL}",
        f"-C OUTPUT ! -d 127.0.0.0/8 {TO_LOCAL}",
        f"-N {LO}",
        f"-A OUTPUT -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j {LO}",
        f"-I {LO} {FORWARD}",
        f"-C POSTROUTING -j {SN}",
        f"-I {SN} -s 127.0.0.0/8 {HIDE}",
        f"-I {SN} -s 192.0.2.0/24 {HIDE}",
    ]


@pytest.mark.parametrize("known", [[], ["CHAIN"], ["CHAIN", LO, SN]], ids=str)
def test_an_insertion_is_refused_where_other_chains_are_there(
    plans: tuple[Plan, ...], known: list[str]
) -> None:
    table = MemoryTable()
    table.restore(plan_insertion(plans[1], []))
    table.chains["OUTPUT"].pop()
    before = table.save()

    with pytest.raises(RefusedError):
        table.restore(plan_insertion(plans[1].but(tag="other"), known))

    assert table.save() == before


def test_agreement_mends_a_jump_that_must_be_first(plans: tuple[Plan, ...]) -> None:
    table = MemoryTable()
    table.restore(plan_insertion(plans[1], []))
    table.chains["POSTROUTING"] = [FOREIGN]

    assert plan_agreement(table.listing(), [plans[1]]) == [f"-I POSTROUTING -j {SN}"]


@pytest.mark.parametrize(
    ("number", "family", "name"), [(0, IPV4, RAW), (1, IPV4, NAT), (2, IPV6, NAT)]
)
def test_leaving_takes_every_chain_along_and_nothing_else(
    plans: tuple[Plan, ...], number: int, family: int, name: str
) -> None:
    table = MemoryTable(name, family)
    table.restore(["-A PREROUTING -j ACCEPT"])
    before = table.save()
    table.restore(plan_insertion(plans[number], []))

    lines = plan_agreement(table.listing(), [leaving(family=family, table=name)])
    table.restore(lines)

    assert table.save() == before
    assert find_chains_gone(table.listing(), [leaving(family=family, table=name)], lines) == sorted(
        chain.name for chain in leaving(family=family, table=name).chains
    )


def test_leaving_keeps_the_chains_that_others_use(plans: tuple[Plan, ...]) -> None:
    table = MemoryTable()
    table.restore(plan_insertion(plans[1], []))
    (other,) = plan_forwarding(wish("web-2", mapping(1), snat=True))
    table.restore(plan_insertion(other, ["CHAIN", SN]))

    lines = plan_agreement(table.listing(), [leaving()])

    assert [line for line in lines if not line.startswith("-D CHAIN")] == [
        f"-D {LO} {FORWARD}",
        f"-D {SN} -s 192.0.2.0/24 {HIDE}",
        f"-D {SN} -s 127.0.0.0/8 {HIDE}",
        f"-D OUTPUT -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j {LO}",
        f"-X {LO}",
    ]
    assert find_chains_gone(table.listing(), [leaving()], lines) == [LO]


def test_a_chain_in_use_is_not_gone_for_another_plan_that_leaves_it() -> None:
    (staying,) = plan_forwarding(wish("web-2", mapping(1)))
    lines = plan_agreement(MemoryTable().listing(), [leaving(), staying])

    assert find_chains_gone(MemoryTable().listing(), [leaving(), staying], lines) == [LO, SN]


def nat(container_id: str, *mappings: PortMapping) -> Plan:
    (plan,) = plan_forwarding(wish(container_id, *mappings))
    return plan


def ports_in(table: MemoryTable) -> list[tuple[str, str, str]]:
    """Return of each rule in the chain whose it is, its port, and its address or ""."""
    rules = [rule.split() for rule in table.chains["CHAIN"]]
    return [
        (
            words[words.index("container_id:") + 1]
            if "container_id:" in words
            else words[words.index('"container_id:') + 1],
            words[words.index("--dport") + 1],
            words[1] if words[0] == "-d" else "",
        )
        for words in rules
    ]


@pytest.fixture
def shared() -> MemoryTable:
    """Return a table in which a has ports of two addresses and b one of all."""
    table = MemoryTable()
    first = nat("a", mapping(1, host_address="198.51.100.1"), mapping(5))
    table.restore(plan_insertion(first, []))
    table.restore(plan_insertion(nat("b", mapping(3), mapping(4)), ["CHAIN"]))
    return table


def test_a_loser_s_other_rules_stay_where_they_are(shared: MemoryTable) -> None:
    lines = plan_agreement(shared.listing(), [nat("b", mapping(4)), nat("c", mapping(3))])

    assert [line.split(" ")[0] for line in lines] == ["-D", "-I"]
    shared.restore(lines)
    assert ports_in(shared) == [
        ("c", "3", ""),
        ("b", "4", ""),
        ("a", "1", "198.51.100.1/32"),
        ("a", "5", ""),
    ]


def test_rules_whose_order_was_lost_are_put_in_again(shared: MemoryTable) -> None:
    shared.chains["CHAIN"].reverse()
    first = nat("a", mapping(1, host_address="198.51.100.1"), mapping(5))

    shared.restore(plan_agreement(shared.listing(), [first]))

    assert ports_in(shared) == [
        ("a", "1", "198.51.100.1/32"),
        ("a", "5", ""),
        ("b", "4", ""),
        ("b", "3", ""),
    ]


def test_a_port_of_one_address_stays_before_the_same_of_all(shared: MemoryTable) -> None:
    newcomer = nat("c", mapping(1), mapping(5, host_address="198.51.100.2"))

    lines = plan_agreement(shared.listing(), [newcomer], [tag("a")])
    shared.restore(lines)

    # And nothing of a's comes to stand before it that is for all addresses.
    assert ports_in(shared) == [
        ("a", "1", "198.51.100.1/32"),
        ("c", "5", "198.51.100.2/32"),
        ("c", "1", ""),
        ("b", "3", ""),
        ("b", "4", ""),
        ("a", "5", ""),
    ]
    assert plan_agreement(shared.listing(), [newcomer], [tag("a")]) == []


def test_a_rule_that_stays_above_is_repeated_as_the_tool_printed_it(shared: MemoryTable) -> None:
    printed = shared.chains["CHAIN"][2].replace(" -p tcp", " -s 203.0.113.0/24 -p tcp")
    shared.chains["CHAIN"][2] = printed

    lines = plan_agreement(shared.listing(), [nat("c", mapping(1))], [tag("a")])

    assert lines[-2:] == [f"-D CHAIN {printed}", f"-I CHAIN {printed}"]


@pytest.mark.parametrize(
    "rule",
    [
        f"! -d 198.51.100.1/32 -p tcp -m tcp --dport 7 {COMMENT} -j RETURN",
        f"-p tcp -m tcp --dport 7 {COMMENT} -j RETURN",
        f"-d 198.51.100.1/32 {COMMENT} -j RETURN",
    ],
    ids=["all but one", "all", "no port"],
)
def test_only_a_port_of_one_address_stays_above(shared: MemoryTable, rule: str) -> None:
    shared.restore([f"-A CHAIN {rule}"])

    lines = plan_agreement(shared.listing(), [nat("c", mapping(7))], [tag()])

    assert lines == [f"-I CHAIN {render_rule(nat('c', mapping(7)).chains[0].rules[0])}"]
