"""Rules of others that take a port: told by the listing, where no record tells of them."""

import pytest

from mesos_cni_port_mapper.netfilter.foreign import refuse_taken, takes_port
from mesos_cni_port_mapper.netfilter.outcome import RulesUntouchedError
from mesos_cni_port_mapper.portmap.plan import plan_forwarding
from mesos_cni_port_mapper.portmap.rule import Rule
from mesos_cni_port_mapper.portmap.scope import scope_of
from tests.unit.memory_table import MemoryTable
from tests.unit.plans import FORWARD
from tests.unit.wishes import mapping, tag, wish

(PLAN,) = plan_forwarding(wish("web-1", mapping(8080)))
FOREIGN = "-p tcp -m tcp --dport 8080 -j DNAT --to-destination 203.0.113.9:80"
LOST = FOREIGN.replace(" -j", f' -m comment --comment "{tag("lost")}" -j')
RUN = FORWARD.but(port_count=3)
SPECIFIC = FORWARD.but(destination="198.51.100.1/32")


def refusal_of(rule: str, *known: str, strict: bool) -> tuple[int, str, str] | None:
    table = MemoryTable()
    table.restore(["-N DOCKER", f"-A DOCKER {rule}"])
    try:
        refuse_taken(table.listing(), PLAN, frozenset(known), strict=strict)
    except RulesUntouchedError as refusal:
        return refusal.code, refusal.msg, refusal.details
    return None


def test_a_foreign_rule_counts_where_it_is_said() -> None:
    assert refusal_of(FOREIGN, strict=True) == (
        105,
        "tcp 8080 is taken by a rule that is not ours",
        f"-A DOCKER {FOREIGN}",
    )
    assert refusal_of(FOREIGN, strict=False) is None


@pytest.mark.parametrize("strict", [True, False])
def test_a_rule_of_ours_without_a_record_counts_in_any_case(strict: bool) -> None:
    assert refusal_of(LOST, strict=strict) == (
        105,
        f"tcp 8080 is taken by {tag('lost')}",
        f"-A DOCKER {LOST}",
    )


def test_a_rule_of_which_a_record_tells_has_been_decided_about() -> None:
    assert refusal_of(LOST, tag("lost"), strict=True) is None


def test_a_rule_of_the_same_attachment_is_not_in_its_way() -> None:
    assert refusal_of(LOST.replace(tag("lost"), tag("web-1")), strict=True) is None


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        (FOREIGN, FORWARD),
        ("-p tcp -m tcp --dport 8000:8080 -j DNAT --to-destination 203.0.113.9", FORWARD),
        ("-p tcp -m tcp --dport 8082:9000 -j REDIRECT --to-ports 80", RUN),
        ("-p tcp -m multiport --dports 22,8081 -j DNAT --to-destination 203.0.113.9", RUN),
        ("-p tcp -m multiport --dports 22,8000:8090 -j REDIRECT", FORWARD),
        ("-j REDIRECT", FORWARD),
        ("-p tcp -m tcp ! --dport 22 -j REDIRECT", FORWARD),
        ("-p tcp -m mark --mark 0x1 -j REDIRECT", FORWARD),
        ('-p tcp -m tcp --dport 8080 -m comment --comment "-d" -j REDIRECT', FORWARD),
        ("! -i docker0 " + FOREIGN, FORWARD),
        ("-d 198.51.100.1/32 " + FOREIGN, FORWARD),
        ("-d 198.51.100.1/32 " + FOREIGN, SPECIFIC),
        ("! -d 198.51.100.9/32 " + FOREIGN, SPECIFIC),
        (FOREIGN, SPECIFIC),
    ],
)
def test_a_port_is_taken_by(rule: str, wanted: Rule) -> None:
    assert takes_port(scope_of(rule), wanted)


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        (FOREIGN.replace("tcp", "udp"), FORWARD),
        (FOREIGN.replace("8080", "8079"), FORWARD),
        (FOREIGN.replace("8080", "8083"), RUN),
        ("-p tcp -m tcp --dport 8080 -j ACCEPT", FORWARD),
        ("-p tcp -m tcp --dport 8080", FORWARD),
        ("-p tcp -m multiport --dports 22,80 -j REDIRECT", FORWARD),
        ("-d 198.51.100.2/32 " + FOREIGN, SPECIFIC),
    ],
)
def test_a_port_is_not_taken_by(rule: str, wanted: Rule) -> None:
    assert not takes_port(scope_of(rule), wanted)


@pytest.mark.parametrize(
    ("rule", "wanted", "taken"),
    [
        (FOREIGN, FORWARD, True),
        ("-d 198.51.100.1/32 " + FOREIGN, SPECIFIC, True),
        (FOREIGN, SPECIFIC, False),
        ("-d 198.51.100.1/32 " + FOREIGN, FORWARD, False),
    ],
)
def test_rules_of_ours_for_one_address_and_for_all_go_together(
    rule: str, wanted: Rule, taken: bool
) -> None:
    assert takes_port(scope_of(rule), wanted, exactly=True) == taken
