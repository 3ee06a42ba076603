"""What concerns all attachments of a host: whom nobody knows any more, and tables that are gone."""

from __future__ import annotations

import os

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.linux import sysctl
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from mesos_cni_port_mapper.netfilter.forwarder import Forwarder
    from mesos_cni_port_mapper.netfilter.gate import Gate
    from mesos_cni_port_mapper.netfilter.ledger import Ledger
    from mesos_cni_port_mapper.netfilter.record import Record
    from mesos_cni_port_mapper.portmap.attachment import Attachment


def remove_strays(
    forwarder: Forwarder, network: str, chain: str, kept: Collection[Attachment]
) -> None:
    """Remove what bears the mark of a network and is neither kept nor on record."""
    backends = forwarder.backends.usable()
    if not backends:
        return
    file = forwarder.lock()
    try:
        known = [*kept, *[record.attachment for record in forwarder.ledger.records()]]
        for name in backends:
            tools = forwarder.backend(name)
            for mark in tools.strays(network, known):
                forwarder.remove_marked(tools, mark, chain)
    finally:
        os.close(file)


def find_missing_tables(forwarder: Forwarder, records: Iterable[Record]) -> list[str]:
    """Return the tables that should hold something of records and are not there."""
    found = [
        table for record in records for table in forwarder.backend(record.backend).missing(record)
    ]
    return list(dict.fromkeys(found))


class Restored(Value):
    """What a restoration did: whose rules were amiss, which marks went, and what went wrong."""

    records: tuple[Record, ...]
    marks: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def find_strays(forwarder: Forwarder, kept: Collection[Attachment]) -> dict[str, list[str]]:
    """Return the marks of all networks that are nobody's of those kept, by back end."""
    found = {
        name: forwarder.backend(name).strays(None, kept) for name in forwarder.backends.usable()
    }
    return {name: marks for name, marks in found.items() if marks}


def restore(
    forwarder: Forwarder,
    records: Sequence[Record],
    gate: Gate,
    strays: Mapping[str, Sequence[str]] | None = None,
) -> Restored:
    """Bring back what records ask for, the oldest first; the lock must be held.

    ``strays`` are marks to be removed in the same batches, by back end. What one back end cannot do
    does not keep another from its part.
    """
    from mesos_cni_port_mapper.netfilter import restoration

    going = dict(strays or {})
    amiss: list[Record] = []
    gone: list[str] = []
    problems: list[str] = []
    for name in dict.fromkeys([*[record.backend for record in records], *going]):
        own = restoration.without_rivals([each for each in records if each.backend == name])
        marks = going.get(name, ())
        try:
            amiss += forwarder.backend(name).restore(own, restoration.find_raised(own), marks)
            # The guard is there now, and not before.
            amiss += [record for record in _let_out(own, gate) if record not in amiss]
            gone += marks
        except CniError as error:
            problems.append(str(error))
    return Restored(records=tuple(amiss), marks=tuple(gone), problems=tuple(problems))


def without_owners(
    forwarder: Forwarder, marks: Mapping[str, Sequence[str]], records: Sequence[Record]
) -> dict[str, list[str]]:
    """Return the marks, by back end, that none of some records is behind."""
    found = {}
    for name, each in marks.items():
        known = {forwarder.backend(name).mark_of(record.attachment) for record in records}
        found[name] = [mark for mark in each if mark not in known]
    return found


def _let_out(records: Iterable[Record], gate: Gate) -> list[Record]:
    shut = [
        record
        for record in records
        if record.local_interface and not sysctl.has_route_localnet(record.local_interface)
    ]
    gate.open(*shut)
    return shut


def shut_behind(
    forwarder: Forwarder, gate: Gate, gone: Iterable[Record], lost: Mapping[str, Sequence[str]]
) -> None:
    """Keep loopback in where only those who go let it out; ``lost`` are marks without a record."""
    gate.shut(*gone)
    for name, marks in lost.items():
        for mark in marks:
            own, others = forwarder.backend(name).local_targets(mark)
            if own:
                gate.shut_unrecorded(own, others)


def strike_off(ledger: Ledger, record: Record) -> None:
    """Take an attachment and all that it claims off the record; no rule is touched."""
    ledger.release(record)
    for thing in ledger.shared_things():
        ledger.leave(thing, record.attachment)
    ledger.forget(record.attachment)
