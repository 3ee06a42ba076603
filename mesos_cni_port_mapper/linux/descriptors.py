"""File descriptors on their way from one process to another, by a fork or by a message."""

from __future__ import annotations

import _socket
import fcntl
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_RIGHTS = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS)
_SIZE = struct.calcsize("i")
_SIGKILL = 9


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


def send_now(channel: _socket.socket, message: bytes, descriptors: Sequence[int]) -> None:
    """Send a message with descriptors; ``BlockingIOError`` where that would mean to wait."""
    # ``send_fds`` of Python 3.11 drops its flags.
    content = struct.pack(f"{len(descriptors)}i", *descriptors)
    channel.sendmsg([message], [(*_RIGHTS, content)], _socket.MSG_DONTWAIT)


def receive(channel: _socket.socket, limit: int, most: int) -> tuple[bytes, list[int]]:
    """Return a message, empty at the end of the channel, and the descriptors that came with it."""
    space = _socket.CMSG_SPACE(most * _SIZE)
    data, ancillary, _, _ = channel.recvmsg(limit, space, _socket.MSG_CMSG_CLOEXEC)
    descriptors: list[int] = []
    for level, kind, content in ancillary:
        if (level, kind) == _RIGHTS:
            # A number that was cut in two is none.
            descriptors += struct.unpack_from(f"{len(content) // _SIZE}i", content)
    return data, descriptors


def kill_at_end(pipe: int, group: int) -> None:
    """Have the kernel kill a process group when the other end of a pipe closes, however it does.

    See fcntl(2): ``F_SETOWN``, ``F_SETSIG``, ``O_ASYNC``.
    """
    fcntl.fcntl(pipe, fcntl.F_SETOWN, -group)
    fcntl.fcntl(pipe, fcntl.F_SETSIG, _SIGKILL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, os.O_ASYNC)


def spare_at_end(pipe: int) -> None:
    """Have what is left of the process group live on when the other end closes, after all."""
    fcntl.fcntl(pipe, fcntl.F_SETFL, 0)
