"""Who is on record in a network namespace, and which of them are there still."""

from __future__ import annotations

import os

from mesos_cni_port_mapper.linux import lock
from mesos_cni_port_mapper.netfilter.conflicts import is_gone
from mesos_cni_port_mapper.portmap.attachment import record_name
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mesos_cni_port_mapper.linux.host import Host
    from mesos_cni_port_mapper.netfilter.ledger import Ledger
    from mesos_cni_port_mapper.netfilter.record import Record

LIVE, STALE = "live", "stale"


class Holding(Value):
    """An attachment on record; ``written`` is when, in nanoseconds.

    ``reason`` is why it is stale, "" for one that counts as alive. ``is_busy`` says that a plugin
    works on it at this moment.
    """

    record: Record
    written: int
    reason: str = ""
    is_busy: bool = False

    @property
    def state(self) -> str:
        """Return ``live`` or ``stale``."""
        return STALE if self.reason else LIVE


def take_inventory(ledger: Ledger, host: Host) -> list[Holding]:
    """Return everybody on record, the oldest record first."""
    holdings = []
    for record in ledger.records():
        path = f"{ledger.directory}/attachments/{record_name(record.attachment)}"
        try:
            written = os.stat(path).st_mtime_ns
        except FileNotFoundError:  # Deleted since the directory was listed.
            continue
        holdings.append(
            Holding(
                record=record,
                written=written,
                reason=_reason_of(record, host),
                is_busy=lock.is_held(path),
            )
        )
    return sorted(holdings, key=lambda each: each.written)


def _reason_of(record: Record, host: Host) -> str:
    if not is_gone(record, host.boot_id, host.mount_namespace):
        return ""
    if record.boot_id != host.boot_id:
        return "it is of an earlier boot, or of a network namespace that is gone"
    return f"its network namespace {record.netns} is gone"
