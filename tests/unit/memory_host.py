"""A host in memory: tables, a state directory, and a forwarder for each invocation."""

import errno
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.linux import sysctl
from mesos_cni_port_mapper.netfilter import conntrack, existing, ruleset
from mesos_cni_port_mapper.netfilter.backends import BackEnds
from mesos_cni_port_mapper.netfilter.conntrack import Flush
from mesos_cni_port_mapper.netfilter.forwarder import Forwarder
from mesos_cni_port_mapper.netfilter.iptables import Iptables
from mesos_cni_port_mapper.netfilter.ledger import Ledger
from mesos_cni_port_mapper.netfilter.nft import Nft
from mesos_cni_port_mapper.netfilter.record import Record, decode_record
from mesos_cni_port_mapper.netfilter.ruleset import Census
from mesos_cni_port_mapper.portmap.listing import Listing
from mesos_cni_port_mapper.portmap.mapping import PortMapping
from mesos_cni_port_mapper.portmap.nft_listing import NftListing
from mesos_cni_port_mapper.portmap.plan import TABLES
from mesos_cni_port_mapper.portmap.registers import PackedElement
from mesos_cni_port_mapper.portmap.rule import IPV4, IPV6, NAT
from mesos_cni_port_mapper.portmap.traffic import BACK_ENDS, IPTABLES, TAKEOVER, Traffic
from tests.unit.memory_nft import MemoryNft
from tests.unit.memory_table import MemoryTable, RefusedError, comment_of
from tests.unit.wishes import attachment, mapping

SPOKEN = {"4 nat": "", "4 raw": "raw ", "6 nat": "v6 "}
"""How the journal names a table; most of it is about one."""


class TableTools(Iptables):
    """Tools that work on tables in memory and keep a journal of how each batch ended.

    A batch is failed by what ``failures`` has next under the table's name in the journal.
    """

    family: int
    tables: dict[tuple[int, str], MemoryTable]
    journal: list[str]
    failures: dict[str, list[CniError]]
    runs: list[list[str]]
    nft_variant: bool = False

    def is_nft_variant(self) -> bool:
        return self.nft_variant

    def listing(self, table: str) -> Listing:
        self.journal.append(f"{self._spoken(table)}list")
        return self.tables[self.family, table].listing()

    def commit(self, *batches: tuple[str, Sequence[str]]) -> str:
        self.runs.append([f"{self.family} {table}" for table, _ in batches])
        for table, lines in batches:
            refusal = self._commit_one(table, lines)
            if refusal:
                return refusal
        return ""

    def _commit_one(self, table: str, lines: Sequence[str]) -> str:
        spoken = self._spoken(table)
        if self.failures.get(spoken):
            raise self.failures[spoken].pop(0)
        try:
            self.tables[self.family, table].restore(lines)
        except RefusedError as refusal:
            self.journal.append(f"{spoken}refused {lines[0].split()[0]}")
            return str(refusal)
        self.journal.append(f"{spoken}committed {lines[0].split()[0]}")
        return ""

    def _spoken(self, table: str) -> str:
        return SPOKEN[f"{self.family} {table}"]


class MemoryRuleset:
    """What is seen of tables in memory without a tool; a rule's handle is its text."""

    def __init__(self, tables: dict[tuple[int, str], MemoryTable], journal: list[str]) -> None:
        self.tables = tables
        self.journal = journal
        self.meanwhile: list[Callable[[], None]] = []
        """What somebody else does before the next rules are deleted."""

    def take_census(self, family: int, table: str, comments: Sequence[str]) -> Census:
        chains = {}
        for name, rules in self.tables[family, table].chains.items():
            borne = [rule for rule in rules if comment_of(rule).endswith(tuple(comments))]
            if rules:
                chains[name] = len(rules), tuple([rule.encode() for rule in borne])
        return Census(generation=self._generation(), chains=chains)

    def delete_rules(self, rules: Sequence[tuple[int, str, str, bytes]], generation: bytes) -> None:
        if self.meanwhile:
            self.meanwhile.pop(0)()
        if generation != self._generation():
            raise InterruptedError(errno.ERESTART, "it was changed")
        for family, table, chain, handle in rules:
            self.tables[family, table].restore([f"-D {chain} {handle.decode()}"])
        self.journal.append(f"deleted {len(rules)}")

    def _generation(self) -> bytes:
        return repr([table.chains for table in self.tables.values()]).encode()


class MemoryNftTool(Nft):
    """nft(8) that works on tables in memory; a batch is failed by what ``failures`` has next.

    What ``deaths`` has next comes after a batch was carried out.
    """

    memory: MemoryNft
    journal: list[str]
    failures: list[CniError]
    deaths: list[CniError]

    def listing(self, family: int) -> NftListing | None:
        self.journal.append(f"nft {family} list")
        return self.memory.listing(family)

    def delete(self, elements: Mapping[int, Sequence[PackedElement]]) -> bool:
        if self.failures or self.deaths:
            return False
        try:
            self.memory.delete(elements)
        except RefusedError:
            return False
        self.journal.append("nft deleted")
        return True

    def commit(self, lines: Sequence[str]) -> str:
        if self.failures:
            raise self.failures.pop(0)
        try:
            self.memory.carry_out(lines)
        except RefusedError as refusal:
            self.journal.append(f"nft refused {lines[0]}")
            return str(refusal)
        self.journal.append("nft committed")
        if self.deaths:
            raise self.deaths.pop(0)
        return ""


class MemoryBackEnds(BackEnds):
    """What a host has that works in memory: iptables and nft, or without them nothing."""

    def __init__(self, tools: dict[int, Iptables], nft: MemoryNftTool | None = None) -> None:
        super().__init__({}, 1)
        self._nft = lambda: "nft" if nft else ""  # type: ignore[method-assign]
        self._memory = nft
        self._found = {name: tools if name == IPTABLES else {} for name in BACK_ENDS}

    def nft(self, keep: tuple[int, ...] = ()) -> Nft:
        return self._memory.but(keep=keep) if self._memory else super().nft(keep)


class MemoryHost:
    """Tables and a state directory, and the forwarders of one invocation after the other.

    Nothing here touches the machine: its kernel parameters are files, its flows are not there.
    """

    def __init__(
        self, directory: Path, monkeypatch: pytest.MonkeyPatch, *, nft_variant: bool = False
    ) -> None:
        self.directory = directory
        self.ledger = Ledger(directory=f"{directory}/state")
        self.tables = {(family, name): MemoryTable(name, family) for family, name in TABLES}
        self.journal: list[str] = []
        self.failures: dict[str, list[CniError]] = {}
        self.runs: list[list[str]] = []
        self.flushes: list[Flush] = []
        self.tools: dict[int, Iptables] = {
            family: TableTools(
                restore=("restore",),
                save=("save",),
                environ={},
                seconds=1,
                family=family,
                tables=self.tables,
                journal=self.journal,
                failures=self.failures,
                runs=self.runs,
                nft_variant=nft_variant,
            )
            for family in (IPV4, IPV6)
        }
        self.ruleset = MemoryRuleset(self.tables, self.journal)
        self.nft: MemoryNftTool | None = None
        for interface in ("cni0", "cni1"):
            (directory / interface).write_text("0")
        monkeypatch.setattr(sysctl, "_path", lambda interface: f"{directory}/{interface}")
        monkeypatch.setattr(conntrack, "apply", self.flushes.extend)
        monkeypatch.setattr(ruleset, "take_census", self.ruleset.take_census)
        monkeypatch.setattr(ruleset, "delete_rules", self.ruleset.delete_rules)
        monkeypatch.setattr(existing, "has_table", lambda *_: True)
        monkeypatch.setattr(existing, "has_legacy_table", lambda *_: False)

    @property
    def nat(self) -> MemoryTable:
        """The table that most of it is about: IPv4's."""
        return self.tables[IPV4, NAT]

    def forwarder(self, seconds: float = 1) -> Forwarder:
        return Forwarder(self.ledger, MemoryBackEnds(self.tools, self.nft), seconds)

    def install_nft(self) -> MemoryNftTool:
        """Have an nft(8) besides iptables, and return it."""
        self.nft = MemoryNftTool(
            program="nft",
            environ={},
            seconds=1,
            memory=MemoryNft(),
            journal=self.journal,
            failures=[],
            deaths=[],
        )
        return self.nft

    def add(self, record: Record, policy: str = TAKEOVER) -> list[str]:
        forwarder = self.forwarder()
        forwarder.register(record.but(mappings=(), addresses=(), local_interface=""))
        try:
            return forwarder.forward(record, policy)
        finally:
            forwarder.close()

    def delete(self, record: Record) -> None:
        forwarder = self.forwarder()
        forwarder.resume(record.attachment)
        forwarder.withdraw(record.attachment, record.chain)
        forwarder.close(forget=record.attachment)

    def fail(self, failure: CniError, table: str = "") -> None:
        """Have the next batch fail for a table, as the journal names it."""
        self.failures.setdefault(table, []).append(failure)

    def told(self) -> list[str]:
        """Return the journal since it was last asked for."""
        told = list(self.journal)
        self.journal.clear()
        return told

    def lets_loopback_out(self, interface: str) -> bool:
        return (self.directory / interface).read_text() == "1"

    @property
    def tags(self) -> list[str]:
        """Whose rules there are in IPv4's nat table, in their order."""
        return tags_in(self.nat)

    @property
    def records(self) -> list[Record | None]:
        directory = Path(self.ledger.directory) / "attachments"
        return sorted([decode_record(path.read_bytes()) for path in directory.iterdir()], key=repr)


def tags_in(table: MemoryTable) -> list[str]:
    return [
        comment_of(rule).split()[1]
        for rules in table.chains.values()
        for rule in rules
        if comment_of(rule)
    ]


def is_pristine(host: MemoryHost) -> bool:
    """Tell whether the tables of iptables are as if nobody had been there."""
    return all(
        table.chains == MemoryTable(table.name, table.family).chains
        for table in host.tables.values()
    )


def dual(container_id: str, *ports: int) -> Record:
    """Return what is on record for a container with ports in both families."""
    number = ord(container_id[0])
    addresses = (f"192.0.2.{number}/24", f"2001:db8::{number}/64")
    return record(container_id, *ports, addresses=addresses)


def local(container_id: str, *ports: int, interface: str = "cni0") -> Record:
    """Return what is on record for a container with rules in every table."""
    return dual(container_id, *ports).but(
        traffic=Traffic(localhost=True), local_interface=interface
    )


def record_of(container_id: str, *mappings: PortMapping, **fields: Any) -> Record:
    return Record(
        attachment=attachment(container_id),
        **{
            "chain": "CHAIN",
            "netns": "",
            "boot_id": "b00t",
            "mount_namespace": 1,
            "mappings": mappings,
            # Each its own: whoever is given another's address is its successor.
            "addresses": (f"192.0.2.{ord(container_id[0])}/24",),
            **fields,
        },
    )


def record(container_id: str, *ports: int, **fields: Any) -> Record:
    """Return what is on record for a container with TCP ports."""
    return record_of(container_id, *[mapping(port) for port in ports], **fields)
