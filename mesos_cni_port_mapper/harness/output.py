"""Follow a container's output, which its command writes straight into two files."""

from __future__ import annotations

import os
import select

from mesos_cni_port_mapper.harness import state
from mesos_cni_port_mapper.harness.state import Directory

INTERVAL = 0.02
_CHUNK = 1 << 16


class Follower:
    """Copies what has been added to stdout and stderr since the last time to two descriptors."""

    def __init__(self, directory: Directory, stdout: int, stderr: int) -> None:
        self._pairs = [
            (_open(directory, name), target)
            for name, target in ((state.STDOUT, stdout), (state.STDERR, stderr))
        ]

    def copy(self) -> bool:
        """Copy what there is; tell whether there was anything."""
        moved = False
        for source, target in self._pairs:
            while source >= 0 and (data := os.read(source, _CHUNK)):
                _write(target, data)
                moved = True
        return moved

    def close(self) -> None:
        """Let go of the files."""
        for source, _ in self._pairs:
            if source >= 0:
                os.close(source)


def _write(target: int, data: bytes) -> None:
    """Write all, also to what somebody who shares it with us has made non-blocking."""
    while data:
        try:
            data = data[os.write(target, data) :]
        except BlockingIOError:
            select.select([], [target], [])


def _open(directory: Directory, name: str) -> int:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(directory.file(name), flags)
    except FileNotFoundError:
        return -1
