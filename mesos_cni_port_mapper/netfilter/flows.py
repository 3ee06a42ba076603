"""Which flows must be forgotten when forwarding changes: those of UDP, which no packet ends.

A flow that began before the rule keeps going where it went, to the host itself or to a container
that is gone; one that began under it keeps going to this container when it has gone.
"""

from __future__ import annotations

from mesos_cni_port_mapper.cni.errors import os_reason
from mesos_cni_port_mapper.netfilter import conntrack
from mesos_cni_port_mapper.netfilter.conntrack import ORIGINAL, REPLY, Flush
from mesos_cni_port_mapper.portmap.mapping import of_family, runs_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mesos_cni_port_mapper.netfilter.record import Record
    from mesos_cni_port_mapper.portmap.mapping import PortRun
    from mesos_cni_port_mapper.portmap.plan import Endpoint

_ENDLESS = "udp"


def forget(record: Record, *, leaving: bool) -> list[str]:
    """Have flows forgotten; return what went wrong with that, which is no reason to fail."""
    try:
        conntrack.apply(plan_departure(record) if leaving else plan_arrival(record))
    except OSError as error:
        return [f"flows that began earlier may go on as they did: {os_reason(error)}"]
    return []


def plan_arrival(record: Record) -> list[Flush]:
    """Plan for what was sent to the host's ports until now."""
    return [
        Flush(
            family=endpoint.family,
            protocol=run.protocol,
            direction=ORIGINAL,
            address=run.host_address,
            port=run.host_port,
            count=run.count,
        )
        for endpoint, run in _endless_runs(record)
    ]


def plan_departure(record: Record) -> list[Flush]:
    """Plan for that, and for what the container was answering."""
    answers = [
        Flush(
            family=endpoint.family,
            protocol=run.protocol,
            direction=REPLY,
            address=endpoint.address,
            port=run.container_port,
            count=run.count,
        )
        for endpoint, run in _endless_runs(record)
    ]
    return plan_arrival(record) + answers


def _endless_runs(record: Record) -> list[tuple[Endpoint, PortRun]]:
    return [
        (endpoint, run)
        for endpoint in record.wish().endpoints
        for run in runs_of(of_family(record.mappings, endpoint.family))
        if run.protocol == _ENDLESS
    ]
