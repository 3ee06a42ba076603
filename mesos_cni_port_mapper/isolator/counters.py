"""Counting a container's packets: ``/proc/net/dev`` as it is seen from within its namespace."""

from __future__ import annotations

from collections.abc import Collection

_RECEIVED = ("net_rx_bytes", "net_rx_packets", "net_rx_errors", "net_rx_dropped")
_SENT = ("net_tx_bytes", "net_tx_packets", "net_tx_errors", "net_tx_dropped")
_SENT_FROM = 8
FIELDS = (*_RECEIVED, *_SENT)


def sum_counters(table: str, interfaces: Collection[str]) -> dict[str, int]:
    """Return Mesos' ``net_`` statistics, summed over the interfaces that are there."""
    totals = dict.fromkeys(FIELDS, 0)
    for line in table.splitlines():
        # The headings have no colon.
        name, _, rest = line.strip().partition(":")
        if name not in interfaces:
            continue
        columns = [int(word) for word in rest.split()]
        for field, value in zip(_RECEIVED, columns, strict=False):
            totals[field] += value
        for field, value in zip(_SENT, columns[_SENT_FROM:], strict=False):
            totals[field] += value
    return totals
