"""Batches as they would be given to a tool, for people and for programs."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from typing import Any

from mesos_cni_port_mapper.netfilter.rehearsal import Batch


def print_batches(batches: Iterable[Batch]) -> None:
    """Print what tools would be given, each below the command; refused ones are left out."""
    for batch in batches:
        if not batch.is_refused:
            sys.stdout.write(f"# {shlex.join(batch.argv)}\n{_printable(batch.script)}\n")


def encode_batches(batches: Iterable[Batch]) -> list[dict[str, Any]]:
    """Return what tools would be given as JSON."""
    return [
        {"command": list(batch.argv), "script": _printable(batch.script)}
        for batch in batches
        if not batch.is_refused
    ]


def _printable(script: str) -> str:
    # Comments of other people's rules may hold any bytes.
    return script.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
