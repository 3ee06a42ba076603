"""The back ends there are, and which of them this host can use.

They behave alike: the tests of ``tests/netns/behaviour`` run on each. What an attachment's rules
were made with is on its record, so that another choice later leaves nothing behind.
"""

from __future__ import annotations

from mesos_cni_port_mapper.linux import process
from mesos_cni_port_mapper.portmap.rule import IPV4, IPV6, NAT
from mesos_cni_port_mapper.portmap.traffic import IPTABLES, LIBIPTC, NFTABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Protocol

    from mesos_cni_port_mapper.netfilter.changes import Step
    from mesos_cni_port_mapper.netfilter.iptables import Iptables
    from mesos_cni_port_mapper.netfilter.ledger import Ledger
    from mesos_cni_port_mapper.netfilter.nft import Nft
    from mesos_cni_port_mapper.netfilter.record import Record
    from mesos_cni_port_mapper.portmap.attachment import Attachment

    class BackEnd(Protocol):
        """What makes the kernel agree with what is on record; methods raise ``CniError``."""

        def preflight(self) -> None:
            """Complain if no rule could be made, without starting a program."""

        def apply(self, step: Step) -> None:
            """Carry a step out; ``RulesUntouchedError`` means that none of it happened."""

        def mark_of(self, attachment: Attachment) -> str:
            """Return what marks what an attachment has there."""

        def remove(self, mark: str, chain: str, bare: str = "") -> None:
            """Remove all that bears a mark and is not on record, in whatever chain.

            ``bare`` is how the original plugin marked rules in ``chain``, "" for them to be kept.
            """

        def strays(self, network: str | None, kept: Collection[Attachment]) -> list[str]:
            """Return the marks of a network's attachments, or of all networks', but for some."""

        def restore(
            self, records: Sequence[Record], raised: Collection[str], strays: Sequence[str] = ()
        ) -> list[Record]:
            """Bring back what records ask for, the newest last, in one batch a table.

            ``raised`` are tags as in a ``Step``, ``strays`` marks to be removed in passing. Where
            nothing is amiss nothing is sent. Returns the records of which something was missing.
            """

        def local_targets(self, mark: str) -> tuple[set[str], set[str]]:
            """Return where ports of loopback lead to: those with a mark, and everybody else's."""

        def rehearse(self, families: Collection[int]) -> None:
            """Complain if the kernel would not take rules of families; nothing is changed."""

        def missing(self, record: Record) -> list[str]:
            """Return the tables that should hold something of a record and are not there."""

        def differences(self, record: Record) -> list[str]:
            """Name everything in which the kernel differs from what a record asks for."""


_MISSING = {
    (IPTABLES, IPV4): "iptables-restore and iptables-save are",
    (IPTABLES, IPV6): "ip6tables-restore and ip6tables-save are",
    (LIBIPTC, IPV4): "mesos-cni-libiptc is",
    (LIBIPTC, IPV6): "mesos-cni-libiptc is",
    (NFTABLES, IPV4): "nft is",
    (NFTABLES, IPV6): "nft is",
}


class BackEnds:
    """What this host has; ``seconds`` is the deadline of one run of a tool."""

    def __init__(self, environ: Mapping[str, str], seconds: float) -> None:
        self._environ = environ
        self._seconds = seconds
        self._found: dict[str, dict[int, Iptables]] = {}
        self._found_nft: str | None = None

    def usual(self) -> str:
        """Return the one that is used where the configuration names none."""
        return IPTABLES if self.families(IPTABLES) or not self.families(NFTABLES) else NFTABLES

    def families(self, name: str) -> list[int]:
        """Return the families in which a back end works here."""
        if name == NFTABLES:
            return [IPV4, IPV6] if self._nft() else []
        return list(self.tools(name))

    def obstacles(self, name: str) -> dict[int, str]:
        """Return the families in which a back end does not work here, each with what is missing."""
        missing = {
            family: _MISSING[name, family]
            for family in (IPV4, IPV6)
            if family not in self.families(name)
        }
        return {family: f"{programs} not installed" for family, programs in missing.items()}

    def usable(self) -> list[str]:
        """Return those whose rules could be found and removed here."""
        found = [name for name in (IPTABLES, NFTABLES) if self.families(name)]
        return [*found, LIBIPTC] if self._needs_libiptc() else found

    def world_of(self, name: str) -> str:
        """Return what stands for the tables that a back end works on: two may share theirs."""
        if name == IPTABLES and (self._shows_legacy(IPV4) or self._shows_legacy(IPV6)):
            return LIBIPTC
        return name

    def _needs_libiptc(self) -> bool:
        """Tell whether there are legacy tables that the host's own iptables does not show."""
        from mesos_cni_port_mapper.netfilter.existing import has_legacy_table

        return any(
            has_legacy_table(family, NAT)
            and not self._shows_legacy(family)
            and family in self.families(LIBIPTC)
            for family in (IPV4, IPV6)
        )

    def _shows_legacy(self, family: int) -> bool:
        tools = self.tools(IPTABLES).get(family)
        return tools is not None and not tools.is_nft_variant()

    def get(self, name: str, ledger: Ledger, keep: tuple[int, ...] = ()) -> BackEnd:
        """Return a back end; its children inherit the descriptors of ``keep``."""
        if name == NFTABLES:
            from mesos_cni_port_mapper.netfilter.nftables import NfTables

            return NfTables(nft=self.nft(keep), ledger=ledger, tools=lambda: self.tools(IPTABLES))
        from mesos_cni_port_mapper.netfilter.tables import Tables

        return Tables(tools=self.tools(name), ledger=ledger, keep=keep, is_legacy=name == LIBIPTC)

    def nft(self, keep: tuple[int, ...] = ()) -> Nft:
        """Return the tool of nf_tables, which may not be there."""
        from mesos_cni_port_mapper.netfilter.nft import Nft

        return Nft(program=self._nft(), environ=self._environ, seconds=self._seconds, keep=keep)

    def _nft(self) -> str:
        if self._found_nft is None:
            self._found_nft = process.find_tool("nft", self._environ)
        return self._found_nft

    def tools(self, name: str) -> dict[int, Iptables]:
        """Return the tools for tables of iptables by family, those that are there."""
        found = self._found.get(name)
        if found is None:
            found = self._found[name] = self._find(name)
        return found

    def _find(self, name: str) -> dict[int, Iptables]:
        from mesos_cni_port_mapper.netfilter.iptables import find_iptables, find_libiptc

        find = find_libiptc if name == LIBIPTC else find_iptables
        tools = {family: find(family, self._environ, self._seconds) for family in (IPV4, IPV6)}
        return {family: each for family, each in tools.items() if each}
