"""nft(8): one transaction a run, and listings of a table of ours.

Decisions are taken by exit status, never by message, and 1 is the only one it has for a failure.
"""

from __future__ import annotations

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.cni.errors import RULES_FAILED, CniError
from mesos_cni_port_mapper.netfilter.outcome import RulesUntouchedError
from mesos_cni_port_mapper.netfilter.tool import Tool, words_of
from mesos_cni_port_mapper.portmap.nft_table import NAME, table_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from mesos_cni_port_mapper.portmap.nft_listing import NftListing
    from mesos_cni_port_mapper.portmap.registers import PackedElement


class Nft(Tool):
    """The tool; ``program`` is its path, "" where there is none."""

    program: str

    def preflight(self) -> None:
        """Complain if it is not there, without starting a program."""
        if not self.program:
            raise RulesUntouchedError(
                RULES_FAILED,
                "nft is not installed",
                "looked in PATH, /usr/sbin and /sbin; install the package nftables",
            )

    def rehearse(self, lines: Sequence[str]) -> None:
        """Complain if a batch would be refused; nothing is changed."""
        done = self.run([self.program, "-c", "-f", "-"], "\n".join([*lines, ""]).encode())
        if done.status != 0:
            raise CniError(RULES_FAILED, f"{self.program} cannot make our table", words_of(done))

    def ruleset(self) -> Any:
        """Return everything there is, everybody's, as nft says it (libnftables-json(5))."""
        done = self.run([self.program, "-j", "list", "ruleset"], b"")
        try:
            if done.status == 0:
                return codec.decode(done.stdout)
        except ValueError:
            pass
        raise RulesUntouchedError(
            RULES_FAILED, f"{self.program} cannot list what others have", words_of(done)
        )

    def listing(self, family: int) -> NftListing | None:
        """Return a table as it is, or nothing where there is none."""
        from mesos_cni_port_mapper.netfilter.existing import has_nft_table
        from mesos_cni_port_mapper.portmap.nft_listing import parse_nft_listing

        if not has_nft_table(family, NAME):
            return None
        try:
            done = self.run([self.program, "-j", "list", "table", *table_of(family).split()], b"")
        except CniError as error:
            raise RulesUntouchedError(error.code, error.msg, error.details) from error
        if done.status != 0:
            raise RulesUntouchedError(
                RULES_FAILED,
                f"{self.program} cannot list table {table_of(family)} (exit status {done.status})",
                words_of(done),
            )
        try:
            return parse_nft_listing(done.stdout)
        except ValueError as error:
            raise RulesUntouchedError(
                RULES_FAILED, f"{self.program} did not print table {table_of(family)}", str(error)
            ) from error

    def delete(self, elements: Mapping[int, Sequence[PackedElement]]) -> bool:
        """Delete elements of our tables, by family, without the tool; tell whether it was done.

        If one of them has another value, none is deleted.
        """
        from mesos_cni_port_mapper.netfilter import ruleset

        try:
            ruleset.delete_elements(NAME, elements)
        except OSError:
            return False
        return True

    def commit(self, lines: Sequence[str]) -> str:
        """Commit a batch; return "" or, when it was refused, what the tool said."""
        done = self.run([self.program, "-f", "-"], "\n".join([*lines, ""]).encode())
        if done.status < 0:
            raise CniError(RULES_FAILED, f"{self.program} was ended by signal {-done.status}")
        return "" if done.status == 0 else words_of(done) or f"exit status {done.status}"
