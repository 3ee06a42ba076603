"""A table for people, a document for programs. Neither tells which machine it was."""

import platform
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from bench.figures import Figure, Ratios
from bench.scale import Row
from mesos_cni_port_mapper import __version__

_LINE = "{:24} {:8} {:19} {:23} {:>6}  {}"


def versions() -> dict[str, str]:
    """Return what was measured on what."""
    return {
        "mesos-cni-port-mapper": __version__,
        "python": platform.python_version(),
        "containernetworking-plugins": _package_version("containernetworking-plugins"),
        "iptables": _package_version("iptables"),
        "linux": platform.release(),
    }


def render_versions(facts: Mapping[str, str]) -> str:
    """Return the versions as one line."""
    return ", ".join(f"{name} {version}" for name, version in facts.items())


def render_heading(title: str) -> str:
    """Return the head of a table."""
    columns = ("mappings", "command", "against", "wall", "cpu", "expected")
    return f"\n{title}\n{_LINE.format(*columns)}"


def render_figure(figure: Figure) -> str:
    """Return a line of a table."""
    verdict = ""
    if figure.expected is not None:
        verdict = f"at most {figure.expected:.2f}: {'met' if figure.met else 'MISSED'}"
    cpu = f"{figure.cpu.median:.3f}"
    return _LINE.format(
        figure.work, figure.command, figure.peer, str(figure.wall), cpu, verdict
    ).rstrip()


def render_document(
    facts: Mapping[str, str],
    pairs: int,
    tables: Mapping[str, Sequence[Figure]],
    crowded: Sequence[Row],
) -> dict[str, Any]:
    """Return everything as one JSON document."""
    figures = [
        {
            "table": table,
            "mappings": figure.work,
            "command": figure.command,
            "against": figure.peer,
            "wall": _render_ratios(figure.wall),
            "cpu": _render_ratios(figure.cpu),
            "expected": figure.expected,
            "met": figure.met,
        }
        for table, figures in tables.items()
        for figure in figures
    ]
    many = [
        {
            "existing": row.count,
            "kind": row.kind,
            "backend": row.backend,
            "cost": _render_ratios(row.cost),
            "rate": _render_ratios(row.rate) if row.rate else None,
            "met": row.met,
        }
        for row in crowded
    ]
    return {"versions": dict(facts), "pairs": pairs, "figures": figures, "many": many}


def _render_ratios(ratios: Ratios) -> dict[str, Any]:
    values = [round(value, 4) for value in ratios.values]
    return {"median": round(ratios.median, 4), "pairs": values}


def _package_version(package: str) -> str:
    query = shutil.which("dpkg-query")
    if query is None:
        return "of unknown version"
    command = [query, "--show", "--showformat", "${Version}", package]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return re.sub(r"[^\w.+:~-]", "", found.stdout) or "of unknown version"
