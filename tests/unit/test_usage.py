"""Reading counters: a table that is not there is not looked at, and one that is, once."""

from pathlib import Path

import pytest

from mesos_cni_port_mapper.cni.errors import RULES_FAILED, CniError
from mesos_cni_port_mapper.netfilter import usage
from mesos_cni_port_mapper.netfilter.iptables import Iptables
from mesos_cni_port_mapper.portmap.attachment import tag_of
from tests.unit.memory_host import MemoryBackEnds, MemoryHost, record

PORTS = {"a": 80, "b": 81}


@pytest.fixture
def listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[MemoryBackEnds, list[str], set[str]]:
    """Return back ends, the listings that were asked for, and the tables there are."""
    asked: list[str] = []
    tables = {"nat"}

    def counted(_: Iptables, table: str) -> list[tuple[int, int, str, str]]:
        asked.append(table)
        tags = {name: tag_of(record(name).attachment) for name in PORTS}
        return [
            (
                *(3, 180, "CHAIN"),
                f'-p tcp -m tcp --dport {port} -m comment --comment "{tags[name]}" '
                "-j DNAT --to-destination 10.0.0.2:80",
            )
            for name, port in PORTS.items()
        ]

    monkeypatch.setattr(Iptables, "counted", counted)
    monkeypatch.setattr(usage, "has_table", lambda _family, table: table in tables)
    return MemoryBackEnds(MemoryHost(tmp_path, monkeypatch).tools), asked, tables


def test_a_table_is_listed_once_for_all(
    listed: tuple[MemoryBackEnds, list[str], set[str]],
) -> None:
    backends, asked, _ = listed

    found, problems = usage.read_use(backends, [record(*each) for each in PORTS.items()])

    assert [use.counted for use in found] == [(3, 180), (3, 180)]
    assert (problems, asked) == ([], ["nat"])


def test_a_table_that_is_not_there_is_not_looked_at(
    listed: tuple[MemoryBackEnds, list[str], set[str]],
) -> None:
    backends, asked, tables = listed
    tables.clear()

    found, problems = usage.read_use(backends, [record("a", 80)])

    assert [use.counted for use in found] == [None]
    assert (problems, asked) == ([], [])


def test_a_listing_that_fails_is_told_once_and_the_mappings_are_shown(
    listed: tuple[MemoryBackEnds, list[str], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Iptables, table: str) -> None:
        raise CniError(RULES_FAILED, f"cannot list {table}")

    monkeypatch.setattr(Iptables, "counted", refuse)

    found, problems = usage.read_use(listed[0], [record(*each) for each in PORTS.items()])

    assert len(found) == len(PORTS)
    assert problems == ["cannot list nat"]
