"""Programs that die with us, started as cheaply as any.

The kernel's parent-death signal has to be asked for between fork and exec, and a fork of a Python
process costs several times what ``posix_spawn`` does. So the program inherits one end of a pipe
instead, with the kernel told to kill the program's process group when the other end closes: that
end is ours alone, and however we end, it closes. Unlike the parent-death signal this reaches the
program's own children too, and does not depend on which of our threads stays.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache

from mesos_cni_port_mapper.linux import signals
from mesos_cni_port_mapper.linux.descriptors import kill_at_end, spare_at_end

_NUMBER = 3
"""The descriptor by which the program holds its end, the first after its streams."""


class Tied:
    """A started program, its process group tied to this process until ``cut``."""

    def __init__(
        self, program: str, environment: Mapping[str, str], streams: Sequence[int]
    ) -> None:
        self._theirs, self._ours = os.pipe()
        actions: list[tuple[int, int] | tuple[int, int, int]] = [
            (os.POSIX_SPAWN_DUP2, stream, number) for number, stream in enumerate(streams)
        ]
        actions.append((os.POSIX_SPAWN_DUP2, self._theirs, _NUMBER))
        # Whoever started us may have left us more than we know of. Last, because a number that was
        # theirs once may be one of those above by now.
        actions += [(os.POSIX_SPAWN_CLOSE, number) for number in _inheritable()]
        try:
            self.pid = os.posix_spawn(
                program,
                [program],
                environment,
                file_actions=actions,
                setpgroup=0,
                setsigmask=(),
                # A handler is no heirloom, but to be ignored is.
                setsigdef=signals.ALL,
            )
            kill_at_end(self._theirs, self.pid)
        except BaseException:
            self.cut()
            raise

    def cut(self) -> None:
        """Let what is left of the group live on; to be called when the program has ended."""
        spare_at_end(self._theirs)
        os.close(self._theirs)
        os.close(self._ours)


@cache
def _inheritable() -> list[int]:
    """Return what a program would inherit, found out once: it inherits nothing that we open."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        # The descriptor of the listing itself is gone by now.
        with suppress(OSError):
            if int(name) > _NUMBER and os.get_inheritable(int(name)):
                found.append(int(name))
    return found
