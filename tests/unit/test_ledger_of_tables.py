"""The state directory: which chains exist in which tables, and who needs loopback let out."""

from pathlib import Path

import pytest

from mesos_cni_port_mapper.netfilter.ledger import Ledger
from mesos_cni_port_mapper.portmap.plan import plan_forwarding, plan_leaving
from mesos_cni_port_mapper.portmap.rule import IPV4, IPV6, NAT, RAW, Plan
from tests.unit.wishes import LO, SN, attachment, mapping, wish


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(directory=f"{tmp_path}/state")
    ledger.prepare()
    return ledger


def plan_of_table(family: int, table: str) -> Plan:
    plans = plan_forwarding(
        wish(
            "web",
            mapping(8080),
            addresses=("192.0.2.2/24", "2001:db8::2/64"),
            snat=True,
            localhost=True,
        )
    )
    (plan,) = [plan for plan in plans if (plan.family, plan.table) == (family, table)]
    return plan


def test_chains_are_known_until_they_are_forgotten(ledger: Ledger) -> None:
    plan = plan_of_table(IPV4, NAT)
    told = [ledger.known_chains(plan)]

    for _ in range(2):
        ledger.note_chains(plan)
        told.append(ledger.known_chains(plan))
    for _ in range(2):
        ledger.forget_chains(plan, [LO, SN])
        told.append(ledger.known_chains(plan))

    assert told == [[], ["CHAIN", LO, SN], ["CHAIN", LO, SN], ["CHAIN"], ["CHAIN"]]


def test_a_chain_is_known_in_its_own_table_and_family_only(ledger: Ledger) -> None:
    ledger.note_chains(plan_of_table(IPV4, RAW))

    assert ledger.known_chains(plan_of_table(IPV4, NAT)) == []
    assert ledger.known_chains(plan_of_table(IPV6, NAT)) == []
    assert ledger.known_chains(plan_of_table(IPV4, RAW)) == [LO]


def test_a_chain_without_rules_is_not_noted(ledger: Ledger) -> None:
    (plan,) = plan_leaving(attachment("web"), "CHAIN", [(IPV4, NAT)])

    ledger.note_chains(plan)

    assert ledger.known_chains(plan) == []


def test_loopback_is_kept_in_when_the_last_one_leaves(ledger: Ledger) -> None:
    ledger.join("loopback-cni0", attachment("web"))
    ledger.join("loopback-cni0", attachment("web"))
    ledger.join("loopback-cni0", attachment("other"))
    ledger.join("loopback-cni1", attachment("web"))

    assert [
        ledger.leave("loopback-cni0", attachment("web")),
        ledger.leave("loopback-cni0", attachment("web")),
        ledger.leave("loopback-cni0", attachment("other")),
        ledger.leave("loopback-cni0", attachment("other")),
        ledger.leave("loopback-cni1", attachment("web")),
    ] == [False, False, True, True, True]
