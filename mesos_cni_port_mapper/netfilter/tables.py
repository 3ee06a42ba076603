"""Rules in the tables that iptables knows: one transaction a table, in their order."""

from __future__ import annotations

from mesos_cni_port_mapper.cni.errors import RULES_FAILED, CniError
from mesos_cni_port_mapper.netfilter import changes
from mesos_cni_port_mapper.netfilter.batch import (
    find_dissolved,
    find_emptied,
    is_as_planned,
    plan_insertion,
    plan_removal,
)
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
    from mesos_cni_port_mapper.netfilter.ruleset import Census
    from mesos_cni_port_mapper.portmap.attachment import Attachment
    from mesos_cni_port_mapper.portmap.listing import Listing
    from mesos_cni_port_mapper.portmap.rule import Plan

    Prepared = tuple[Change, list[str]]
    """A change, and the lines for iptables-restore that make it."""


_PROGRAMS = {IPV4: "iptables", IPV6: "ip6tables"}


class Departure(Value):
    """What an attachment that leaves has in a table, and who else has rules there."""

    plan: Plan
    census: Census


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
        """Make the tables agree with a step, without a listing where they are as on record.

        ``RulesUntouchedError`` means that none of it happened. What an earlier table holds when a
        later one refuses is the caller's to sweep, as after any other failure.
        """
        planned = changes.plan_changes(step)
        departures = self._look_at_leaving(planned)
        if self._strike(departures):
            return
        touched = False
        for run in self._in_one_run(self._prepare(planned, departures, step)):
            try:
                if not self._commit(run):
                    # Of several that are refused the first may be committed.
                    touched = touched or len(run) > 1
                    for change, _ in run:
                        self._agree(change, step)
                        touched = True
            except RulesUntouchedError as error:
                if not touched:
                    raise
                raise CniError(error.code, error.msg, error.details) from error
            touched = True

    def _look_at_leaving(self, planned: Sequence[Change]) -> list[Departure]:
        """Look at the rules of who leaves; return nothing if they are not as on record."""
        found = []
        for change in planned:
            plan, former = change.plan, change.former
            if former is None or not self._tools(plan.family).is_nft_variant():
                return []
            from mesos_cni_port_mapper.netfilter import ruleset

            try:
                census = ruleset.take_census(plan.family, plan.table, (plan.tag, *plan.old_tags))
            except OSError:
                return []
            if not is_as_planned(former, census.chains):
                return []
            found.append(Departure(plan=former, census=census))
        return found

    def _strike(self, departures: Sequence[Departure]) -> bool:
        """Delete the rules of who leaves in one transaction, if others stay in every chain."""
        if not departures or any(
            find_emptied(each.plan, each.census.chains) for each in departures
        ):
            return False
        rules = [
            (each.plan.family, each.plan.table, chain, handle)
            for each in departures
            for chain, (_, handles) in each.census.chains.items()
            for handle in handles
        ]
        tools = self._tools(departures[0].plan.family)
        return tools.delete(rules, departures[0].census.generation)

    def _prepare(
        self, planned: Sequence[Change], departures: Sequence[Departure], step: Step
    ) -> list[Prepared]:
        """Plan what can be planned without a listing; no lines for a change that needs one."""
        if departures:
            batches = [
                plan_removal(each.plan, find_emptied(each.plan, each.census.chains))
                for each in departures
            ]
        else:
            batches = [
                plan_insertion(change.plan, self.ledger.known_chains(change.plan))
                if change.afresh and step.policy != STRICT
                else []
                for change in planned
            ]
        return list(zip(planned, batches, strict=True))

    def _in_one_run(self, prepared: Sequence[Prepared]) -> list[list[Prepared]]:
        """Put together what one run of a tool may change without a listing."""
        runs: list[list[Prepared]] = []
        for change, lines in prepared:
            family = change.plan.family
            last = runs[-1][-1] if runs else None
            together = last is not None and last[1] and last[0].plan.family == family
            if together and lines and self._tools(family).is_nft_variant():
                runs[-1].append((change, lines))
            else:
                runs.append([(change, lines)])
        return runs

    def _commit(self, run: Sequence[Prepared]) -> bool:
        """Commit what is prepared, and tell whether there was something and it was not refused."""
        batches = [(change.plan.table, lines) for change, lines in run if lines]
        if not batches or self._tools(run[0][0].plan.family).commit(*batches):
            return False
        for change, lines in run:
            self.ledger.forget_chains(change.plan, find_dissolved(lines))
            self.ledger.note_chains(change.plan)
        return True

    def _agree(self, change: Change, step: Step) -> None:
        plan = change.plan

        def check(listing: Listing) -> None:
            if step.policy in (FAIL, STRICT):
                from mesos_cni_port_mapper.netfilter.foreign import refuse_taken

                refuse_taken(listing, plan, step.known(), strict=step.policy == STRICT)

        tools = self._tools(plan.family)
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
