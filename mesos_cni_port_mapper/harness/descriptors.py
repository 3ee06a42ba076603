"""File descriptors across a fork without an exec, where close-on-exec does nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable


def close_all_but(kept: Iterable[int]) -> None:
    """Close every descriptor that is not named."""
    kept = set(kept)
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:
                continue  # The one by which the directory was read.


def no_input() -> int:
    """Return a descriptor from which nothing comes."""
    return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
