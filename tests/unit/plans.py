"""Plans for web-1, put together by hand, for those of the planner to be compared with."""

from mesos_cni_port_mapper.portmap.plan import entries_into
from mesos_cni_port_mapper.portmap.rule import IPV4, NAT, Chain, Dnat, Plan, Return, Rule
from tests.unit.wishes import LO, SN, tag

FORWARD = Rule(
    target=Dnat(address="192.0.2.2", first_port=80, count=1, matched_from=8080),
    protocol="tcp",
    host_port=8080,
    tag=tag(),
)
"""TCP port 8080 to port 80 of the container."""

FORWARD_V6 = FORWARD.but(
    target=Dnat(address="2001:db8::2", first_port=80, count=1, matched_from=8080)
)
DUAL = ("192.0.2.2/24", "2001:db8::2/64")


def guard(device: str) -> Rule:
    return FORWARD.but(target=Return(), in_device=device)


def plan(*rules: Rule, family: int = IPV4) -> Plan:
    """Return a plan of rules in the network's chain."""
    return plan_of(family, CHAIN=rules)


def plan_of(family: int = IPV4, table: str = NAT, **chains: tuple[Rule, ...]) -> Plan:
    """Return a plan of chains: CHAIN, LO and SN."""
    names = {"CHAIN": "CHAIN", "LO": LO, "SN": SN}
    return Plan(
        family=family,
        table=table,
        tag=tag(),
        chains=tuple(
            Chain(name=names[key], rules=rules, entries=entries_into(names[key], family, table))
            for key, rules in chains.items()
        ),
    )
