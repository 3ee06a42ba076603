"""How the demo runs commands: one that does not do what it says ends the demo with the reason."""

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class StepError(Exception):
    """A step did not do what it says."""


def expect(truth: object, otherwise: str) -> None:
    if not truth:
        raise StepError(otherwise)


def run(argv: Sequence[str], given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        cwd=ROOT,
        input=given or "",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def must(argv: Sequence[str], given: str | None = None) -> str:
    finished = run(argv, given)
    words = (finished.stderr + finished.stdout).strip()
    expect(
        finished.returncode == 0, f"{shlex.join(argv)} ended with {finished.returncode}: {words}"
    )
    return finished.stdout
