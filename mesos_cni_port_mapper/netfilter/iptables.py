"""Tables through iptables(8), its nft or legacy variant, whichever the host's is, or libiptc.

Every change is one run of iptables-restore, or of our own program that does the same to the legacy
tables without it. Decisions are taken by exit status, never by message:
the texts differ between versions and variants.
"""

from __future__ import annotations

import os

from mesos_cni_port_mapper.cni.errors import RULES_FAILED, TRY_AGAIN, CniError
from mesos_cni_port_mapper.linux import lock, process
from mesos_cni_port_mapper.netfilter import batch
from mesos_cni_port_mapper.netfilter.outcome import RulesUntouchedError
from mesos_cni_port_mapper.netfilter.tool import Tool, words_of
from mesos_cni_port_mapper.portmap.listing import parse_listing
from mesos_cni_port_mapper.portmap.rule import IPV4

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from mesos_cni_port_mapper.netfilter.ruleset import RuleHandle
    from mesos_cni_port_mapper.portmap.listing import Listing
    from mesos_cni_port_mapper.portmap.rule import Plan

    Check = Callable[[Listing], None]

_ATTEMPTS = 3
"""How often to list and try again when somebody who does not share our lock keeps interfering."""

LIBIPTC = "mesos-cni-libiptc"
"""The program that does without iptables(8), in a hidden directory beside the frozen plugin."""

_LONGEST_LOCK_WAIT = 5
_RESOURCE_PROBLEM = 4
"""Exit status for a lock that is held, and in the nft variant for a good deal else."""


class Iptables(Tool):
    """The tools of a host for one family: programs, each with the arguments it always gets."""

    restore: tuple[str, ...]
    save: tuple[str, ...]

    def agree(
        self, plans: Sequence[Plan], raised: Collection[str] = (), check: Check | None = None
    ) -> list[str]:
        """Make a table agree with plans for it, whatever it holds; return which chains are gone.

        Rules of ``raised`` tags for a single host address come to stand before all others. Each
        listing is given to ``check``, which may raise ``RulesUntouchedError``: that means that the
        table is as it was; after any other failure it is not known.
        """
        table = plans[0].table
        refusal = ""
        for _ in range(_ATTEMPTS):
            listing = self.listing(table)
            if check:
                check(listing)
            lines = batch.plan_agreement(listing, plans, raised)
            refusal = self.commit((table, lines)) if lines else ""
            if not refusal:
                return batch.find_chains_gone(listing, plans, lines)
        raise RulesUntouchedError(
            RULES_FAILED, f"{self.restore[0]} refused the rules for {plans[-1].tag}", refusal
        )

    def listing(self, table: str) -> Listing:
        """Return a table as it is."""
        try:
            done = self.run([*self.save, "-t", table], b"")
        except CniError as error:
            raise RulesUntouchedError(error.code, error.msg, error.details) from error
        if done.status == _RESOURCE_PROBLEM and not self.is_nft_variant():
            self._complain_if_locked()
        if done.status != 0:
            raise RulesUntouchedError(
                RULES_FAILED,
                f"{self.save[0]} cannot list the {table} table (exit status {done.status})",
                words_of(done),
            )
        try:
            return _parse_whole(table, done.stdout)
        except ValueError as error:
            raise RulesUntouchedError(
                RULES_FAILED,
                f"{self.save[0]} did not print the {table} table: {error}",
                done.stdout[:2000].decode(errors="replace").strip(),
            ) from error

    def counted(self, table: str) -> list[tuple[int, int, str, str]]:
        """Return a table's rules, each with its packets, its bytes, its chain and its text."""
        from mesos_cni_port_mapper.portmap.listing import parse_counted

        done = self.run([*self.save, "-c", "-t", table], b"")
        if done.status != 0:
            raise CniError(RULES_FAILED, f"{self.save[0]} cannot list {table}", words_of(done))
        return parse_counted(done.stdout)

    def rehearse(self, table: str) -> None:
        """Complain if the kernel has no such table or somebody keeps it; nothing is changed."""
        done = self.run([*self.restore, "--test", "--noflush"], f"*{table}\nCOMMIT\n".encode())
        if done.status != 0:
            raise CniError(
                RULES_FAILED, f"{self.restore[0]} cannot work on the {table} table", words_of(done)
            )

    def commit(self, *batches: tuple[str, Sequence[str]]) -> str:
        """Commit a batch, a table and its lines; return "" or, when it was refused, what was said.

        Of several, one after the other in one run, those before the refused one are committed. They
        are for `is_nft_variant` alone: the legacy variant takes its lock anew for each.
        """
        lines = [line for table, some in batches for line in (f"*{table}", *some, "COMMIT")]
        script = "\n".join([*lines, ""])
        done = self.run(
            [*self.restore, "-w", str(_lock_wait(self.seconds)), "--noflush"],
            script.encode("utf-8", "surrogateescape"),
        )
        if done.status == 0:
            return ""
        if done.status < 0:
            raise CniError(RULES_FAILED, f"{self.restore[0]} was ended by signal {-done.status}")
        if done.status == _RESOURCE_PROBLEM and not self.is_nft_variant():
            self._complain_if_locked()
        return words_of(done) or f"exit status {done.status}"

    def is_nft_variant(self) -> bool:
        """Tell whether rules are kept in nf_tables; a doubt counts as no."""
        return "nft" in os.path.basename(os.path.realpath(self.save[0]))

    def delete(self, rules: Sequence[RuleHandle], generation: bytes) -> bool:
        """Delete rules of the nft variant without the tool; tell whether it was done.

        If anything changed since that ``generation``, none of them is deleted.
        """
        from mesos_cni_port_mapper.netfilter import ruleset

        try:
            ruleset.delete_rules(rules, generation)
        except OSError:
            return False
        return True

    def _complain_if_locked(self) -> None:
        path = self.environ.get("XTABLES_LOCKFILE", "/run/xtables.lock")
        if lock.is_held(path):
            raise RulesUntouchedError(
                TRY_AGAIN,
                f"{path} is locked by {lock.holder_of(path)}",
                f"waited {_lock_wait(self.seconds)} s",
            )


def find_iptables(family: int, environ: Mapping[str, str], seconds: float) -> Iptables | None:
    """Return the host's iptables for a family (4 or 6), or nothing where it is not installed."""
    name = "iptables" if family == IPV4 else "ip6tables"
    restore = process.find_tool(f"{name}-restore", environ)
    save = process.find_tool(f"{name}-save", environ)
    if not (restore and save):
        return None
    return Iptables(restore=(restore,), save=(save,), environ=environ, seconds=seconds)


def find_libiptc(family: int, environ: Mapping[str, str], seconds: float) -> Iptables | None:
    """Return our own program for the legacy tables of a family, or nothing where it is not.

    It is beside the frozen plugin, whose directory is next to that of `mesos-cni`; or, installed as
    a wheel, where that put its scripts.
    """
    import sys

    from mesos_cni_port_mapper.cni.executable import own_directory

    own = own_directory()
    frozen = [f"{own}/.{LIBIPTC}", f"{own}/../plugins/.{LIBIPTC}"]
    program = process.find_program(LIBIPTC, [*frozen, os.path.dirname(sys.executable)])
    program = program or process.find_tool(LIBIPTC, environ)
    if not program:
        return None
    return Iptables(
        restore=(program, "restore", str(family)),
        # Unlike iptables-save it takes the lock.
        save=(program, "save", str(family), "-w", str(_lock_wait(seconds))),
        environ=environ,
        seconds=seconds,
    )


def _lock_wait(seconds: float) -> int:
    """Return how long a tool may wait for the lock, so that it gives up before we give up on it."""
    return max(1, min(_LONGEST_LOCK_WAIT, int(seconds / 2)))


def _parse_whole(table: str, data: bytes) -> Listing:
    """Parse a listing that is complete: half a table would say that rules are gone.

    Some versions of the nft variant print none, and succeed, where the table holds rules of nft(8).
    """
    lines = data.split(b"\n")
    if f"*{table}".encode() not in lines or b"COMMIT" not in lines:
        raise ValueError("its beginning or its end is missing")
    return parse_listing(data)
