"""What CHECK finds: every difference between a table and a plan, and none where there is none."""

import pytest

from mesos_cni_port_mapper.netfilter.batch import plan_insertion
from mesos_cni_port_mapper.netfilter.differences import name_differences
from mesos_cni_port_mapper.portmap.plan import plan_forwarding
from tests.unit.memory_table import MemoryTable
from tests.unit.wishes import mapping, wish

(PLAN,) = plan_forwarding(wish("web-1", mapping(8080), mapping(53, 53, "udp")))
COMMENT = '-m comment --comment "container_id: web-1 network: net ifname: eth0"'
TCP = f"-p tcp -m tcp --dport 8080 {COMMENT} -j DNAT --to-destination 192.0.2.2:80"
UDP = f"-p udp -m udp --dport 53 {COMMENT} -j DNAT --to-destination 192.0.2.2:53"
TO_LOCAL = "-m addrtype --dst-type LOCAL -j CHAIN"
FROM_HOST = f"! -d 127.0.0.0/8 {TO_LOCAL}"


@pytest.fixture
def table() -> MemoryTable:
    """Return a table that is as the plan has it."""
    table = MemoryTable()
    table.restore(plan_insertion(PLAN, []))
    return table


def differences(table: MemoryTable) -> list[str]:
    return name_differences(table.listing(), PLAN)


def test_a_table_that_agrees_has_none(table: MemoryTable) -> None:
    assert differences(table) == []


def test_rules_of_others_are_none(table: MemoryTable) -> None:
    table.restore(
        [
            "-A PREROUTING -p tcp -m tcp --dport 8080 -j ACCEPT",
            "-I CHAIN -p tcp -m tcp --dport 8081 -j ACCEPT",
            "-A CHAIN -p tcp -m tcp --dport 8080 -j ACCEPT",
        ]
    )

    assert differences(table) == []


def test_another_order_of_options_is_none(table: MemoryTable) -> None:
    table.chains["CHAIN"][0] = f"{COMMENT} {TCP.replace(f' {COMMENT}', '')}"

    assert differences(table) == []


def test_a_rule_is_missing(table: MemoryTable) -> None:
    table.chains["CHAIN"].remove(TCP)

    assert differences(table) == [f"missing: -A CHAIN {TCP}"]


def test_a_rule_leads_elsewhere(table: MemoryTable) -> None:
    table.chains["CHAIN"][0] = TCP.replace("192.0.2.2", "192.0.2.3")

    assert differences(table) == [
        f"missing: -A CHAIN {TCP}",
        f"unexpected: -A CHAIN {TCP.replace('192.0.2.2', '192.0.2.3')}",
    ]


def test_a_rule_of_the_tag_is_unexpected(table: MemoryTable) -> None:
    table.restore([f"-A CHAIN -p sctp {COMMENT} -j RETURN"])

    assert differences(table) == [f"unexpected: -A CHAIN -p sctp {COMMENT} -j RETURN"]


def test_a_rule_is_there_twice(table: MemoryTable) -> None:
    table.restore([f"-A CHAIN {UDP}"])

    assert differences(table) == [f"2 times instead of once: -A CHAIN {UDP}"]


def test_rules_are_out_of_order(table: MemoryTable) -> None:
    table.chains["CHAIN"].reverse()

    assert differences(table) == [f"out of order in CHAIN: {UDP}; {TCP}"]


@pytest.mark.parametrize(("built_in", "jump"), [("PREROUTING", TO_LOCAL), ("OUTPUT", FROM_HOST)])
def test_a_jump_is_missing(table: MemoryTable, built_in: str, jump: str) -> None:
    table.chains[built_in].clear()

    assert differences(table) == [f"0 times instead of once: -A {built_in} {jump}"]


def test_a_jump_is_there_twice(table: MemoryTable) -> None:
    table.restore([f"-A PREROUTING {TO_LOCAL}"])

    assert differences(table) == [f"2 times instead of once: -A PREROUTING {TO_LOCAL}"]


def test_a_missing_jump_does_not_hide_the_order(table: MemoryTable) -> None:
    table.chains["OUTPUT"].clear()
    table.chains["CHAIN"].reverse()

    assert differences(table) == [
        f"0 times instead of once: -A OUTPUT {FROM_HOST}",
        f"out of order in CHAIN: {UDP}; {TCP}",
    ]


def test_nothing_is_there_at_all() -> None:
    assert differences(MemoryTable()) == [
        f"0 times instead of once: -A PREROUTING {TO_LOCAL}",
        f"0 times instead of once: -A OUTPUT {FROM_HOST}",
        f"missing: -A CHAIN {TCP}",
        f"missing: -A CHAIN {UDP}",
    ]


@pytest.mark.parametrize(
    "other",
    [
        "-p tcp -m tcp --dport 8080 -j ACCEPT",
        "-p tcp -m tcp --dport 8000:8080 -j RETURN",
        "-p tcp -m tcp --dport 8080:9000 -j DNAT --to-destination 192.0.2.9:1-921/8080",
        "-p tcp -j REDIRECT --to-ports 1",
        "! -i cni0 -p tcp -m tcp --dport 8080 -j RETURN",
        "-j RETURN",
        '-m comment --comment "-i cni0" -j DROP',
        "-m comment --comment -s -j DROP",
        "-p tcp -m multiport --dports 22,8000:8090 -j ACCEPT",
        '-p tcp -m tcp --dport 8080 -m comment --comment "container_id: web-2" '
        "-j DNAT --to-destination 192.0.2.9:80",
    ],
)
def test_a_rule_is_shadowed_by(table: MemoryTable, other: str) -> None:
    table.chains["CHAIN"].insert(0, other)

    found = [line for line in differences(table) if line.endswith(other)]
    assert found == [f"shadowed by: -A CHAIN {other}"]


@pytest.mark.parametrize(
    "other",
    [
        "-p tcp -m tcp --dport 8079 -j ACCEPT",
        "-p tcp -m tcp --dport 8081:9000 -j ACCEPT",
        "-p udp -m udp --dport 8080 -j ACCEPT",
        "-p sctp -j ACCEPT",
        "-d 198.51.100.1/32 -p tcp -m tcp --dport 8080 -j ACCEPT",
        "! -d 198.51.100.1/32 -p tcp -m tcp --dport 8080 -j ACCEPT",
        "-s 198.51.100.0/24 -j ACCEPT",
        "-i cni0 -p tcp -m tcp --dport 8080 -j RETURN",
        "-o cni0 -j RETURN",
        "! -o cni0 -j RETURN",
        "! -i cni0 -s 198.51.100.1/32 -j RETURN",
        "-p tcp -m tcp --sport 1 --dport 8080 -j ACCEPT",
        "-p tcp -m tcp ! --dport 22 -j ACCEPT",
        "-p tcp -m tcp --dport 8080 -m mark --mark 0x1 -j ACCEPT",
        "-p tcp -m multiport --dports 8080,22 -m mark --mark 0x1 -j ACCEPT",
        "-p tcp -m multiport --dports 22,8081 -j ACCEPT",
        "-p tcp -m multiport ! --dports 22,8081 -j ACCEPT",
        "-p tcp -m socket -j ACCEPT",
        "! -p udp -j ACCEPT",
        "-p tcp -m tcp --dport 8080 -j LOG --log-prefix x",
        "-m statistic --mode random --probability 0.5 -j ACCEPT",
        "-j MARK --set-xmark 0x1/0x1",
        "-p tcp -m tcp --dport 8080",
        "-j OTHER",
    ],
)
def test_a_rule_is_not_shadowed_by(table: MemoryTable, other: str) -> None:
    table.chains["CHAIN"].insert(0, other)

    assert differences(table) == []


def test_a_rule_is_not_shadowed_by_what_stands_behind_it(table: MemoryTable) -> None:
    table.chains["CHAIN"].insert(1, "-p tcp -j ACCEPT")

    assert differences(table) == []


def test_a_run_is_shadowed_in_part(table: MemoryTable) -> None:
    (plan,) = plan_forwarding(wish("web-1", *[mapping(port, port) for port in range(80, 90)]))
    table = MemoryTable()
    table.restore(plan_insertion(plan, []))
    shadow = "-p tcp -m tcp --dport 89 -j ACCEPT"
    table.chains["CHAIN"].insert(0, shadow)

    assert name_differences(table.listing(), plan) == [f"shadowed by: -A CHAIN {shadow}"]


SPECIFIC = "198.51.100.1"


def specific_differences(shadow: str) -> list[str]:
    """Return what is found where a rule stands before a mapping of one host address."""
    (plan,) = plan_forwarding(wish("web-1", mapping(8080, host_address=SPECIFIC)))
    table = MemoryTable()
    table.restore(plan_insertion(plan, []))
    table.chains["CHAIN"].insert(0, shadow)
    return name_differences(table.listing(), plan)


@pytest.mark.parametrize(
    "shadow",
    [
        f"-d {SPECIFIC}/32 -p tcp -m tcp --dport 8080 -j RETURN",
        f"-d {SPECIFIC}/32 -j RETURN",
        f"-d {SPECIFIC}/32 ! -i cni0 -p tcp -m tcp --dport 8080 -j RETURN",
        "-p tcp -m tcp --dport 8080 -j RETURN",
    ],
)
def test_a_mapping_of_one_address_is_shadowed_by(shadow: str) -> None:
    assert specific_differences(shadow) == [f"shadowed by: -A CHAIN {shadow}"]


@pytest.mark.parametrize(
    "shadow",
    [
        "-d 198.51.100.2/32 -p tcp -m tcp --dport 8080 -j RETURN",
        f"! -d {SPECIFIC}/32 -p tcp -m tcp --dport 8080 -j RETURN",
    ],
)
def test_a_mapping_of_one_address_is_not_shadowed_by(shadow: str) -> None:
    assert specific_differences(shadow) == []


def conditional_differences(*given: str, printed: str) -> list[str]:
    """Return what is found where the tool prints conditions in its own way."""
    (plan,) = plan_forwarding(wish("web-1", mapping(8080), conditions_v4=given))
    table = MemoryTable()
    table.restore(plan_insertion(plan, []))
    table.chains["CHAIN"][:] = [f"{printed}{TCP}"]
    return name_differences(table.listing(), plan)


@pytest.mark.parametrize("printed", ["-s 192.0.2.0/24 ", "-s 192.0.2.0/255.255.255.0 "])
def test_conditions_are_told_in_the_tool_s_words(printed: str) -> None:
    assert conditional_differences("--src", "192.0.2.0/24", printed=printed) == []


def test_conditions_are_missing() -> None:
    wanted = TCP.replace(f" {COMMENT}", f" -s 192.0.2.0/24 {COMMENT}")

    assert conditional_differences("-s", "192.0.2.0/24", printed="") == [
        f"missing: -A CHAIN {wanted}",
        f"unexpected: -A CHAIN {TCP}",
    ]
