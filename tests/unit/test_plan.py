"""Which rules should exist: whole plans, compared as values."""

import pytest

from mesos_cni_port_mapper.portmap.attachment import Attachment
from mesos_cni_port_mapper.portmap.mapping import PortMapping
from mesos_cni_port_mapper.portmap.plan import plan_forwarding, plan_jumps, plan_leaving
from mesos_cni_port_mapper.portmap.rule import IPV4, Dnat, Jump, Plan, Return, Rule

ATTACHMENT = Attachment(network="net", container_id="web-1", ifname="eth0")
TAG = "container_id: web-1 network: net ifname: eth0"
ADDRESS = "192.0.2.2"
JUMPS = (
    ("PREROUTING", Rule(target=Jump(chain="CHAIN"), to_local_address=True)),
    (
        "OUTPUT",
        Rule(target=Jump(chain="CHAIN"), not_destination="127.0.0.0/8", to_local_address=True),
    ),
)
FORWARD = Rule(
    target=Dnat(address=ADDRESS, first_port=80, count=1, matched_from=8080),
    protocol="tcp",
    host_port=8080,
    tag=TAG,
)


def mapping(host_port: int, container_port: int, protocol: str = "tcp") -> PortMapping:
    return PortMapping(protocol=protocol, host_port=host_port, container_port=container_port)


def plan(*rules: Rule) -> Plan:
    return Plan(family=IPV4, chain="CHAIN", tag=TAG, rules=rules, jumps=JUMPS)


def guard(device: str) -> Rule:
    return FORWARD.but(target=Return(), in_device=device)


@pytest.mark.parametrize(
    ("devices", "rules"),
    [
        pytest.param([], [FORWARD], id="no device"),
        pytest.param(["cni0"], [FORWARD.but(not_in_device="cni0")], id="one device"),
        pytest.param(["a", "b+"], [guard("a"), guard("b+"), FORWARD], id="two devices"),
        pytest.param(
            list("abcde"), [*[guard(device) for device in "abcde"], FORWARD], id="five devices"
        ),
    ],
)
def test_a_mapping_excludes(devices: list[str], rules: list[Rule]) -> None:
    assert plan_forwarding(ATTACHMENT, "CHAIN", [mapping(8080, 80)], devices, ADDRESS) == plan(
        *rules
    )


def test_guards_stand_before_each_mapping_and_repeat_its_matches() -> None:
    mappings = [mapping(8080, 80), mapping(53, 53, "udp")]
    other = Rule(
        target=Dnat(address=ADDRESS, first_port=53, count=1, matched_from=53),
        protocol="udp",
        host_port=53,
        tag=TAG,
    )

    assert plan_forwarding(ATTACHMENT, "CHAIN", mappings, ["a", "b"], ADDRESS) == plan(
        guard("a"),
        guard("b"),
        FORWARD,
        other.but(target=Return(), in_device="a"),
        other.but(target=Return(), in_device="b"),
        other,
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
    assert plan_forwarding(ATTACHMENT, "CHAIN", mappings, [], ADDRESS) == plan(
        Rule(target=target, protocol="tcp", host_port=host_port, port_count=target.count, tag=TAG)
    )


def test_a_mapping_of_one_host_address_matches_it() -> None:
    mappings = [mapping(8080, 80).but(host_address="198.51.100.1")]

    assert plan_forwarding(ATTACHMENT, "CHAIN", mappings, [], ADDRESS) == plan(
        FORWARD.but(destination="198.51.100.1")
    )


def test_no_mappings_are_no_rules() -> None:
    assert plan_forwarding(ATTACHMENT, "CHAIN", [], ["a", "b"], ADDRESS) == plan()


def test_leaving_is_a_plan_without_rules_that_knows_the_original_s_tag() -> None:
    assert plan_leaving(ATTACHMENT, "CHAIN") == Plan(
        family=IPV4, chain="CHAIN", tag=TAG, jumps=JUMPS, old_tags=("container_id: web-1",)
    )


def test_leaving_knows_no_tag_that_the_original_would_have_cut() -> None:
    long = ATTACHMENT.but(container_id="c" * 300)

    assert plan_leaving(long, "CHAIN").old_tags == ()


def test_the_jumps_are_for_the_host_s_own_addresses_and_never_for_loopback() -> None:
    assert plan_jumps("CHAIN") == JUMPS
