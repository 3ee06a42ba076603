"""What is asked about a network and not about an attachment: GC and STATUS."""

from __future__ import annotations

from mesos_cni_port_mapper.cni.errors import (
    RULES_FAILED,
    UNAVAILABLE,
    UNAVAILABLE_AND_IMPAIRED,
    CniError,
)
from mesos_cni_port_mapper.cni.garbage import parse_valid_attachments
from mesos_cni_port_mapper.linux import sysctl
from mesos_cni_port_mapper.netfilter import upkeep
from mesos_cni_port_mapper.netfilter.conflicts import is_namespace
from mesos_cni_port_mapper.port_mapper.work import Setting
from mesos_cni_port_mapper.portmap.attachment import Attachment
from mesos_cni_port_mapper.portmap.plan import endpoints_of
from mesos_cni_port_mapper.portmap.rule import IPV4

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from mesos_cni_port_mapper.netfilter.record import Record

_FORWARDS = ("bridge", "ptp")
"""Delegates that have the host forward, where they are its gateway."""


class Network(Setting):
    """One request about a network being served."""

    def collect_garbage(self) -> None:
        """Remove attachments that are not among the valid ones, then have the delegates do so.

        Without a list of valid ones nothing of ours is removed. What fails does not keep the rest
        from being removed, but the delegates from freeing addresses that rules may lead to.
        """
        valid = parse_valid_attachments(self.request.netconf)
        if valid is not None:
            name = self.configuration.name
            self._collect(
                {
                    Attachment(network=name, container_id=container_id, ifname=ifname)
                    for container_id, ifname in valid
                }
            )
        self.find_delegates()
        self.make_delegates(self.request.environ, ()).collect_garbage()

    def _collect(self, valid: Collection[Attachment]) -> None:
        failures = []
        for record in self._records():
            if record.attachment not in valid:
                try:
                    self._detach(record)
                except CniError as error:
                    failures.append(f"{record.attachment}: {error}")
        try:
            upkeep.remove_strays(
                self.make_forwarder(), self.configuration.name, self.configuration.chain, valid
            )
        except CniError as error:
            failures.append(f"rules that are not on record: {error}")
        if failures:
            raise CniError(
                RULES_FAILED,
                f"not everything that is left of network {self.configuration.name} was removed",
                "\n".join(failures),
            )

    def _detach(self, record: Record) -> None:
        """Do what a DEL would do, in its order."""
        forwarder = self.make_forwarder()
        current = forwarder.resume(record.attachment)
        if current is None:
            forwarder.close()
            return
        try:
            forwarder.withdraw(current.attachment, current.chain)
            self.find_delegates()
            environ = _environment_of(current, self.request.environ)
            delegates = self.make_delegates(environ, current.delegate_versions, forwarder.keep())
            delegates.delete(None)
        except BaseException:
            forwarder.close()
            raise
        forwarder.close(forget=current.attachment)

    def complain_unless_ready(self) -> None:
        """Raise ``CniError`` with what would keep an ADD from working, or keeps traffic away."""
        records = [record for record in self._records() if record.mappings]
        families = {
            endpoint.family for record in records for endpoint in endpoints_of(record.addresses)
        }
        try:
            self.find_delegates()
            self.make_forwarder().preflight(self.backend)
            self.make_forwarder().backend(self.backend).rehearse(families or {IPV4})
        except CniError as error:
            raise CniError(UNAVAILABLE, error.msg, error.details) from error
        self._complain_if_gone(records)
        for family in sorted(families or self._families_left_alone()):
            if not sysctl.forwards(family):
                raise CniError(
                    UNAVAILABLE_AND_IMPAIRED if records else UNAVAILABLE,
                    f"this host does not forward: {sysctl.FORWARDING[family]} is 0",
                )
        self.make_delegates(self.request.environ, ()).complain_unless_ready()

    def _complain_if_gone(self, records: Sequence[Record]) -> None:
        missing = upkeep.find_missing_tables(self.make_forwarder(), records)
        if missing:
            raise CniError(
                UNAVAILABLE_AND_IMPAIRED,
                f"the rules of network {self.configuration.name} are gone: no {', '.join(missing)}",
            )

    def _families_left_alone(self) -> set[int]:
        """Return the families in which nobody would have the host forward at the first ADD."""
        delegates = self.configuration.delegates
        return set() if any(each["type"] in _FORWARDS for each in delegates) else {IPV4}

    def _records(self) -> list[Record]:
        return [
            record
            for record in self.ledger.records()
            if record.attachment.network == self.configuration.name
        ]


def _environment_of(record: Record, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a DEL for a recorded attachment."""
    own = {
        **environ,
        "CNI_CONTAINERID": record.attachment.container_id,
        "CNI_IFNAME": record.attachment.ifname,
    }
    own.pop("CNI_NETNS", None)
    if is_namespace(record.netns):
        own["CNI_NETNS"] = record.netns
    return own
