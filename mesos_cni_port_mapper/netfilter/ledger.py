"""The state directory: who has which rules, and who owns which port.

::

    STATE_DIRECTORY/NETWORK_NAMESPACE/   tables belong to a namespace, and /run may be shared
        lock                             taken around claim, list and commit
        chains/FAMILY-TABLE-CHAIN        there while the chain is, and our rules in it on record
        users/THING/NAME                 there while an attachment needs what several share
        attachments/NAME                 a record for each attachment, locked while worked on
        claims/PROTOCOL-BLOCK            who owns the ports of a block, see ``claims``

The tags in the kernel are the authority. A lost directory costs no DEL, and a claim whose record
is gone is void.
"""

from __future__ import annotations

import os

from mesos_cni_port_mapper.linux import files, lock
from mesos_cni_port_mapper.netfilter.claims import Claims
from mesos_cni_port_mapper.netfilter.record import Record, decode_record, encode_record
from mesos_cni_port_mapper.portmap.attachment import record_name
from mesos_cni_port_mapper.portmap.mapping import ports_of
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mesos_cni_port_mapper.portmap.attachment import Attachment
    from mesos_cni_port_mapper.portmap.mapping import Port, PortMapping
    from mesos_cni_port_mapper.portmap.rule import Plan


class Entry:
    """An attachment's record, opened and locked.

    Children inherit ``file``, and with it the lock: an attachment stays locked while a program
    works on it, also when the plugin that started the program is gone.
    """

    __slots__ = ("file", "record")

    def __init__(self, file: int, record: Record | None) -> None:
        self.file = file
        self.record = record

    def close(self) -> None:
        """Give the lock back."""
        os.close(self.file)


class Contest(Value):
    """Who claims ports: ``owners`` the same ones, each with its mappings concerned.

    ``specific`` claim, of one host address, what is asked for on all of them.
    """

    owners: tuple[tuple[Record, list[PortMapping]], ...]
    specific: tuple[Record, ...]


class Ledger(Value):
    """The state directory of one network namespace. Methods raise ``OSError``."""

    directory: str

    def prepare(self) -> None:
        """Create the directories."""
        for part in ("attachments", "claims", "chains"):
            files.make_directory(f"{self.directory}/{part}")

    def lock(self, seconds: float) -> int:
        """Take the lock of the whole ledger; closing the descriptor gives it back."""
        path = f"{self.directory}/lock"
        try:
            return lock.acquire(path, seconds)
        except FileNotFoundError:
            self.prepare()
            return lock.acquire(path, seconds)

    def known_chains(self, plan: Plan) -> list[str]:
        """Return which of a plan's chains should exist; if others do, records were lost."""
        return [chain.name for chain in plan.chains if self.is_noted(_chain(plan, chain.name))]

    def note_chains(self, plan: Plan) -> None:
        """Note that a plan's chains exist, and that our rules in them are on record."""
        for chain in plan.chains:
            if chain.rules:
                self.note(_chain(plan, chain.name))

    def forget_chains(self, plan: Plan, chains: Iterable[str]) -> None:
        """Note that chains of a plan's table are gone."""
        for chain in chains:
            files.remove(self._note(_chain(plan, chain)))

    def is_noted(self, name: str) -> bool:
        """Tell whether something in the kernel should exist."""
        return os.path.exists(self._note(name))

    def note(self, name: str) -> None:
        """Note that something in the kernel exists."""
        files.touch(self._note(name))

    def forget_all(self, prefix: str) -> None:
        """Note that everything whose name begins so is gone."""
        try:
            names = os.listdir(f"{self.directory}/chains")
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names:
            if name.startswith(prefix):
                files.remove(self._note(name))

    def _note(self, name: str) -> str:
        return f"{self.directory}/chains/{name}"

    def open(self, attachment: Attachment, seconds: float) -> Entry | None:
        """Open and lock an attachment's record, waiting for whoever works on it."""
        path = self._path_of(attachment)
        try:
            file = lock.acquire_existing(path, seconds)
        except NotADirectoryError:
            return None
        return None if file is None else Entry(file, decode_record(files.read_all(file)))

    def write(self, record: Record) -> Entry:
        """Put a record in place, locked from the moment it can be seen."""
        path = self._path_of(record.attachment)
        file = files.create_scratch(path, encode_record(record))
        try:
            lock.lock_uncontended(file)
            os.rename(files.scratch_of(path), path)
        except BaseException:
            os.close(file)
            raise
        return Entry(file, record)

    def records(self) -> list[Record]:
        """Return all there are; what is no record is passed over."""
        directory = f"{self.directory}/attachments"
        try:
            names = sorted([name for name in os.listdir(directory) if not name.startswith(".")])
        except (FileNotFoundError, NotADirectoryError):
            return []
        found = [decode_record(files.read(f"{directory}/{name}") or b"") for name in names]
        return [record for record in found if record is not None]

    def forget(self, attachment: Attachment) -> None:
        """Remove an attachment's record."""
        files.remove_with_scratch(self._path_of(attachment))

    def contest(self, mappings: Iterable[PortMapping], attachment: Attachment) -> Contest:
        """Return who but an attachment claims what ``mappings`` ask for."""
        same, narrower = self._claims().find(mappings, but=record_name(attachment))
        return Contest(
            owners=tuple(self._records_with(same)),
            specific=tuple([record for record, _ in self._records_with(narrower)]),
        )

    def _records_with(
        self, contested: Mapping[str, set[Port]]
    ) -> list[tuple[Record, list[PortMapping]]]:
        found = []
        for name, ports in contested.items():
            record = decode_record(files.read(f"{self.directory}/attachments/{name}") or b"")
            if record is not None:
                concerned = [
                    item for item in record.mappings if not ports.isdisjoint(ports_of(item))
                ]
                found.append((record, concerned))
        return found

    def claim(self, record: Record, sharers: Iterable[Attachment] = ()) -> None:
        """Make the record's attachment the one owner of its ports, but for who may share them."""
        names = [record_name(each) for each in sharers]
        self._claims().take(record.mappings, record_name(record.attachment), names)

    def release(self, record: Record) -> None:
        """Give up the ports that still belong to the record's attachment."""
        self._claims().leave(record.mappings, record_name(record.attachment))

    def join(self, thing: str, attachment: Attachment) -> None:
        """Note that an attachment needs something that several share."""
        directory = self._users(thing)
        files.make_directory(directory)
        files.touch(f"{directory}/{record_name(attachment)}")

    def leave(self, thing: str, attachment: Attachment) -> bool:
        """Note that an attachment no longer does; tell whether nobody else needs it either."""
        directory = self._users(thing)
        files.remove(f"{directory}/{record_name(attachment)}")
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def is_shared(self, thing: str, *attachments: Attachment) -> bool:
        """Tell whether anybody but these attachments needs something."""
        own = [record_name(each) for each in attachments]
        try:
            with os.scandir(self._users(thing)) as users:
                return any(user.name not in own for user in users)
        except FileNotFoundError:
            return False

    def forget_unknown(self) -> None:
        """Void what belongs to attachments of which there is no record."""
        known = set(os.listdir(f"{self.directory}/attachments"))
        for thing in self.shared_things():
            for name in set(os.listdir(self._users(thing))) - known:
                files.remove(f"{self._users(thing)}/{name}")
            try:
                os.rmdir(self._users(thing))
            except OSError:
                continue  # Others need it.
        self._claims().keep(known)

    def shared_things(self) -> list[str]:
        """Return everything that some attachment needs and several may share."""
        try:
            return sorted(os.listdir(f"{self.directory}/users"))
        except FileNotFoundError:
            return []

    def _users(self, thing: str) -> str:
        return f"{self.directory}/users/{thing}"

    def _path_of(self, attachment: Attachment) -> str:
        return f"{self.directory}/attachments/{record_name(attachment)}"

    def _claims(self) -> Claims:
        return Claims(directory=f"{self.directory}/claims")


def _chain(plan: Plan, name: str) -> str:
    return f"{plan.family}-{plan.table}-{name}"
