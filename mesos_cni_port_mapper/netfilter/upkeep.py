"""What concerns all attachments of a host: whom nobody knows any more, and tables that are gone."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from mesos_cni_port_mapper.netfilter.forwarder import Forwarder
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
