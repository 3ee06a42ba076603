"""A host in memory: a nat table, a state directory, and a forwarder for each invocation."""

from pathlib import Path
from typing import Any

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.netfilter.forwarder import Forwarder
from mesos_cni_port_mapper.netfilter.iptables import Iptables
from mesos_cni_port_mapper.netfilter.ledger import Ledger
from mesos_cni_port_mapper.netfilter.record import Record, decode_record
from mesos_cni_port_mapper.portmap.attachment import Attachment
from mesos_cni_port_mapper.portmap.listing import Listing
from mesos_cni_port_mapper.portmap.mapping import PortMapping
from tests.unit.nat_table import NatTable, RefusedError, comment_of


class TableTools(Iptables):
    """Tools that work on a table in memory and keep a journal of how each batch ended."""

    table: NatTable
    journal: list[str]
    failure: list[CniError]

    def listing(self) -> Listing:
        self.journal.append("list")
        return self.table.listing()

    def _commit(self, lines: Any) -> str:
        if self.failure:
            raise self.failure.pop()
        try:
            self.table.restore(lines)
        except RefusedError as refusal:
            self.journal.append(f"refused {lines[0].split()[0]}")
            return str(refusal)
        self.journal.append(f"committed {lines[0].split()[0]}")
        return ""


class MemoryHost:
    """A table and a state directory, and the forwarders of one invocation after the other."""

    def __init__(self, directory: Path) -> None:
        self.ledger = Ledger(directory=f"{directory}/state")
        self.tools = TableTools(
            restore="restore",
            save="save",
            environ={},
            seconds=1,
            table=NatTable(),
            journal=[],
            failure=[],
        )

    def forwarder(self, seconds: float = 1) -> Forwarder:
        return Forwarder(self.ledger, self.tools, seconds)

    def add(self, record: Record) -> list[str]:
        forwarder = self.forwarder()
        forwarder.register(record.but(mappings=(), address=""))
        try:
            return forwarder.forward(record)
        finally:
            forwarder.close()

    def delete(self, record: Record) -> None:
        forwarder = self.forwarder()
        forwarder.resume(record.attachment)
        forwarder.withdraw(record.attachment, record.chain)
        forwarder.close(forget=record.attachment)

    def told(self) -> list[str]:
        """Return the journal since it was last asked for."""
        told = list(self.tools.journal)
        self.tools.journal.clear()
        return told

    @property
    def tags(self) -> list[str]:
        return [
            comment_of(rule).split()[1]
            for rules in self.tools.table.chains.values()
            for rule in rules
            if comment_of(rule)
        ]

    @property
    def records(self) -> list[Record | None]:
        directory = Path(self.ledger.directory) / "attachments"
        return sorted([decode_record(path.read_bytes()) for path in directory.iterdir()], key=repr)


def record(container_id: str, *ports: int, chain: str = "CHAIN") -> Record:
    return Record(
        attachment=Attachment(network="net", container_id=container_id, ifname="eth0"),
        chain=chain,
        netns="",
        boot_id="b00t",
        mount_namespace=1,
        mappings=tuple(
            PortMapping(protocol="tcp", host_port=port, container_port=80) for port in ports
        ),
        address="192.0.2.2",
    )
