"""The program on python-iptables in a host of the legacy variant, beside the tools it replaces."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.gate import need_file
from tests.support.host import SEARCH_PATH, Host
from tests.support.process import Finished, Process

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "dist" / "plugins" / ".mesos-cni-libiptc" / "mesos-cni-libiptc"
LOCK = "/run/xtables.lock"
TAG = "container_id: {} network: net ifname: eth0"

ENVIRONMENT = {"PATH": SEARCH_PATH, "LC_ALL": "C"}


def batch(*lines: str, table: str = "nat") -> bytes:
    """Return a batch as iptables-restore wants it."""
    return "\n".join([f"*{table}", *lines, "COMMIT", ""]).encode("utf-8", "surrogateescape")


def without_frame(listing: bytes) -> list[str]:
    """Return a listing without when and by whom it was made, and without what was counted."""
    lines = listing.decode("utf-8", "surrogateescape").splitlines()
    return [re.sub(r"\[\d+:\d+\]$", "[0:0]", line) for line in lines if not line.startswith("#")]


@dataclass(frozen=True)
class Tables:
    """The legacy tables of a host, to be changed and listed with either program."""

    host: Host
    program: str = str(PROGRAM)

    def start(self, *words: str, input: bytes = b"") -> Process:
        return self.host.start([self.program, *words], input, ENVIRONMENT)

    def run(self, *words: str, input: bytes = b"") -> Finished:
        process = self.start(*words, input=input)
        finished = process.wait()
        process.close()
        return finished

    def restore(
        self, *lines: str, family: int = 4, table: str = "nat", wait: int = 5
    ) -> tuple[int, str]:
        """Commit a batch with our program; return its status and what it said."""
        done = self.run("restore", str(family), "-w", str(wait), input=batch(*lines, table=table))
        return done.status, done.stderr.decode("utf-8", "surrogateescape")

    def save(self, family: int = 4, table: str = "nat") -> list[str]:
        """List a table with our program."""
        done = self.run("save", str(family), "-t", table)
        assert (done.status, done.stderr) == (0, b"")
        return without_frame(done.stdout)

    def real_restore(self, *lines: str, family: int = 4, table: str = "nat") -> int:
        """Commit a batch with iptables-restore; return its status."""
        tool = self._tool(family, "restore")
        return self.host.run([tool, "--noflush"], batch(*lines, table=table), check=False).status

    def real_save(self, family: int = 4, table: str = "nat") -> list[str]:
        """List a table with iptables-save."""
        return without_frame(self.host.run([self._tool(family, "save"), "-t", table]).stdout)

    def empty(self, family: int = 4, table: str = "nat") -> None:
        """Remove every rule and chain."""
        tool = self._tool(family, "").rstrip("-")
        for flag in ("-F", "-X"):
            self.host.run([tool, "-t", table, flag])

    def rules(self, chain: str, family: int = 4, table: str = "nat") -> Sequence[str]:
        """Return a chain's rules, as iptables-save has them."""
        start = f"-A {chain} "
        return [line for line in self.real_save(family, table) if line.startswith(start)]

    @staticmethod
    def _tool(family: int, name: str) -> str:
        return f"{'iptables' if family == 4 else 'ip6tables'}-{name}"


def tables_of(host: Host) -> Tables:
    """Return a host's tables; give up where the program was not frozen."""
    need_file(PROGRAM, "make build")
    return Tables(host)
