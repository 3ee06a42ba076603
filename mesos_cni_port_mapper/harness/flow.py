"""Bytes on their way from one descriptor to another, which move when they can.

Nothing here waits for one descriptor alone: whoever is behind it may wait for us to serve another.
Somebody who pastes reads nothing meanwhile, and a program that nobody reads does not read either.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Container, Iterator, Sequence
from itertools import chain

from mesos_cni_port_mapper.linux import files

_CHUNK = 1 << 16
_LIMIT = 1 << 16
# What a pipe takes without waiting once it takes anything.
_PIECE = select.PIPE_BUF


class Flow:
    """One direction: what was read from ``source`` and has still to be taken by ``target``.

    It has ``ended`` when nothing comes any more, and has a ``refusal`` when nothing is taken any
    more and what comes is let go. Either may be missing from the start. A ``copy`` is a file.
    """

    def __init__(self, source: int | None, target: int | None, copy: int | None = None) -> None:
        self.ended = False
        self.refusal: OSError | None = None
        self._source = source
        self._target = target
        self._copy = copy
        self._pending = b""

    def wanted(self) -> Iterator[tuple[int, int]]:
        """Yield descriptors and what to wait for. Others must not be waited for: they may hang up.

        Nobody is read who is faster than those who read us.
        """
        if self._source is not None and self._is_hungry():
            yield self._source, select.POLLIN
        if self._target is not None and self._pending:
            yield self._target, select.POLLOUT

    def move(self, ready: Container[int]) -> None:
        """Move what can be moved."""
        if self._source in ready and self._is_hungry():
            self._take()
        if self._target in ready and self._pending:
            self._give()

    def finish(self) -> None:
        """Move the rest, as far as it comes and is taken."""
        while not self.ended and self._take():
            pass
        if self._target is not None and self.refusal is None:
            with contextlib.suppress(OSError):
                files.write_all(self._target, self._pending)

    def _is_hungry(self) -> bool:
        return not self.ended and len(self._pending) < _LIMIT

    def _take(self) -> bool:
        if self._source is None:
            return False
        try:
            data = os.read(self._source, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""  # The other side of a terminal or a socket was closed.
        self.ended = not data
        if self._copy is not None:
            # Whoever looks at the other copy need not suffer from a full disk.
            with contextlib.suppress(OSError):
                files.write_all(self._copy, data)
        if self._target is not None and self.refusal is None:
            self._pending += data
        return bool(data)

    def _give(self) -> None:
        if self._target is None:
            return
        try:
            written = os.write(self._target, self._pending[:_PIECE])
        except BlockingIOError:
            return
        except OSError as error:
            self.refusal = error
            self._pending = b""
        else:
            self._pending = self._pending[written:]


def turn(flows: Sequence[Flow], watched: int | None = None, seconds: float | None = None) -> bool:
    """Wait until something can be moved and move it; tell whether a pidfd says its process ended.

    After ``seconds`` nothing is waited for any more.
    """
    wanted: dict[int, int] = {} if watched is None else {watched: select.POLLIN}
    for descriptor, events in chain.from_iterable(flow.wanted() for flow in flows):
        wanted[descriptor] = wanted.get(descriptor, 0) | events
    poll = select.poll()
    for descriptor, events in wanted.items():
        poll.register(descriptor, events)
    ready = {number for number, _ in poll.poll(None if seconds is None else seconds * 1000)}
    for flow in flows:
        flow.move(ready)
    return watched in ready
