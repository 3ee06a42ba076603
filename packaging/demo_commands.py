"""How the demo runs commands: one that does not do what it says ends the demo with the reason.

They are run by a shell as they are shown, so what stands on the screen is what was done.
"""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 60


class StepError(Exception):
    """A step did not do what it says."""


def expect(truth: object, otherwise: str) -> None:
    if not truth:
        raise StepError(otherwise)


def run(command: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in the checkout."""
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def must(command: str) -> str:
    """Run a line of shell that succeeds, and return what it printed."""
    finished = run(command)
    words = (finished.stderr + finished.stdout).strip()
    line = " ".join(command.replace("\\\n", "").split())
    expect(finished.returncode == 0, f"{line} ended with {finished.returncode}: {words}")
    return finished.stdout
