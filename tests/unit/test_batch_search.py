"""A search for a state of the table from which agreement does not lead where it should."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mesos_cni_port_mapper.netfilter.batch import (
    plan_agreement,
    plan_first_insertion,
    plan_insertion,
)
from mesos_cni_port_mapper.portmap.attachment import Attachment
from mesos_cni_port_mapper.portmap.mapping import PortMapping
from mesos_cni_port_mapper.portmap.plan import plan_forwarding, plan_jumps, plan_leaving
from mesos_cni_port_mapper.portmap.render import render_rule
from mesos_cni_port_mapper.portmap.rule import Plan
from tests.unit.nat_table import BUILT_IN, NatTable, RefusedError, comment_of, target_of

CHAINS = ("NET-A", "NET-B")
ATTACHMENTS = [
    Attachment(network="net", container_id=container_id, ifname="eth0")
    for container_id in ("web-1", "web-10", "web")
]
MAPPINGS = st.lists(
    st.builds(
        PortMapping,
        protocol=st.sampled_from(["tcp", "udp"]),
        host_port=st.integers(1, 4),
        container_port=st.integers(1, 4),
    ),
    unique_by=lambda item: (item.protocol, item.host_port),
    max_size=3,
)
PLANS = st.builds(
    plan_forwarding,
    st.sampled_from(ATTACHMENTS),
    st.sampled_from(CHAINS),
    MAPPINGS,
    st.sampled_from([(), ("cni0",), ("cni0", "cni1")]),
    st.sampled_from(["192.0.2.2", "192.0.2.3"]),
) | st.builds(plan_leaving, st.sampled_from(ATTACHMENTS), st.sampled_from(CHAINS))

TAG = "container_id: web-1 network: net ifname: eth0"
FOREIGN = [
    "-p tcp -m tcp --dport 1 -j ACCEPT",
    f'-m comment --comment "not {TAG}" -j RETURN',
    f'-m comment --comment "--comment \\"{TAG}\\"" -j RETURN',
    '-m comment --comment "-j NET-A" -j LOG',
    '-m comment --comment "container_id: web-2" -j RETURN',
]
FOREIGN_JUMPS = ["-j {}", "-g {}", "-i eth1 -m addrtype --dst-type LOCAL -j {}"]


def jumps_to(chain: str) -> list[tuple[str, str]]:
    return [(built_in, render_rule(jump)) for built_in, jump in plan_jumps(chain)]


OURS = {jump for chain in CHAINS for jump in jumps_to(chain)}


class Agreement(RuleBasedStateMachine):
    """Plans are applied while others change the table between them."""

    def __init__(self) -> None:
        super().__init__()
        self.table = NatTable()

    @initialize(plan=PLANS.filter(lambda plan: bool(plan.rules)))
    def begin(self, plan: Plan) -> None:
        self.table.restore(plan_first_insertion(plan))

    @rule(plans=st.lists(PLANS, min_size=1, max_size=3, unique_by=lambda plan: plan.tag))
    def apply(self, plans: list[Plan]) -> None:
        foreign = self.foreign(plans)
        agreed = {plan.tag for plan in plans if self.rules_of(plan) == wanted(plan)}
        touched = {chain for plan in plans for chain, _ in self.rules_of(plan)}
        touched |= {plan.chain for plan in plans}

        self.table.restore(plan_agreement(self.table.listing(), plans))

        for plan in plans:
            assert self.rules_of(plan) == wanted(plan)
            if plan.rules:
                assert all(self.jumps().count(jump) == 1 for jump in jumps_to(plan.chain))
        last = plans[-1]
        if last.tag not in agreed and last.rules:
            head = self.table.chains[last.chain][: len(last.rules)]
            assert [(last.chain, text) for text in head] == wanted(last)
        assert self.foreign(plans) == foreign
        for chain in touched & set(self.table.chains) - set(BUILT_IN):
            leading = set(self.table.leading_to(chain))
            assert self.table.chains[chain] or leading - set(jumps_to(chain))
        assert plan_agreement(self.table.listing(), plans) == []

    @rule(plan=PLANS.filter(lambda plan: bool(plan.rules)), first=st.booleans())
    def insert(self, plan: Plan, first: bool) -> None:
        before = self.rules_of(plan)
        try:
            self.table.restore((plan_first_insertion if first else plan_insertion)(plan))
        except RefusedError:
            exists = plan.chain in self.table.chains
            assert exists if first else not set(jumps_to(plan.chain)) <= set(self.jumps())
            return
        assert self.rules_of(plan)[: len(plan.rules)] == wanted(plan) or before

    @rule(text=st.sampled_from(FOREIGN), where=st.integers(0, 9))
    def add_a_foreign_rule(self, text: str, where: int) -> None:
        chains = [chain for chain in self.table.chains if chain not in ("INPUT", "POSTROUTING")]
        rules = self.table.chains[chains[where % len(chains)]]
        rules.insert(where % (len(rules) + 1), text)

    @precondition(lambda self: bool(set(CHAINS) & set(self.table.chains)))
    @rule(text=st.sampled_from(FOREIGN_JUMPS), where=st.integers(0, 7))
    def add_a_foreign_jump(self, text: str, where: int) -> None:
        chains = [chain for chain in CHAINS if chain in self.table.chains]
        self.table.chains[BUILT_IN[where % 4]].append(text.format(chains[where % len(chains)]))

    @rule(
        chain=st.sampled_from(["PREROUTING", "OUTPUT"]),
        where=st.integers(0, 9),
        double=st.booleans(),
    )
    def double_or_lose_a_rule(self, chain: str, where: int, double: bool) -> None:
        rules = self.table.chains[chain]
        if rules and double:
            rules.insert(where % len(rules), rules[where % len(rules)])
        elif rules:
            del rules[where % len(rules)]

    @precondition(lambda self: bool(set(CHAINS) & set(self.table.chains)))
    @rule(where=st.integers(0, 9), action=st.sampled_from(["lose", "double", "swap", "flush"]))
    def meddle_with_a_chain(self, where: int, action: str) -> None:
        chains = [chain for chain in CHAINS if chain in self.table.chains]
        rules = self.table.chains[chains[where % len(chains)]]
        if action == "flush" or not rules:
            rules.clear()
        elif action == "lose":
            del rules[where % len(rules)]
        elif action == "double":
            rules.append(rules[where % len(rules)])
        else:
            rules.append(rules.pop(0))

    @precondition(lambda self: bool(set(CHAINS) & set(self.table.chains)))
    @rule(attachment=st.sampled_from(ATTACHMENTS), where=st.integers(0, 9))
    def add_a_rule_of_the_original(self, attachment: Attachment, where: int) -> None:
        chains = [chain for chain in CHAINS if chain in self.table.chains]
        rules = self.table.chains[chains[where % len(chains)]]
        comment = f"container_id: {attachment.container_id}"
        text = f'-i cni0 -m comment --comment "{comment}" -j RETURN'
        rules.insert(where % (len(rules) + 1), text)

    @invariant()
    def every_jump_leads_somewhere(self) -> None:
        targets = {target_of(text) for rules in self.table.chains.values() for text in rules}
        assert targets & set(CHAINS) <= set(self.table.chains)

    def jumps(self) -> list[tuple[str, str]]:
        return [(chain, text) for chain in BUILT_IN for text in self.table.chains[chain]]

    def rules_of(self, plan: Plan) -> list[tuple[str, str]]:
        return [
            (chain, text)
            for chain, rules in self.table.chains.items()
            for text in rules
            if comment_of(text)
            in ((plan.tag, *plan.old_tags) if chain == plan.chain else [plan.tag])
        ]

    def foreign(self, plans: list[Plan]) -> dict[str, list[str]]:
        """Return what no plan is about, and no jump of ours, by chain where there is any."""
        own = {place for plan in plans for place in self.rules_of(plan)} | OURS
        kept = {
            chain: [text for text in rules if (chain, text) not in own]
            for chain, rules in self.table.chains.items()
        }
        return {chain: rules for chain, rules in kept.items() if rules}


def wanted(plan: Plan) -> list[tuple[str, str]]:
    return [(plan.chain, render_rule(rule)) for rule in plan.rules]


Agreement.TestCase.settings = settings(max_examples=80, stateful_step_count=15)
TestAgreement = Agreement.TestCase
