"""File descriptors on their way from one process to another, by a fork or by a message."""

from __future__ import annotations

import os
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def close_all_but(kept: Iterable[int]) -> None:
    """Close every descriptor that is not named: after a fork without an exec nothing else does."""
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


def receive(channel: socket.socket, limit: int, most: int) -> tuple[bytes, list[int]]:
    """Return a message, empty at the end of the channel, and the descriptors that came with it."""
    data, descriptors, _, _ = socket.recv_fds(channel, limit, most)
    for descriptor in descriptors:
        # The kernel could see to that, were it asked: ``recv_fds`` of Python 3.11 drops its flags.
        os.set_inheritable(descriptor, False)
    return data, descriptors
