"""Tell systemd how the agent is: one datagram with a line for each thing told."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping


def notify(environment: Mapping[str, str], *lines: str) -> None:
    """Send lines such as ``READY=1`` to whoever supervises us, if anybody does and listens."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel,
        contextlib.suppress(OSError),
    ):
        channel.setblocking(False)
        channel.sendto("\n".join(lines).encode(), address)


def watchdog_interval(environment: Mapping[str, str]) -> float | None:
    """Return half the time within which systemd wants a sign of life, or nothing if it does not."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    if not (microseconds.isascii() and microseconds.isdigit() and int(microseconds) > 0):
        return None
    return int(microseconds) / 2_000_000
