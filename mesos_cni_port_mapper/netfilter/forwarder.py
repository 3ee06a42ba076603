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
from mesos_cni_port_mapper.linux.lock import LockHeldError
from mesos_cni_port_mapper.netfilter.outcome import RulesUntouchedError
from mesos_cni_port_mapper.portmap.plan import plan_forwarding, plan_leaving

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesos_cni_port_mapper.netfilter.iptables import Iptables
    from mesos_cni_port_mapper.netfilter.ledger import Entry, Ledger
    from mesos_cni_port_mapper.netfilter.record import Record
    from mesos_cni_port_mapper.portmap.attachment import Attachment
    from mesos_cni_port_mapper.portmap.mapping import PortMapping
    from mesos_cni_port_mapper.portmap.rule import Plan


class Forwarder:
    """Makes the kernel forward what one attachment asks for, and stops it again.

    ``tools`` is nothing where the host has no iptables. ``seconds`` is how long to wait for a lock.
    """

    def __init__(self, ledger: Ledger, tools: Iptables | None, seconds: float) -> None:
        self.ledger = ledger
        self.tools = tools
        self.seconds = seconds
        self.entry: Entry | None = None

    def keep(self) -> tuple[int, ...]:
        """Return the descriptors that children should inherit."""
        return (self.entry.file,) if self.entry else ()

    def preflight(self) -> None:
        """Complain if rules could not be made now, without starting a program."""
        self._tools()
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

    def forward(self, record: Record) -> list[str]:
        """Make the rules for a record and write it down; return notices worth telling.

        The newest attachment wins a port: rules of earlier ones for the same port go in the same
        transaction. ``RulesUntouchedError`` means that none of it happened.
        """
        old = self.entry.record if self.entry else None
        if not record.mappings and not _has_rules(old):
            self._replace_entry(record)
            return []
        file = self._lock()
        try:
            losers = self._other_owners(record)
            if old is not None:
                # Before its record is replaced: no other tells of ports it does not ask for again.
                self.ledger.release(old)
            self._replace_entry(record)
            reduced = [_without(loser, lost) for loser, lost in losers]
            others = [_plan_of(loser) for loser in reduced]
            self._commit(_plan_of(record), others, afresh=not _has_rules(old))
            self.ledger.claim(record)
            for loser in reduced:
                self.ledger.write(loser).close()
            self.ledger.note_chain(record.chain)
        except OSError as error:
            raise self._io_failure(error) from error
        finally:
            os.close(file)
        return [_takeover_notice(record, loser, lost) for loser, lost in losers]

    def _other_owners(self, record: Record) -> list[tuple[Record, list[PortMapping]]]:
        return [
            (owner, mappings)
            for owner, mappings in self.ledger.owners(record.mappings)
            if mappings and owner.attachment != record.attachment
        ]

    def _commit(self, plan: Plan, others: Sequence[Plan], afresh: bool) -> None:
        tools = self._tools()
        if afresh and not others:
            tools.install(plan, chain_expected=self.ledger.knows_chain(plan.chain))
        else:
            self._forget_chains(tools.agree([*others, plan]))

    def _forget_chains(self, chains: Sequence[str]) -> None:
        for chain in chains:
            self.ledger.forget_chain(chain)

    def withdraw(self, attachment: Attachment, chain: str) -> None:
        """Remove every rule of an attachment and give up its ports; nothing there is success.

        Ports it was about to take from others go back to them.
        """
        record = self.entry.record if self.entry else None
        if record is not None and not record.mappings:
            return
        if self.tools is None and self.entry is None:
            # Rules cannot exist that no tool here could have made and no record tells of.
            return
        tools = self._tools()
        file = self._lock_if_there_is_state()
        try:
            # An ADD that broke off may have taken the rules of others, and not their claims yet.
            others = [_plan_of(owner) for owner, _ in self._other_owners(record)] if record else []
            self._forget_chains(tools.agree([*others, plan_leaving(attachment, chain)]))
            if record is not None:
                self.ledger.release(record)
        except OSError as error:
            raise self._io_failure(error) from error
        finally:
            if file is not None:
                os.close(file)

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
        from mesos_cni_port_mapper.netfilter.differences import find_differences

        return find_differences(self._tools().listing(), _plan_of(record))

    def _tools(self) -> Iptables:
        if self.tools is None:
            raise RulesUntouchedError(
                RULES_FAILED,
                "iptables-restore and iptables-save are not installed",
                "looked in PATH, /usr/sbin and /sbin; install the package iptables",
            )
        return self.tools.but(keep=self.keep())

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


def _plan_of(record: Record) -> Plan:
    return plan_forwarding(
        record.attachment,
        record.chain,
        record.mappings,
        record.excluded_devices,
        record.address,
    )


def _has_rules(record: Record | None) -> bool:
    return record is not None and bool(record.mappings)


def _without(record: Record, lost: Sequence[PortMapping]) -> Record:
    return record.but(mappings=tuple([item for item in record.mappings if item not in lost]))


def _takeover_notice(record: Record, loser: Record, lost: Sequence[PortMapping]) -> str:
    ports = ", ".join([f"{item.protocol} {item.host_port}" for item in lost])
    return f"{record.attachment} takes {ports} over from {loser.attachment}"
