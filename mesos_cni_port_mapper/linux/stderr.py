"""Standard error: a plugin's log, which the runtime may keep or throw away."""

from __future__ import annotations

import os


def write(data: bytes) -> None:
    """Write what is worth telling; a log that cannot be written fails nothing."""
    try:
        os.write(2, data)
    except OSError:
        pass


def say(text: str) -> None:
    """Write one line of our own."""
    write(f"mesos-cni-port-mapper: {text}\n".encode(errors="backslashreplace"))
