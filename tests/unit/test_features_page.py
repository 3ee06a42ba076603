"""docs/features.md: every test it names is there, and no row goes without a test or a reason."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from mesos_cni_port_mapper.port_mapper import PortMapper

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/features.md").read_text(encoding="utf-8")
TABLES = {
    "Protocol and plumbing": 23,
    "What a mapping can say": 23,
    "Rules and their life": 20,
    "What users of others ran into": 25,
}
"""The headings of the tables, and how many rows each has at least."""

COMPLAINTS = "What users of others ran into"


class Row(NamedTuple):
    """A line of a table: what it is about, what is here, and the tests that show it."""

    subject: str
    here: str
    tests: list[str]


def rows_below(heading: str) -> list[Row]:
    """Return the rows of the table below a heading, without those that head it."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    rows = []
    for line in lines[2:]:
        *subject, here, shown_by = (cell.strip() for cell in line[1:-1].split("|"))
        rows.append(Row(" ".join(subject), here, re.findall(r"`([^`]+)`", shown_by)))
    return rows


ROWS = [row for heading in TABLES for row in rows_below(heading)]


@cache
def functions_of(path: Path) -> set[str]:
    """Return the names of the test functions of a file, or none if there is no such file."""
    if not path.is_file():
        return set()
    body = ast.parse(path.read_text(encoding="utf-8")).body
    names = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    return {name for name in names if name.startswith("test_")}


def is_there(test: str) -> bool:
    """Tell whether a test, or a file with any, is where it is said to be."""
    name, _, function = test.partition("::")
    functions = functions_of(ROOT / name)
    return function in functions if "::" in test else bool(functions)


@pytest.mark.parametrize("heading", TABLES)
def test_no_table_has_lost_rows(heading: str) -> None:
    assert len(rows_below(heading)) >= TABLES[heading]


def test_every_test_named_is_there() -> None:
    named = {test for row in ROWS for test in row.tests}

    assert sorted(test for test in named if not is_there(test)) == []


def test_no_test_is_named_outside_the_last_column() -> None:
    in_rows = [test for row in ROWS for test in row.tests]

    assert sorted(re.findall(r"`(tests/[^`]+\.py[^`]*)`", PAGE)) == sorted(in_rows)


@pytest.mark.parametrize("row", ROWS, ids=[row.subject for row in ROWS])
def test_a_row_has_a_test_or_a_reason(row: Row) -> None:
    verdict, _, words = row.here.partition(":")

    assert verdict in ("yes", "not", "not yet")
    if verdict == "yes":
        assert row.tests
    else:
        assert len(words.split()) > 3


def test_the_complaints_are_numbered() -> None:
    numbers = [int(row.subject.split()[0]) for row in rows_below(COMPLAINTS)]

    assert numbers == list(range(1, 26))


@pytest.mark.parametrize("command", ["GC", "STATUS"])
def test_a_command_is_there_if_the_page_says_so(command: str) -> None:
    (row,) = [row for row in ROWS if row.subject == command]

    assert hasattr(PortMapper, command.lower()) == row.here.startswith("yes")


@pytest.mark.parametrize(
    "test", ["tests/unit/test_none.py", f"tests/unit/{Path(__file__).name}::x"]
)
def test_what_is_not_there_is_noticed(test: str) -> None:
    assert not is_there(test)
