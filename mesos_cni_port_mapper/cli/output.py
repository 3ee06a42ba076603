"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

import click

from mesos_cni_port_mapper.harness.errors import visible

json_flag = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def print_json(document: object) -> None:
    """Print a document, indented."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    # Bytes that are no UTF-8 are halves of surrogate pairs here, and in JSON escapes.
    sys.stdout.write(text.encode(errors="backslashreplace").decode() + "\n")


def print_problems(problems: Iterable[object]) -> None:
    """Print lines to standard error, each under the program's name."""
    sys.stderr.writelines(f"mesos-cni: {visible(str(problem))}\n" for problem in problems)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under headings, to the width of the terminal, or as wide as they are."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=10_000)
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*[Text("-" if cell in (None, "") else visible(str(cell))) for cell in row])
    with console.capture() as captured:
        console.print(table)
    # The last column is padded too, which would wrap where a terminal is just as wide.
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Print a name and a value a line."""
    known = [(name, value) for name, value in fields if value not in (None, "", [], {})]
    width = max(len(name) for name, _ in known)
    for name, value in known:
        sys.stdout.write(f"{name:<{width}}  {visible(str(value))}\n")


def addresses_of(infos: Iterable[Any]) -> str:
    """Return all addresses in a list of networks."""
    return ", ".join(
        address["ip_address"] for info in infos for address in info.get("ip_addresses", ())
    )


def since(moment: float | None) -> str:
    """Return how long ago something was, in its two largest units."""
    if not moment:
        return ""
    seconds = max(0, int(time.time() - moment))
    units = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    parts: list[str] = []
    for name, size in units:
        count, seconds = divmod(seconds, size)
        if count or (parts and len(parts) < 2):
            parts.append(f"{count}{name}")
    return " ".join(parts[:2]) or "0s"
