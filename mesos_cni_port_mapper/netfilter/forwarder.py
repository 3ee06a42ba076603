"""Forwarding for one attachment: the rules in the kernel and the record of them, kept in step.

A record is written before the rules it describes and removed after them, so that whatever a crash
leaves behind is on record. The ledger's lock is held around claim, list and commit, and never while
a delegate runs.
"""

from __future__ import annotations

import os

from mesos_cni_port_mapper.cni.errors import IO_FAILURE, TRY_AGAIN, CniError, os_reason
from mesos_cni_port_mapper.linux import stderr
from mesos_cni_port_mapper.linux.lock import LockHeldError
from mesos_cni_port_mapper.netfilter import changes
from mesos_cni_port_mapper.netfilter.changes import Step, Transition
from mesos_cni_port_mapper.netfilter.outcome import RulesUntouchedError, with_way_out
from mesos_cni_port_mapper.portmap.attachment import bare_tag_of
from mesos_cni_port_mapper.portmap.traffic import IPTABLES, STRICT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesos_cni_port_mapper.netfilter.backends import BackEnd, BackEnds
    from mesos_cni_port_mapper.netfilter.ledger import Entry, Ledger
    from mesos_cni_port_mapper.netfilter.record import Record
    from mesos_cni_port_mapper.portmap.attachment import Attachment


class Forwarder:
    """Makes the kernel forward what one attachment asks for, and stops it again.

    ``seconds`` is how long to wait for a lock, ``followed`` whether a delegate is still to detach
    what was withdrawn.
    """

    def __init__(
        self, ledger: Ledger, backends: BackEnds, seconds: float, *, followed: bool = True
    ) -> None:
        self.ledger = ledger
        self.backends = backends
        self.seconds = seconds
        self.followed = followed
        self.entry: Entry | None = None

    def keep(self) -> tuple[int, ...]:
        """Return the descriptors that children should inherit."""
        return (self.entry.file,) if self.entry else ()

    def preflight(self, backend: str) -> None:
        """Complain if rules could not be made now, without starting a program."""
        self.backend(backend).preflight()
        os.close(self.lock())

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
        old = self.entry.record if self.entry else None
        if not record.mappings and not _has_rules(old):
            self._replace_entry(record)
            return []
        file = self.lock()
        try:
            step, sharers, notices = self._decide(Transition(before=old, after=record), policy)
            if old is not None:
                # Before its record is replaced: no other tells of ports it does not ask for again.
                self.ledger.release(old)
            # What it had stays on record until it is gone.
            self._replace_entry(record.but(earlier=old) if _has_rules(old) else record)
            self._commit(step)
            self.ledger.claim(record, sharers)
            for each in step.others:
                self.ledger.write(each.after).close()
            if _has_rules(old):
                self._replace_entry(record)
        except OSError as error:
            raise self._io_failure(error) from error
        finally:
            os.close(file)
        return notices + self._forget_flows(record, leaving=False)

    def _decide(self, own: Transition, policy: str) -> tuple[Step, list[Attachment], list[str]]:
        """Return what is to be committed, who shares a port, and what is worth telling of it.

        Raises ``RulesUntouchedError`` if a port is taken.
        """
        record = own.after
        if policy == STRICT:
            self._refuse_foreign(record)
        contest = self.ledger.contest(record.mappings, record.attachment)
        step = Step(own=own, raised=changes.tags_of(contest.specific), policy=policy)
        if not contest.owners:
            return step, [], []
        from mesos_cni_port_mapper.netfilter.conflicts import find_losers, takeover_notice

        owners = [owner for owner, _ in contest.owners]
        losers = find_losers(record, contest.owners, policy)
        lost = [each.record for each in losers]
        sharers = [owner.attachment for owner in owners if owner not in lost]
        notices = [takeover_notice(record, each) for each in losers]
        others = tuple([each.transition() for each in losers])
        return step.but(others=others, owners=changes.tags_of(owners)), sharers, notices

    def _refuse_foreign(self, record: Record) -> None:
        """Complain if a rule of nf_tables, which iptables does not show, takes a port."""
        from mesos_cni_port_mapper.netfilter.foreign import refuse_rewritten
        from mesos_cni_port_mapper.portmap.plan import plan_forwarding

        nft = self.backends.nft(self.keep())
        if nft.program:
            refuse_rewritten(nft.ruleset(), plan_forwarding(record.wish()))

    def _commit(self, step: Step) -> None:
        """Have each back end do its part, and loopback let out while its guard stands.

        What one holds when a later one fails is the caller's to sweep, as after any failure but
        ``RulesUntouchedError``.
        """
        exposed = changes.find_exposed(step)
        self._gate(exposed, opens=False)
        for number, (backend, part) in enumerate(
            changes.split_by_backend(step, self.backends.world_of)
        ):
            try:
                self.backend(backend).apply(part)
            except RulesUntouchedError as error:
                if number:
                    raise CniError(error.code, error.msg, error.details) from error
                self._gate(exposed, opens=True)
                raise
        self._gate([each.after for each in step.transitions()], opens=True)
        self._gate(changes.find_relieved(step), opens=False)

    def withdraw(self, attachment: Attachment, chain: str) -> None:
        """Remove every rule of an attachment and give up its ports; nothing there is success.

        Ports it was about to take from others go back to them.
        """
        record = self.entry.record if self.entry else None
        if record is not None and not (record.mappings or record.earlier):
            return
        if self.entry is None and not self.backends.usable():
            # Rules cannot exist that no tool here could have made and no record tells of.
            return
        file = self._lock_if_there_is_state()
        try:
            if record is None:
                self._remove(attachment, chain)
            else:
                self._leave(record)
        except OSError as error:
            raise self._io_failure(error) from error
        finally:
            if file is not None:
                os.close(file)
        if record is not None:
            for notice in self._forget_flows(record, leaving=True):
                stderr.say(notice)

    def _leave(self, record: Record) -> None:
        # An ADD that broke off may have taken the rules of others, and not their claims yet.
        contest = self.ledger.contest(record.mappings, record.attachment)
        others = [each for each, _ in contest.owners]
        mappings = [item for each in others for item in each.mappings]
        step = Step(
            own=Transition(before=record, after=changes.without(record)),
            others=tuple([Transition(before=each, after=each) for each in others]),
            raised=changes.tags_of(self.ledger.contest(mappings, record.attachment).specific),
        )
        try:
            self._commit(step)
        except RulesUntouchedError as error:
            obstacles = self.backends.obstacles(record.backend)
            raise with_way_out(error, record.attachment.container_id, obstacles) from error
        self.ledger.release(record)
        if self.followed:
            self._strike_ports(record)

    def _remove(self, attachment: Attachment, chain: str) -> None:
        """Remove what bears an attachment's tag: nothing is on record of it."""
        usable = self.backends.usable()
        if not usable:
            self.backend(IPTABLES).preflight()
        for backend in usable:
            tools = self.backend(backend)
            mark = tools.mark_of(attachment)
            self.remove_marked(tools, mark, chain, bare_tag_of(attachment))

    def remove_marked(self, tools: BackEnd, mark: str, chain: str, bare: str = "") -> None:
        """Remove what bears a mark, of which nothing is on record; the lock must be held."""
        own, others = tools.local_targets(mark)
        if own:
            from mesos_cni_port_mapper.netfilter.gate import Gate

            # Before its guard goes.
            Gate(ledger=self.ledger).shut_unrecorded(own, others)
        tools.remove(mark, chain, bare)

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

    def _strike_ports(self, record: Record) -> None:
        """Leave a record until the delegate is through, which must not bring rules back."""
        try:
            self._replace_entry(changes.without(record).but(earlier=None))
        except CniError as error:
            stderr.say(f"{record.attachment} stays on record with ports it has no more: {error}")

    def differences(self, record: Record) -> list[str]:
        """Name everything in which the kernel differs from what a record asks for."""
        from mesos_cni_port_mapper.linux import sysctl

        found = self.backend(record.backend).differences(record)
        if record.local_interface and not sysctl.has_route_localnet(record.local_interface):
            found.append(f"off: net.ipv4.conf.{record.local_interface}.route_localnet")
        return found

    def backend(self, name: str) -> BackEnd:
        """Return a back end whose children share the lock on the record."""
        return self.backends.get(name, self.ledger, self.keep())

    def _forget_flows(self, record: Record, *, leaving: bool) -> list[str]:
        if not any(item.protocol == "udp" for item in record.mappings):
            return []
        from mesos_cni_port_mapper.netfilter import flows

        return flows.forget(record, leaving=leaving)

    def _gate(self, records: Sequence[Record], *, opens: bool) -> None:
        local = [record for record in records if record.local_interface]
        if local:
            from mesos_cni_port_mapper.netfilter.gate import Gate

            gate = Gate(ledger=self.ledger)
            (gate.open if opens else gate.shut)(*local)

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

    def lock(self) -> int:
        """Take the lock of everything on record here; closing the descriptor gives it back."""
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
            return self.lock()
        except RulesUntouchedError as error:
            if error.code == IO_FAILURE and self.entry is None:
                return None
            raise

    def _io_failure(self, error: OSError) -> CniError:
        return CniError(
            IO_FAILURE, f"stateDir: cannot keep state in {self.ledger.directory}", os_reason(error)
        )


def _has_rules(record: Record | None) -> bool:
    return record is not None and bool(record.mappings or record.earlier)
