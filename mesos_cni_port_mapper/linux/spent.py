"""What this process has waited for, in seconds: programs by their paths, locks by their files."""

from __future__ import annotations

_seconds: dict[str, float] = {}


def add(what: str, seconds: float) -> None:
    """Count the time that a program or a lock took."""
    _seconds[what] = _seconds.get(what, 0.0) + seconds


def so_far() -> dict[str, float]:
    """Return it all."""
    return dict(_seconds)
