"""docs/ports.md: every command has a section, and every field of a document is explained."""

import re
from pathlib import Path

import pytest

from mesos_cni_port_mapper.cli.ports.ls import encode_use
from mesos_cni_port_mapper.netfilter.inventory import Holding
from mesos_cni_port_mapper.netfilter.usage import Use
from mesos_cni_port_mapper.portmap.mapping import runs_of
from tests.unit.memory_host import record

PAGE = (Path(__file__).parents[3] / "docs/ports.md").read_text(encoding="utf-8")


def section(name: str) -> str:
    return PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("command", ["check", "gc", "ls", "plan", "repair", "restore"])
def test_every_command_has_a_section_with_its_document(command: str) -> None:
    assert f"| `{command}` |" in PAGE
    assert "`--json` prints" in section(command)


def test_every_field_of_a_row_is_explained_and_no_other() -> None:
    each = record("web", 80)
    (run,) = runs_of(each.mappings)
    use = Use(record=each, family=4, run=run, address="10.0.0.2", counted=None)
    document = encode_use(use, Holding(record=each, written=0))
    rows = re.findall(r"^\| (`[^|]*) \|", section("ls"), re.MULTILINE)

    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(document)
