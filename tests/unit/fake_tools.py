"""iptables-restore and iptables-save, stood in for by scripts that note what they are given."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.netfilter.iptables import Iptables, find_iptables
from mesos_cni_port_mapper.portmap.rule import IPV4
from tests.unit.children import in_child, write_script
from tests.unit.memory_table import MemoryTable


class FakeTools:
    """Tools in a directory: what they answer is set here, and what they were given read back."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.statuses(0)
        self.holds(MemoryTable())
        self.restore(f"""
            echo "restore $*" >>{directory}/log
            cat >>{directory}/log
            status=$(head -n 1 {directory}/statuses)
            sed -i 1d {directory}/statuses
            [ "$status" = 0 ] || echo "line 2 failed" >&2
            exit ${{status:-0}}""")
        self.save(f"""
            echo "save $*" >>{directory}/log
            cat {directory}/table""")

    def restore(self, body: str) -> None:
        write_script(self.directory / "iptables-restore", body)

    def save(self, body: str) -> None:
        write_script(self.directory / "iptables-save", body)

    def statuses(self, *statuses: int) -> None:
        """Have the runs of iptables-restore end so, one after the other."""
        (self.directory / "statuses").write_text("".join(f"{status}\n" for status in statuses))

    def holds(self, table: MemoryTable) -> None:
        """Have iptables-save list a table."""
        (self.directory / "table").write_bytes(table.save())

    def tools(self, seconds: float = 10) -> Iptables:
        environ = {
            "PATH": f"{self.directory}:/usr/bin:/bin",
            "XTABLES_LOCKFILE": f"{self.directory}/xtables.lock",
        }
        tools = find_iptables(IPV4, environ, seconds)
        assert tools is not None
        return tools

    @property
    def log(self) -> list[str]:
        log = self.directory / "log"
        return log.read_text().splitlines() if log.exists() else []


def failure_of(work: Callable[[], object]) -> tuple[str, int, str, str]:
    def fail() -> tuple[str, int, str, str]:
        with pytest.raises(CniError) as failure:
            work()
        error = failure.value
        return type(error).__name__, error.code, error.msg, error.details

    told: tuple[str, int, str, str] = in_child(fail)
    return told
