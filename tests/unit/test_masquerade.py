"""Whose address is hidden, and who marks what is to be hidden."""

import pytest

from mesos_cni_port_mapper.portmap.masquerade import (
    chain_name,
    entries_into,
    loopback_marks_of,
    marks_of,
    rules_of,
)
from mesos_cni_port_mapper.portmap.rule import Dnat, Entry, Jump, Mark, Masquerade, Rule
from mesos_cni_port_mapper.portmap.traffic import Traffic
from tests.unit.wishes import SN, tag

ADDRESS = "192.0.2.2/32"
NETWORK = "192.0.2.0/24"
LOOPBACK = "127.0.0.0/8"
HIDE = Rule(target=Masquerade(), destination=ADDRESS, translated=True, tag=tag())
HIDE_MARKED = Rule(target=Masquerade(), destination=ADDRESS, marked=0x2000, tag=tag())
FORWARD = Rule(
    target=Dnat(address="192.0.2.2", first_port=80, matched_from=8080),
    destination="198.51.100.1/32",
    protocol="tcp",
    host_port=8080,
    conditions=("-f",),
    tag=tag(),
)


def test_the_chain_has_a_name_of_its_own_for_each_network() -> None:
    assert chain_name("CHAIN") == SN
    assert chain_name("CHAIN2") != SN
    assert len(chain_name("C" * 28)) <= 28


def test_it_is_entered_before_anybody_accepts_what_stays_in_a_subnet() -> None:
    assert entries_into(SN) == (
        Entry(built_in="POSTROUTING", rule=Rule(target=Jump(chain=SN)), first=True),
    )


@pytest.mark.parametrize(
    ("traffic", "at_loopback", "rules"),
    [
        pytest.param(Traffic(), False, (), id="nothing is asked for"),
        pytest.param(
            Traffic(snat=True), False, (HIDE.but(source=NETWORK),), id="the container's subnet"
        ),
        pytest.param(
            Traffic(), True, (HIDE.but(source=LOOPBACK),), id="loopback also without snat"
        ),
        pytest.param(
            Traffic(snat=True),
            True,
            (HIDE.but(source=NETWORK), HIDE.but(source=LOOPBACK)),
            id="both",
        ),
        pytest.param(Traffic(masquerade_all=True), False, (HIDE,), id="everybody"),
        pytest.param(Traffic(masquerade_all=True, snat=True), True, (HIDE,), id="everybody, once"),
        pytest.param(Traffic(mark=0x2000), False, (), id="a mark that nothing is given"),
        pytest.param(Traffic(mark=0x2000, snat=True), True, (HIDE_MARKED,), id="what is marked"),
        pytest.param(Traffic(mark=0x2000), True, (HIDE_MARKED,), id="loopback, marked"),
        pytest.param(
            Traffic(mark_chain="KUBE-MARK-MASQ", snat=True), True, (), id="another's task"
        ),
    ],
)
def test_these_sources_are_hidden(
    traffic: Traffic, at_loopback: bool, rules: tuple[Rule, ...]
) -> None:
    assert rules_of(traffic, ADDRESS, NETWORK, at_loopback, tag()) == rules


MARK = FORWARD.but(target=Mark(bits=0x2000))
TO_CHAIN = FORWARD.but(target=Jump(chain="KUBE-MARK-MASQ"))


@pytest.mark.parametrize(
    ("traffic", "network", "marks"),
    [
        pytest.param(Traffic(snat=True), NETWORK, [], id="no mark is asked for"),
        pytest.param(Traffic(mark=0x2000), NETWORK, [], id="nothing is to be hidden"),
        pytest.param(
            Traffic(mark=0x2000, snat=True),
            NETWORK,
            [MARK.but(source=NETWORK)],
            id="the container's subnet",
        ),
        pytest.param(
            Traffic(mark=0x2000, masquerade_all=True, snat=True), NETWORK, [MARK], id="everybody"
        ),
        pytest.param(
            Traffic(mark_chain="KUBE-MARK-MASQ", snat=True),
            NETWORK,
            [TO_CHAIN.but(source=NETWORK)],
            id="another chain marks",
        ),
        pytest.param(Traffic(mark=0x2000), LOOPBACK, [], id="a container in such a network"),
    ],
)
def test_a_mark_repeats_every_match_of_the_mapping(
    traffic: Traffic, network: str, marks: list[Rule]
) -> None:
    assert marks_of(traffic, FORWARD, network) == marks


@pytest.mark.parametrize(
    ("traffic", "marks"),
    [
        pytest.param(Traffic(), [], id="no marks"),
        pytest.param(Traffic(mark=0x2000), [MARK.but(source=LOOPBACK)], id="without snat"),
        pytest.param(
            Traffic(mark_chain="KUBE-MARK-MASQ", masquerade_all=True),
            [TO_CHAIN.but(source=LOOPBACK)],
            id="by another chain",
        ),
    ],
)
def test_all_that_comes_by_loopback_is_marked(traffic: Traffic, marks: list[Rule]) -> None:
    assert loopback_marks_of(traffic, FORWARD) == marks
