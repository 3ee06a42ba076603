"""Who may have a port: the owners on record, the policy, and who counts as gone."""

from __future__ import annotations

import os

from mesos_cni_port_mapper.cni.errors import PORT_TAKEN
from mesos_cni_port_mapper.netfilter.changes import Transition
from mesos_cni_port_mapper.netfilter.outcome import RulesUntouchedError
from mesos_cni_port_mapper.portmap.mapping import ports_of, without_ports
from mesos_cni_port_mapper.portmap.plan import tables_of
from mesos_cni_port_mapper.portmap.rule import IPV4, RAW
from mesos_cni_port_mapper.portmap.traffic import IGNORE, NFTABLES, TAKEOVER
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesos_cni_port_mapper.netfilter.record import Record
    from mesos_cni_port_mapper.portmap.mapping import PortMapping


class Loser(Value):
    """An attachment that gives ports up, and why: its record, what it loses, whether it is gone."""

    record: Record
    mappings: tuple[PortMapping, ...]
    stale: bool

    def transition(self) -> Transition:
        """Return what becomes of it."""
        return Transition(before=self.record, after=self.rest())

    def rest(self) -> Record:
        """Return what its record is to be afterwards."""
        taken = [port for item in self.mappings for port in ports_of(item)]
        rest = self.record.but(mappings=tuple(without_ports(self.record.mappings, taken)))
        # Nothing guards loopback without a mapping there.
        return rest if (IPV4, RAW) in tables_of(rest.wish()) else rest.but(local_interface="")


def find_losers(
    record: Record, owners: Sequence[tuple[Record, list[PortMapping]]], policy: str
) -> list[Loser]:
    """Return the owners whose ports a record takes; raise ``RulesUntouchedError`` if it must not.

    An owner that is gone never keeps a port. Those who may share one keep it too, unless it is in a
    map, which cannot hold two.
    """
    losers = []
    wanted = {port for item in record.mappings for port in ports_of(item)}
    for owner, mappings in owners:
        if owner.attachment == record.attachment or not mappings:
            continue
        stale = is_stale(owner, record)
        shares = may_share(owner, record, policy)
        if stale or policy == TAKEOVER or (shares and record.backend == NFTABLES):
            # All addresses may have been asked for, and those of one family are wanted.
            kept = [port for item in mappings for port in ports_of(item) if port not in wanted]
            lost = tuple(without_ports(mappings, kept))
            losers.append(Loser(record=owner, mappings=lost, stale=stale))
        elif not shares:
            raise RulesUntouchedError(
                PORT_TAKEN,
                f"{described(mappings)} {'is' if len(mappings) == 1 else 'are'} taken by "
                f"{owner.attachment}",
            )
    return losers


def may_share(owner: Record, record: Record, policy: str) -> bool:
    """Tell whether two may have one port: by ``ignore``, or because they are one container.

    Some runtimes ask for a container's ports on each of its networks.
    """
    return policy == IGNORE or owner.attachment.container_id == record.attachment.container_id


def is_stale(owner: Record, record: Record) -> bool:
    """Tell whether an owner is surely gone; anything that leaves a doubt counts as alive.

    Tables die with the boot. An address that the delegate has just given to somebody else is not
    the owner's any more. And a namespace's path means something in its own mount namespace only.
    """
    hosts = {address.partition("/")[0] for address in owner.addresses}
    if hosts & {address.partition("/")[0] for address in record.addresses}:
        return True
    return is_gone(owner, record.boot_id, record.mount_namespace)


def is_gone(owner: Record, boot_id: str, mount_namespace: int) -> bool:
    """Tell whether an owner is surely gone for who is in a boot and a mount namespace."""
    if owner.boot_id != boot_id:
        return True
    return (
        owner.mount_namespace == mount_namespace
        and owner.netns != ""
        and not is_namespace(owner.netns)
    )


def is_namespace(path: str) -> bool:
    """Tell whether a path leads to a namespace still."""
    try:
        return os.stat(path).st_dev == os.stat("/proc/self/ns/net").st_dev
    except (OSError, ValueError):
        return False


def described(mappings: Sequence[PortMapping]) -> str:
    """Return ports as a message names them: "tcp 8080, udp 53 of 192.0.2.1"."""
    return ", ".join(
        [
            f"{item.protocol} {item.host_port}"
            + (f" of {item.host_address}" if item.host_address else "")
            for item in mappings
        ]
    )


def takeover_notice(record: Record, loser: Loser) -> str:
    """Return what is worth telling about ports that changed hands."""
    gone = ", which is gone" if loser.stale else ""
    return (
        f"{record.attachment} takes {described(loser.mappings)} over from "
        f"{loser.record.attachment}{gone}"
    )
