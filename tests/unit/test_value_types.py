"""What a type checker says of values. A run of mypy, so these tests take seconds, not instants."""

from pathlib import Path

import pytest
from mypy import api

ROOT = Path(__file__).resolve().parents[2]
PREAMBLE = """\
from __future__ import annotations

from mesos_cni_port_mapper.value import Value


class Point(Value):
    x: int
    y: int = 7


class Named(Point):
    name: str


point = Point(x=1)
named = Named(x=1, name="a")
total: int = named.x + named.y
copy: Point = point.but(y=3)
"""
MISUSES = {
    "an argument of the wrong type": ('Point(x="1")', "arg-type"),
    "a missing argument": ("Point(y=1)", "call-arg"),
    "an unknown argument": ("Point(x=1, z=2)", "call-arg"),
    "a positional argument": ("Point(1)", "call-arg"),
    "an assignment": ("point.x = 2", "misc"),
    "an unknown attribute": ("print(point.z)", "attr-defined"),
    "a missing argument of the subclass": ("Named(x=1)", "call-arg"),
    "an assignment to an inherited field": ("named.y = 2", "misc"),
}


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return what mypy says about each misuse, keyed by its line."""
    directory = tmp_path_factory.mktemp("types")
    snippet = directory / "snippet.py"
    snippet.write_text(PREAMBLE + "".join(f"{line}\n" for line, _ in MISUSES.values()))
    config = directory / "mypy.ini"
    config.write_text(f"[mypy]\nstrict = True\nmypy_path = {ROOT}\n")

    output, _, _ = api.run(
        [f"--config-file={config}", f"--cache-dir={directory / 'cache'}", str(snippet)]
    )

    lines = snippet.read_text().splitlines()
    found: dict[str, list[str]] = {line: [] for line in lines}
    for complaint in output.splitlines():
        if complaint.startswith(f"{snippet}:") and ": error:" in complaint:
            number = int(complaint.removeprefix(f"{snippet}:").partition(":")[0])
            found[lines[number - 1]].append(complaint.rpartition("  [")[2].rstrip("]"))
    return found


@pytest.mark.parametrize(("line", "code"), MISUSES.values(), ids=MISUSES)
def test_a_type_checker_complains_once_about(
    complaints: dict[str, list[str]], line: str, code: str
) -> None:
    assert complaints[line] == [code]


def test_a_type_checker_has_nothing_against_proper_use(complaints: dict[str, list[str]]) -> None:
    assert [complaints[line] for line in PREAMBLE.splitlines() if complaints[line]] == []
