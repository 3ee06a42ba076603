"""Forwarding for one attachment: the rules in the kernel and the record of them, kept in step.

A record is written before the rules it describes and removed after them, so that whatever a crash
leaves behind is on record. The ledger's lock is held around claim, list and commit, and never while
a delegate runs.
"""

from __future__ import annotations

import os

from mesos_cni_port_mapper.cni.errors import (
    IO_FAILURE,
    RULES_FAILED,
    TRY_AGAIN,
    CniError,
    os_reason,
)
from mesos_cni_port_mapper.linux import stderr, sysctl
from mesos_cni_port_mapper.linux.lock import LockHeldError
from mesos_cni_port_mapper.netfilter import changes
from mesos_cni_port_mapper.netfilter.conflicts import find_losers, takeover_notice
from mesos_cni_port_mapper.netfilter.gate import Gate
from mesos_cni_port_mapper.netfilter.outcome import RulesUntouchedError
from mesos_cni_port_mapper.portmap.attachment import tag_of
from mesos_cni_port_mapper.portmap.plan import TABLES, plan_forwarding, plan_leaving
from mesos_cni_port_mapper.portmap.rule import IPV4, IPV6, NAT, RAW
from mesos_cni_port_mapper.portmap.traffic import FAIL, STRICT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mesos_cni_port_mapper.netfilter.changes import Change
    from mesos_cni_port_mapper.netfilter.conflicts import Loser
    from mesos_cni_port_mapper.netfilter.iptables import Iptables
    from mesos_cni_port_mapper.netfilter.ledger import Entry, Ledger
    from mesos_cni_port_mapper.netfilter.record import Record
    from mesos_cni_port_mapper.portmap.attachment import Attachment
    from mesos_cni_port_mapper.portmap.listing import Listing


class Forwarder:
    """Makes the kernel forward what one attachment asks for, and stops it again.

    ``tools`` has what the host has, by family. ``seconds`` is how long to wait for a lock.
    """

    def __init__(self, ledger: Ledger, tools: Mapping[int, Iptables], seconds: float) -> None:
        self.ledger = ledger
        self.tools = tools
        self.seconds = seconds
        self.gate = Gate(ledger=ledger)
        self.entry: Entry | None = None
        self._before: Record | None = None

    def keep(self) -> tuple[int, ...]:
        """Return the descriptors that children should inherit."""
        return (self.entry.file,) if self.entry else ()

    def preflight(self) -> None:
        """Complain if rules could not be made now, without starting a program."""
        if not self.tools:
            self._tools(IPV4)
        os.close(self._lock())

    def register(self, record: Record) -> None:
        """Put an attachment on record before anything is done for it.

        One that is on record already keeps its record: it may have rules.
        """
        try:
            self.ledger.prepare()
            self.entry = self._open(record.attachment) or self.ledger.write(record)
        except OSError as error:
            raise self._io_failure(error) from error

    def resume(self, attachment: Attachment) -> Record | None:
        """Open an attachment's record, waiting for a program that still works on it."""
        try:
            self.entry = self._open(attachment)
        except OSError as error:
            raise self._io_failure(error) from error
        return self.entry.record if self.entry else None

    def has_rules(self) -> bool:
        """Tell whether rules of the attachment are on record."""
        return self.entry is not None and _has_rules(self.entry.record)

    def forward(self, record: Record, policy: str) -> list[str]:
        """Make the rules for a record and write it down; return notices worth telling.

        A port that somebody has is decided by the policy; rules of those who lose it go in the same
        transaction. ``RulesUntouchedError`` means that none of it happened.
        """
        old = self._before = self.entry.record if self.entry else None
        if not record.mappings and not _has_rules(old):
            self._replace_entry(record)
            return []
        file = self._lock()
        try:
            losers = find_losers(record, self.ledger.owners(record.mappings), policy)
            if old is not None:
                # Before its record is replaced: no other tells of ports it does not ask for again.
                self.ledger.release(old)
            self._replace_entry(record)
            self._commit(record, old, losers, policy)
            self.ledger.claim(record)
            for loser in losers:
                self.ledger.write(loser.rest()).close()
            self.gate.open(record)
            self.gate.shut(*changes.find_relieved(record, old, losers))
        except OSError as error:
            raise self._io_failure(error) from error
        finally:
            os.close(file)
        notices = [takeover_notice(record, loser) for loser in losers]
        return notices + _forget_flows(record, leaving=False)

    def _commit(
        self, record: Record, old: Record | None, losers: Sequence[Loser], policy: str
    ) -> None:
        """Make the kernel agree table by table.

        What an earlier table holds when a later one refuses is the caller's to sweep, as after any
        failure but ``RulesUntouchedError``.
        """
        raised = self._specific_tags([record], record.attachment)
        concerned = [loser.record.attachment for loser in losers]
        known = frozenset([*raised, *[tag_of(each) for each in concerned]])
        exposed = changes.find_exposed(record, old, losers)
        self.gate.shut(*exposed)  # Before their guards go.
        for number, change in enumerate(changes.plan_changes(record, old, losers, raised)):
            try:
                self._change(change, known, policy)
            except RulesUntouchedError as error:
                if number == 0:
                    self.gate.open(*exposed)
                    raise
                raise CniError(error.code, error.msg, error.details) from error

    def _change(self, change: Change, known: frozenset[str], policy: str) -> None:
        plan = change.plan
        tools = self._tools(plan.family)

        def check(listing: Listing) -> None:
            if policy in (FAIL, STRICT):
                from mesos_cni_port_mapper.netfilter.foreign import refuse_taken

                refuse_taken(listing, plan, known, strict=policy == STRICT)

        if change.afresh and policy != STRICT:
            tools.install(plan, self.ledger.known_chains(plan), check)
        else:
            gone = tools.agree([*change.others, plan], change.raised, check)
            self.ledger.forget_chains(plan, gone)
        self.ledger.note_chains(plan)

    def withdraw(self, attachment: Attachment, chain: str) -> None:
        """Remove every rule of an attachment and give up its ports; nothing there is success.

        Ports it was about to take from others go back to them.
        """
        record = self.entry.record if self.entry else None
        if record is not None and not record.mappings:
            return
        if not self.tools and self.entry is None:
            # Rules cannot exist that no tool here could have made and no record tells of.
            return
        file = self._lock_if_there_is_state()
        try:
            self._sweep(attachment, chain, record)
        except OSError as error:
            raise self._io_failure(error) from error
        finally:
            if file is not None:
                os.close(file)
        if record is not None:
            for notice in _forget_flows(record, leaving=True):
                stderr.say(notice)

    def _sweep(self, attachment: Attachment, chain: str, record: Record | None) -> None:
        # An ADD that broke off may have taken the rules of others, and not their claims yet.
        others = self._others_with_ports_of(record) if record else []
        tables = self._tables_to_leave(record, others)
        # Before its guard goes.
        if record is not None:
            self.gate.shut(record)
        elif (IPV4, RAW) in tables:
            self.gate.shut_unrecorded(self._tools(IPV4).listing(NAT), tag_of(attachment))
        raised = self._specific_tags(others, attachment)
        for plan in reversed(plan_leaving(attachment, chain, tables)):
            table = (plan.family, plan.table)
            gone = self._tools(plan.family).agree([*changes.plans_of(others, table), plan], raised)
            self.ledger.forget_chains(plan, gone)
        self.gate.open(*others)
        if record is not None:
            self.ledger.release(record)

    def _specific_tags(self, records: Sequence[Record], but: Attachment) -> list[str]:
        """Return the tags of others who ask for one address where ``records`` ask for all."""
        mappings = [item for record in records for item in record.mappings]
        owners = self.ledger.specific_owners(mappings)
        return [tag_of(owner.attachment) for owner in owners if owner.attachment != but]

    def _others_with_ports_of(self, record: Record) -> list[Record]:
        owners = self.ledger.owners(record.mappings)
        return [owner for owner, _ in owners if owner.attachment != record.attachment]

    def _tables_to_leave(
        self, record: Record | None, others: Sequence[Record]
    ) -> list[tuple[int, str]]:
        """Return where rules of an attachment can be: by its record, else anywhere."""
        if record is not None:
            # What an earlier ADD made goes too when the record of a later one has taken its place.
            earlier = [self._before] if self._before is not None else []
            return changes.tables_of_all([record, *others, *earlier])
        return [table for table in TABLES if table[0] in self.tools]

    def close(self, forget: Attachment | None = None) -> None:
        """Give the record's lock back, and forget an attachment of which nothing is left."""
        try:
            if forget is not None:
                self.ledger.forget(forget)
        except OSError as error:
            raise self._io_failure(error) from error
        finally:
            if self.entry is not None:
                self.entry.close()
                self.entry = None

    def differences(self, record: Record) -> list[str]:
        """Name everything in which the kernel differs from what a record asks for."""
        from mesos_cni_port_mapper.netfilter.differences import name_differences

        found = []
        for plan in plan_forwarding(record.wish()):
            found += name_differences(self._tools(plan.family).listing(plan.table), plan)
        if record.local_interface and not sysctl.has_route_localnet(record.local_interface):
            found.append(f"off: net.ipv4.conf.{record.local_interface}.route_localnet")
        return found

    def _tools(self, family: int) -> Iptables:
        tools = self.tools.get(family)
        if tools is None:
            name = {IPV4: "iptables", IPV6: "ip6tables"}[family]
            raise RulesUntouchedError(
                RULES_FAILED,
                f"{name}-restore and {name}-save are not installed",
                "looked in PATH, /usr/sbin and /sbin; install the package iptables",
            )
        return tools.but(keep=self.keep())

    def _open(self, attachment: Attachment) -> Entry | None:
        try:
            return self.ledger.open(attachment, self.seconds)
        except LockHeldError as error:
            raise RulesUntouchedError(
                TRY_AGAIN, f"{attachment} is being worked on", str(error)
            ) from error

    def _replace_entry(self, record: Record) -> None:
        try:
            entry = self.ledger.write(record)
        except OSError as error:
            raise self._io_failure(error) from error
        if self.entry is not None:
            self.entry.close()
        self.entry = entry

    def _lock(self) -> int:
        try:
            return self.ledger.lock(self.seconds)
        except LockHeldError as error:
            raise RulesUntouchedError(
                TRY_AGAIN, str(error), f"waited {self.seconds:g} s"
            ) from error
        except OSError as error:
            raise RulesUntouchedError(
                IO_FAILURE, f"stateDir: cannot lock {self.ledger.directory}", os_reason(error)
            ) from error

    def _lock_if_there_is_state(self) -> int | None:
        """Take the ledger's lock; where none can be kept nobody else has it, and DEL needs none."""
        try:
            return self._lock()
        except RulesUntouchedError as error:
            if error.code == IO_FAILURE and self.entry is None:
                return None
            raise

    def _io_failure(self, error: OSError) -> CniError:
        return CniError(
            IO_FAILURE, f"stateDir: cannot keep state in {self.ledger.directory}", os_reason(error)
        )


def _forget_flows(record: Record, *, leaving: bool) -> list[str]:
    """Have flows forgotten; return what went wrong with that, which is no reason to fail."""
    if not any(item.protocol == "udp" for item in record.mappings):
        return []
    from mesos_cni_port_mapper.netfilter import conntrack, flows

    plan = flows.plan_departure(record) if leaving else flows.plan_arrival(record)
    try:
        conntrack.apply(plan)
    except OSError as error:
        return [f"flows that began earlier may go on as they did: {os_reason(error)}"]
    return []


def _has_rules(record: Record | None) -> bool:
    return record is not None and bool(record.mappings)
