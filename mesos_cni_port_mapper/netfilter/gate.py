"""The way out of loopback: open on an interface for as long as somebody's port needs it."""

from __future__ import annotations

from mesos_cni_port_mapper.cni.errors import IO_FAILURE, CniError, os_reason
from mesos_cni_port_mapper.linux import sysctl
from mesos_cni_port_mapper.portmap import loopback
from mesos_cni_port_mapper.portmap.listing import bears_tag, destination_of
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mesos_cni_port_mapper.netfilter.ledger import Ledger
    from mesos_cni_port_mapper.netfilter.record import Record
    from mesos_cni_port_mapper.portmap.listing import Listing


class Gate(Value):
    """``route_localnet`` on the interfaces towards containers, and in a ledger who needs it.

    Its guard in the raw table must be there before it is opened, and until it is shut.
    """

    ledger: Ledger

    def open(self, *records: Record) -> None:
        """Let loopback out to the records' containers, those that need it."""
        for record in records:
            if record.local_interface:
                self.ledger.join(_way_by(record.local_interface), record.attachment)
                _set(record.local_interface, on=True)

    def shut(self, *records: Record) -> None:
        """Keep it in again, on interfaces by which nobody else needs it."""
        for record in records:
            interface = record.local_interface
            if interface and self.ledger.leave(_way_by(interface), record.attachment):
                _set(interface, on=False)

    def shut_unrecorded(self, own: set[str], others: set[str]) -> None:
        """Keep it in where one whose record is lost, and nobody else, let it out.

        ``own`` are the addresses its ports of loopback lead to, ``others`` everybody else's.
        """
        from mesos_cni_port_mapper.linux.netlink import route_interface

        needed = {route_interface(address) for address in others}
        for interface in {route_interface(address) for address in own} - needed - {""}:
            _set(interface, on=False)


def find_local_targets(listing: Listing, tag: str) -> tuple[set[str], set[str]]:
    """Return where ports of loopback lead to: by rules of a tag, and by all others."""
    own: set[str] = set()
    others: set[str] = set()
    for chain, rules in listing.chains.items():
        if chain.startswith(loopback.PREFIX):
            for rule in rules:
                target = destination_of(rule)
                if target:
                    (own if bears_tag(rule, tag) else others).add(target)
    return own, others


def _way_by(interface: str) -> str:
    return f"loopback-{interface}"


def _set(interface: str, *, on: bool) -> None:
    try:
        sysctl.set_route_localnet(interface, on=on)
    except OSError as error:
        raise CniError(
            IO_FAILURE, f"cannot set route_localnet of {interface}", os_reason(error)
        ) from error
