"""Rules in the tables that iptables knows: one transaction a table, in their order."""

from __future__ import annotations

from mesos_cni_port_mapper.cni.errors import RULES_FAILED, CniError
from mesos_cni_port_mapper.netfilter import changes
from mesos_cni_port_mapper.netfilter.outcome import RulesUntouchedError
from mesos_cni_port_mapper.portmap.attachment import is_of_network, tag_of
from mesos_cni_port_mapper.portmap.listing import comment_of
from mesos_cni_port_mapper.portmap.plan import TABLES, plan_absence, plan_forwarding, tables_of
from mesos_cni_port_mapper.portmap.rule import IPV4, IPV6, NAT, RAW
from mesos_cni_port_mapper.portmap.traffic import FAIL, STRICT
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from mesos_cni_port_mapper.netfilter.changes import Change, Step
    from mesos_cni_port_mapper.netfilter.iptables import Iptables
    from mesos_cni_port_mapper.netfilter.ledger import Ledger
    from mesos_cni_port_mapper.netfilter.record import Record
    from mesos_cni_port_mapper.portmap.attachment import Attachment
    from mesos_cni_port_mapper.portmap.listing import Listing


_PROGRAMS = {IPV4: "iptables", IPV6: "ip6tables"}


class Tables(Value):
    """The back ends whose rules are iptables' own; ``tools`` has what the host has, by family.

    ``keep`` are file descriptors that every run of a tool inherits. ``is_legacy`` says that they
    know the legacy variant's tables alone.
    """

    tools: Mapping[int, Iptables]
    ledger: Ledger
    keep: tuple[int, ...] = ()
    is_legacy: bool = False

    def preflight(self) -> None:
        """Complain if no rule could be made, without starting a program."""
        if not self.tools:
            self._tools(IPV4)

    def apply(self, step: Step) -> None:
        """Make the tables agree with a step, one by one.

        ``RulesUntouchedError`` means that none of it happened. What an earlier table holds when a
        later one refuses is the caller's to sweep, as after any other failure.
        """
        for number, change in enumerate(changes.plan_changes(step)):
            try:
                self._change(change, step)
            except RulesUntouchedError as error:
                if number == 0:
                    raise
                raise CniError(error.code, error.msg, error.details) from error

    def _change(self, change: Change, step: Step) -> None:
        plan = change.plan
        tools = self._tools(plan.family)

        def check(listing: Listing) -> None:
            if step.policy in (FAIL, STRICT):
                from mesos_cni_port_mapper.netfilter.foreign import refuse_taken

                refuse_taken(listing, plan, step.known(), strict=step.policy == STRICT)

        if change.afresh and step.policy != STRICT:
            tools.install(plan, self.ledger.known_chains(plan), check)
        else:
            gone = tools.agree([*change.others, plan], step.raised, check)
            self.ledger.forget_chains(plan, gone)
        self.ledger.note_chains(plan)

    def mark_of(self, attachment: Attachment) -> str:
        """Return the tag of an attachment's rules."""
        return tag_of(attachment)

    def remove(self, mark: str, chain: str, bare: str = "") -> None:
        """Remove every rule with a tag, wherever it is, and those with a bare one in the chain."""
        for plan in reversed(plan_absence(mark, chain, self._existing(), bare)):
            gone = self._tools(plan.family).agree([plan])
            self.ledger.forget_chains(plan, gone)

    def strays(self, network: str | None, kept: Collection[Attachment]) -> list[str]:
        """Return the tags of a network's attachments, but for some; bare ones name no network."""
        own = {tag_of(each) for each in kept}
        found = []
        for family, table in self._existing():
            for rules in self._tools(family).listing(table).chains.values():
                found += [comment_of(rule) for rule in rules if "--comment" in rule]
        return [
            tag for tag in dict.fromkeys(found) if is_of_network(tag, network) and tag not in own
        ]

    def restore(
        self, records: Sequence[Record], raised: Collection[str], strays: Sequence[str] = ()
    ) -> list[Record]:
        """Bring back what records ask for and remove marks; return whose rules were amiss."""
        from mesos_cni_port_mapper.netfilter import restoration
        from mesos_cni_port_mapper.netfilter.batch import plan_agreement

        self.preflight()
        amiss: list[Record] = []
        existing = self._existing() if strays else []
        for table in TABLES:
            wanted = restoration.plan_wanted(records, table)
            if not wanted and table not in existing:
                continue
            tools = self._tools(table[0])
            listing = tools.listing(table[1])
            lacking = restoration.find_lacking(listing, wanted)
            sunken = restoration.find_sunken(listing, wanted, raised)
            plans = restoration.plan_order(wanted, lacking)
            plans += [plan for record, plan in wanted if record in sunken and plan not in plans]
            plans += restoration.plan_sweep(strays if table in existing else (), table)
            if plans and plan_agreement(listing, plans, raised):
                self.ledger.forget_chains(plans[0], tools.agree(plans, raised))
                amiss += [each for each in (*lacking, *sunken) if each not in amiss]
            for _, plan in wanted:
                self.ledger.note_chains(plan)
        return amiss

    def local_targets(self, mark: str) -> tuple[set[str], set[str]]:
        """Return where ports of loopback lead to: those with a tag, and everybody else's."""
        from mesos_cni_port_mapper.netfilter.gate import find_local_targets

        if (IPV4, RAW) not in self._existing():
            return set(), set()
        return find_local_targets(self._tools(IPV4).listing(NAT), mark)

    def rehearse(self, families: Collection[int]) -> None:
        """Have the tools check an empty batch."""
        self.preflight()
        for family in families:
            self._tools(family).rehearse(NAT)

    def missing(self, record: Record) -> list[str]:
        """Return the tables that should hold rules of a record and are not there."""
        return [
            f"{_PROGRAMS[family]} table {table}"
            for family, table in tables_of(record.wish())
            if not self._has(family, table)
        ]

    def differences(self, record: Record) -> list[str]:
        """Name everything in which the tables differ from what a record asks for."""
        from mesos_cni_port_mapper.netfilter.differences import name_differences

        found = []
        for plan in plan_forwarding(record.wish()):
            found += name_differences(self._tools(plan.family).listing(plan.table), plan)
        return found

    def _existing(self) -> list[tuple[int, str]]:
        """Return the tables that there are: looking at others would make them."""
        return [table for table in TABLES if table[0] in self.tools and self._has(*table)]

    def _has(self, family: int, table: str) -> bool:
        from mesos_cni_port_mapper.netfilter import existing

        if self.is_legacy:
            return existing.has_legacy_table(family, table)
        return existing.has_table(family, table)

    def _tools(self, family: int) -> Iptables:
        tools = self.tools.get(family)
        if tools is None:
            raise RulesUntouchedError(RULES_FAILED, *_absence(family, self.is_legacy))
        return tools.but(keep=self.keep)


def _absence(family: int, is_legacy: bool) -> tuple[str, str]:
    """Return which tool is missing, and where it was looked for."""
    if is_legacy:
        return "mesos-cni-libiptc is not installed", "looked beside the plugin"
    name = _PROGRAMS[family]
    return (
        f"{name}-restore and {name}-save are not installed",
        "looked in PATH, /usr/sbin and /sbin; install the package iptables",
    )
