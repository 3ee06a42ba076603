"""The built-in plugins, asked without being started: the asking side of ``cni.workers``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.cni.workers import ANSWER_LIMIT, FORK, MORE
from mesos_cni_port_mapper.isolator.waiting import readable
from mesos_cni_port_mapper.linux.descriptors import send_now
from mesos_cni_port_mapper.linux.files import write_all

PROGRAM = "mesos-cni-delegate"
"""The program behind all plugins of a directory of built-in ones."""

_IDLE = 5.0
_KILL_SECONDS = 1.0


class NoWorkerError(Exception):
    """Nobody has been asked; the plugin can be run as a program."""


class LostError(Exception):
    """Somebody was asked, and is gone without an answer."""


class Workers:
    """Has the plugins of one directory served by workers, as many as are wanted at a time."""

    def __init__(self, directory: Path, channel: socket.socket) -> None:
        self._directory = os.fspath(directory)
        self._channel = channel
        self._idle: list[_Worker] = []

    def know(self, program: str) -> bool:
        """Tell whether a program is one of the directory's."""
        return os.path.dirname(program) == self._directory

    async def run(
        self, program: str, environment: Mapping[str, str], streams: Sequence[int], seconds: float
    ) -> int:
        """Have a plugin answer, and return its exit status.

        Raises ``TimeoutError``, after which, or when cancelled, its process group has been killed;
        ``NoWorkerError`` and ``LostError``.
        """
        worker = self._ask(os.path.basename(program), environment, streams)
        try:
            async with asyncio.timeout(seconds):
                status, goes_on = await worker.answer()
        except BaseException:
            worker.kill()
            raise
        if goes_on:
            self._idle.append(worker)
            worker.rest(_IDLE, self._dismiss)
        else:
            worker.close()
        return status

    def _ask(self, name: str, environment: Mapping[str, str], streams: Sequence[int]) -> _Worker:
        """Return a worker that has been asked."""
        file = os.memfd_create("environment")
        try:
            write_all(file, codec.encode(dict(environment)))
            descriptors = [file, *streams]
            while self._idle:
                worker = self._idle.pop()
                if worker.ask(name, descriptors):
                    return worker
            worker = _Worker(self._channel)
            if worker.ask(name, descriptors):
                return worker
        finally:
            os.close(file)
        raise NoWorkerError

    def _dismiss(self, worker: _Worker) -> None:
        self._idle.remove(worker)
        worker.close()


class _Worker:
    """A process that dies with this one, which has the other end of its pipe."""

    def __init__(self, parent: socket.socket) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        end, self._pipe = os.pipe()
        self._timer: asyncio.TimerHandle | None = None
        # Where nobody takes it, the channel is at its end. Who is stopped must not stop us.
        with theirs, contextlib.suppress(OSError):
            send_now(parent, FORK, [theirs.fileno(), end])
        os.close(end)

    def ask(self, name: str, descriptors: Sequence[int]) -> bool:
        """Hand on a request; false when nobody takes it."""
        if self._timer is not None:
            self._timer.cancel()
        try:
            send_now(self._channel, name.encode(), descriptors)
        except OSError:
            self.close()
            return False
        return True

    async def answer(self) -> tuple[int, bool]:
        """Wait for the plugin's exit status, and whether the worker may be asked again."""
        await readable(self._channel.fileno())
        try:
            answer = self._channel.recv(ANSWER_LIMIT)
        except ConnectionResetError as error:
            # That is how the kernel says that nobody has read the request.
            raise NoWorkerError from error
        if not answer:
            raise LostError
        status, _, word = answer.partition(b" ")
        return int(status), word == MORE

    def rest(self, seconds: float, dismiss: Callable[[Self], None]) -> None:
        """Be dismissed after so many seconds, unless asked before."""
        self._timer = asyncio.get_running_loop().call_later(seconds, dismiss, self)

    def kill(self) -> None:
        """End the process with its group, whatever it does."""
        os.close(self._pipe)
        self._channel.settimeout(_KILL_SECONDS)
        with self._channel, contextlib.suppress(OSError):
            while self._channel.recv(ANSWER_LIMIT):
                pass

    def close(self) -> None:
        """Let the process go."""
        self._channel.close()
        os.close(self._pipe)
