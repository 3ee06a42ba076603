"""Run `mesos-cni ports` in a throwaway host."""

import json
import stat
from dataclasses import dataclass
from typing import Any

from tests.netns.behaviour.site import Site
from tests.netns.containers import ROOT, SOURCE, Left
from tests.support.host import SEARCH_PATH, Host

DISPLACED = "/run/displaced"
LIBIPTC = ROOT / "dist/plugins/.mesos-cni-libiptc"
"""What the commands find beside them when they are frozen."""


@dataclass(frozen=True)
class Ports:
    """The commands about port mappings, as a host's operator gives them."""

    host: Host
    path: str = SEARCH_PATH
    wrapper: tuple[str, ...] = ()

    def run(self, *arguments: str, input: bytes = b"") -> Left:
        """Run a command to its end, whatever that is."""
        environment = {
            "PATH": f"{self.path}:{LIBIPTC}",
            "LC_ALL": "C.UTF-8",
            "COLUMNS": "200",
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        argv = [*self.wrapper, *SOURCE, "ports", *arguments]
        left = self.host.run(argv, input, environment, check=False, timeout=60)
        return Left(left.status, left.stdout.decode(), left.stderr.decode())

    def succeed(self, *arguments: str, input: bytes = b"") -> str:
        """Run a command that must neither fail nor complain, and return what it printed."""
        left = self.run(*arguments, input=input)
        assert (left.status, left.stderr) == (0, ""), left
        return left.stdout

    def json(self, *arguments: str) -> Any:
        """Return the document that a command prints."""
        return json.loads(self.succeed(*arguments, "--json"))


def rules(site: Site) -> list[str]:
    """Return all rules and elements, without counters and handles, whatever their place."""
    host = site.host
    tables = [(False, "raw"), (False, "nat"), (True, "raw"), (True, "nat")]
    found = [line for ipv6, table in tables for line in host.ruleset(ipv6=ipv6, table=table)]
    for family in ("ip", "ip6"):
        table = [family, "mesos-cni-port-mapper"]
        listed = host.run(["nft", "--stateless", "list", "table", *table], check=False).text
        found += listed.splitlines()
    return found


def flush(site: Site) -> None:
    """Take all rules away as an operator does, or a firewall that is reloaded."""
    if site.back_end.variant == "nft":
        site.host.run(["nft", "flush", "ruleset"])
        return
    for program in ("iptables", "ip6tables"):
        for table in ("nat", "raw"):
            # Flushing a table that is not there would make it.
            if table in _legacy_tables(site.host, program):
                for verb in ("-F", "-X"):
                    site.host.run([program, "-t", table, verb])


def _legacy_tables(host: Host, program: str) -> list[str]:
    name = {"iptables": "ip_tables_names", "ip6tables": "ip6_tables_names"}[program]
    return host.run(["cat", f"/proc/net/{name}"]).text.split()


class Counted:
    """Tools that note each of their runs, in the place of the host's."""

    def __init__(self, site: Site) -> None:
        self.host = site.host
        self.journal = "/run/journal"
        directory = self.host.path(DISPLACED)
        directory.mkdir()
        for name in ("iptables", "ip6tables"):
            for suffix in ("-restore", "-save"):
                self._stand_in(directory / f"{name}{suffix}")
        self._stand_in(directory / "nft")

    def _stand_in(self, path: Any) -> None:
        path.write_text(
            f"#!/bin/sh\necho {path.name} >>{self.journal}\n"
            f'PATH="${{PATH#*:}}" exec {path.name} "$@"\n'
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def ports(self) -> Ports:
        """Return commands that find them first."""
        return Ports(self.host, f"{DISPLACED}:{SEARCH_PATH}")

    def told(self) -> list[str]:
        """Return the runs since the last question."""
        path = self.host.path(self.journal)
        lines = path.read_text().split() if path.exists() else []
        if lines:
            path.unlink()
        return sorted(lines)
