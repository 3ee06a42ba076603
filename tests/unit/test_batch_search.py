"""A search for a state of a table from which agreement does not lead where it should."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mesos_cni_port_mapper.netfilter.batch import plan_agreement, plan_insertion
from mesos_cni_port_mapper.portmap.attachment import Attachment, tag_of
from mesos_cni_port_mapper.portmap.loopback import chain_name as loopback_chain
from mesos_cni_port_mapper.portmap.mapping import PortMapping
from mesos_cni_port_mapper.portmap.masquerade import chain_name as masquerade_chain
from mesos_cni_port_mapper.portmap.plan import (
    Wish,
    endpoints_of,
    entries_into,
    plan_leaving,
    plan_tables,
)
from mesos_cni_port_mapper.portmap.render import render_rule
from mesos_cni_port_mapper.portmap.rule import IPV4, NAT, RAW, Plan
from mesos_cni_port_mapper.portmap.traffic import Traffic
from tests.unit.memory_table import MemoryTable, RefusedError, comment_of, target_of

NETWORKS = ("NET-A", "NET-B")
CHAINS = tuple(
    name for chain in NETWORKS for name in (chain, loopback_chain(chain), masquerade_chain(chain))
)
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
        host_address=st.sampled_from(["", "198.51.100.1", "127.0.0.1"]),
    ),
    unique_by=lambda item: (item.protocol, item.host_port, item.host_address),
    max_size=3,
).map(tuple)
WISHES = st.builds(
    Wish,
    attachment=st.sampled_from(ATTACHMENTS),
    chain=st.sampled_from(NETWORKS),
    mappings=MAPPINGS,
    excluded_devices=st.sampled_from([(), ("cni0",), ("cni0", "cni1")]),
    traffic=st.builds(
        Traffic,
        snat=st.booleans(),
        localhost=st.booleans(),
        mark=st.sampled_from([0, 0x2000]),
    ),
    endpoints=st.sampled_from(["192.0.2.2/24", "192.0.2.3/24"]).map(
        lambda address: endpoints_of([address])
    ),
)
TAG = "container_id: web-1 network: net ifname: eth0"
FOREIGN = [
    "-p tcp -m tcp --dport 1 -j ACCEPT",
    f'-m comment --comment "not {TAG}" -j RETURN',
    f'-m comment --comment "--comment \\"{TAG}\\"" -j RETURN',
    '-m comment --comment "-j NET-A" -j LOG',
    '-m comment --comment "container_id: web-2" -j RETURN',
]
FOREIGN_JUMPS = ["-j {}", "-g {}", "-i eth1 -m addrtype --dst-type LOCAL -j {}"]
Place = tuple[str, str]


class Agreement(RuleBasedStateMachine):
    """Plans are applied while others change the table between them."""

    table_name = NAT

    def __init__(self) -> None:
        super().__init__()
        self.table = MemoryTable(self.table_name)
        self.built_in = self.table.built_in

    def plan(self, wish: Wish) -> Plan:
        return plan_tables(wish, [(IPV4, self.table_name)])[0]

    def entries_into(self, chain: str) -> list[Place]:
        entries = entries_into(chain, IPV4, self.table_name)
        return [(entry.built_in, render_rule(entry.rule)) for entry in entries]

    @initialize(wish=WISHES)
    def begin(self, wish: Wish) -> None:
        plan = self.plan(wish)
        if has_rules(plan):
            self.table.restore(plan_insertion(plan, []))

    @rule(
        wishes=st.lists(WISHES, min_size=1, max_size=3, unique_by=lambda wish: wish.attachment),
        raised=st.lists(st.sampled_from(ATTACHMENTS), max_size=1),
    )
    def apply(self, wishes: list[Wish], raised: list[Attachment]) -> None:
        plans = [self.plan(wish) for wish in wishes]
        self.agree(plans, [tag_of(each) for each in raised])

    @rule(attachment=st.sampled_from(ATTACHMENTS), chain=st.sampled_from(NETWORKS))
    def leave(self, attachment: Attachment, chain: str) -> None:
        self.agree(list(plan_leaving(attachment, chain, [(IPV4, self.table_name)])), [])

    def agree(self, plans: list[Plan], raised: list[str]) -> None:
        foreign = self.foreign(plans, raised)
        standing = {plan.tag for plan in plans if stands(self.table, plan)}
        touched = {chain for plan in plans for chain, _ in self.rules_of(plan)}
        touched |= {chain.name for plan in plans for chain in plan.chains}

        self.table.restore(plan_agreement(self.table.listing(), plans, raised))

        for plan in plans:
            assert sorted(self.rules_of(plan)) == sorted(wanted(plan))
            assert stands(self.table, plan)
            for chain in plan.chains:
                if chain.rules:
                    leading = self.entries_into(chain.name)
                    assert all(self.jumps().count(jump) == 1 for jump in leading)
        self.expect_at_the_head(plans[-1], standing, raised)
        self.expect_specific_ones_first(plans, raised)
        assert self.foreign(plans, raised) == foreign
        for name in touched & set(self.table.chains) - set(self.built_in):
            leading_here = set(self.table.leading_to(name))
            assert self.table.chains[name] or leading_here - set(self.entries_into(name))
        assert plan_agreement(self.table.listing(), plans, raised) == []

    def expect_at_the_head(self, last: Plan, standing: set[str], raised: list[str]) -> None:
        if last.tag in standing or raised:
            return
        for chain in last.chains:
            rules = [render_rule(rule) for rule in chain.rules]
            assert self.table.chains.get(chain.name, [])[: len(rules)] == rules

    def expect_specific_ones_first(self, plans: list[Plan], raised: list[str]) -> None:
        for chain in {chain.name for plan in plans for chain in plan.chains}:
            rules = self.table.chains.get(chain, [])
            specific = [
                " -d " in f" {text}" and "--dport" in text and comment_of(text) in raised
                for text in rules
            ]
            assert specific == sorted(specific, reverse=True)

    @rule(wish=WISHES, known=st.sets(st.sampled_from(CHAINS)))
    def insert(self, wish: Wish, known: set[str]) -> None:
        plan = self.plan(wish)
        before, had = self.table.save(), self.rules_of(plan)
        there = {chain.name for chain in plan.chains if chain.name in self.table.chains}
        try:
            self.table.restore(plan_insertion(plan, known))
        except RefusedError:
            lost = [
                jump
                for chain in plan.chains
                for jump in self.entries_into(chain.name)
                if chain.name in known and jump not in self.jumps()
            ]
            assert lost or there != known & {chain.name for chain in plan.chains}
            assert self.table.save() == before
        else:
            assert there == known & {chain.name for chain in plan.chains}
            assert had or sorted(self.rules_of(plan)) == sorted(wanted(plan))

    @rule(text=st.sampled_from(FOREIGN), where=st.integers(0, 9))
    def add_a_foreign_rule(self, text: str, where: int) -> None:
        chains = [chain for chain in self.table.chains if chain not in ("INPUT", "POSTROUTING")]
        rules = self.table.chains[chains[where % len(chains)]]
        rules.insert(where % (len(rules) + 1), text)

    @precondition(lambda self: self.own())
    @rule(text=st.sampled_from(FOREIGN_JUMPS), where=st.integers(0, 7))
    def add_a_foreign_jump(self, text: str, where: int) -> None:
        chains = self.own()
        chain = self.built_in[where % len(self.built_in)]
        self.table.chains[chain].append(text.format(chains[where % len(chains)]))

    @rule(where=st.integers(0, 9), double=st.booleans())
    def double_or_lose_a_rule(self, where: int, double: bool) -> None:
        rules = self.table.chains[self.built_in[where % len(self.built_in)]]
        if rules and double:
            rules.insert(where % len(rules), rules[where % len(rules)])
        elif rules:
            del rules[where % len(rules)]

    @precondition(lambda self: self.own())
    @rule(where=st.integers(0, 9), action=st.sampled_from(["lose", "double", "swap", "flush"]))
    def meddle_with_a_chain(self, where: int, action: str) -> None:
        chains = self.own()
        rules = self.table.chains[chains[where % len(chains)]]
        if action == "flush" or not rules:
            rules.clear()
        elif action == "lose":
            del rules[where % len(rules)]
        elif action == "double":
            rules.append(rules[where % len(rules)])
        else:
            rules.append(rules.pop(0))

    @precondition(lambda self: self.own())
    @rule(attachment=st.sampled_from(ATTACHMENTS), where=st.integers(0, 9))
    def add_a_rule_of_the_original(self, attachment: Attachment, where: int) -> None:
        chains = self.own()
        rules = self.table.chains[chains[where % len(chains)]]
        comment = f"container_id: {attachment.container_id}"
        text = f'-i cni0 -m comment --comment "{comment}" -j RETURN'
        rules.insert(where % (len(rules) + 1), text)

    @invariant()
    def every_jump_leads_somewhere(self) -> None:
        targets = {target_of(text) for rules in self.table.chains.values() for text in rules}
        assert targets & set(CHAINS) <= set(self.table.chains)

    def own(self) -> list[str]:
        return [chain for chain in CHAINS if chain in self.table.chains]

    def jumps(self) -> list[Place]:
        return [(chain, text) for chain in self.built_in for text in self.table.chains[chain]]

    def rules_of(self, plan: Plan) -> list[Place]:
        names = [chain.name for chain in plan.chains]
        return [
            (chain, text)
            for chain, rules in self.table.chains.items()
            for text in rules
            if comment_of(text) in ((plan.tag, *plan.old_tags) if chain in names else [plan.tag])
        ]

    def foreign(self, plans: list[Plan], raised: list[str]) -> dict[str, list[str]]:
        """Return what no plan is about, nor raised, and no jump of ours, by chain."""
        own = {place for plan in plans for place in self.rules_of(plan)}
        own |= {jump for chain in CHAINS for jump in self.entries_into(chain)}
        kept = {
            chain: [
                text
                for text in rules
                if (chain, text) not in own
                and not (comment_of(text) in raised and "--dport" in text)
            ]
            for chain, rules in self.table.chains.items()
        }
        return {chain: rules for chain, rules in kept.items() if rules}


class AgreementOnRaw(Agreement):
    table_name = RAW


def has_rules(plan: Plan) -> bool:
    return any(chain.rules for chain in plan.chains)


def wanted(plan: Plan) -> list[Place]:
    return [(chain.name, render_rule(rule)) for chain in plan.chains for rule in chain.rules]


def stands(table: MemoryTable, plan: Plan) -> bool:
    """Tell whether a plan's rules are there, in their order, whatever else bears its tag."""
    for chain in plan.chains:
        rules = [render_rule(rule) for rule in chain.rules]
        if [text for text in table.chains.get(chain.name, []) if text in rules] != rules:
            return False
    return True


Agreement.TestCase.settings = settings(max_examples=40, stateful_step_count=12)
AgreementOnRaw.TestCase.settings = settings(max_examples=15, stateful_step_count=12)
TestAgreement = Agreement.TestCase
TestAgreementOnRaw = AgreementOnRaw.TestCase
