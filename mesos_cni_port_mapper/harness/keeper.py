"""A process that is the monitor of many containers, each with a coroutine of its own.

Whatever a monitor of its own would have cost a container, a fork of an interpreter and the pages
that both sides then copy to write to, is paid once for all. The process outlives whoever asks it:
it leaves when nobody can ask any more and its last container has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from dataclasses import dataclass
from typing import NoReturn

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.harness.birth import Cradle
from mesos_cni_port_mapper.harness.errors import HarnessError
from mesos_cni_port_mapper.harness.isolation import Isolator, Options, open_isolator
from mesos_cni_port_mapper.harness.launch import admit
from mesos_cni_port_mapper.harness.monitor import (
    Monitor,
    Post,
    encode_failure,
    run_to_end,
    say,
    settle,
)
from mesos_cni_port_mapper.harness.spec import decode_spec
from mesos_cni_port_mapper.linux.descriptors import no_input, receive


@dataclass(frozen=True, slots=True)
class Sources:
    """Channels of the processes that what a keeper needs is forked from."""

    inits: socket.socket
    workers: socket.socket | None


def be_keeper(channel: socket.socket, sources: Sources, options: Options) -> NoReturn:
    """Launch what is asked for on ``channel``, in a process forked for it.

    A request is a specification's JSON in a memory file and the pipe of ``launch.Launch``. A signal
    to it is a signal to none of its containers, for whoever sends one means one of them.
    """
    null = os.open("/dev/null", os.O_RDWR)
    kept = filter(None, (channel, sources.inits, sources.workers))
    settle("monitor of many containers", null, [each.fileno() for each in kept])
    run_to_end(lambda: asyncio.run(Keeper(channel, sources, options).serve()))


class Keeper:
    """The containers of one process."""

    def __init__(self, channel: socket.socket, sources: Sources, options: Options) -> None:
        self._channel = channel
        self._parent = Cradle(sources.inits)
        self._workers = sources.workers
        self._options = options
        self._isolator: Isolator | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Launch and look after containers until there can be no more."""
        loop = asyncio.get_running_loop()
        closed = asyncio.Event()
        loop.add_reader(self._channel, self._take, closed)
        # Without it nothing can be launched; those who ask find somebody else.
        loop.add_reader(self._parent, closed.set)
        await closed.wait()
        loop.remove_reader(self._parent)
        loop.remove_reader(self._channel)
        self._channel.close()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _open_isolator(self) -> Isolator:
        """Return the one for all containers, once there could be one."""
        if self._isolator is None:
            self._isolator = open_isolator(self._options, self._workers)
        return self._isolator

    def _take(self, closed: asyncio.Event) -> None:
        data, descriptors = receive(self._channel, 1, 2)
        if not data:
            closed.set()
            return
        task = asyncio.get_running_loop().create_task(self._keep(*descriptors))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, file: int, report: int) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, report)
            try:
                document = codec.decode(os.pread(file, os.fstat(file).st_size, 0))
                spec = decode_spec(document["spec"])
                directory, lock = admit(spec, self._options)
            except (CniError, HarnessError, OSError, ValueError) as error:
                say(report, encode_failure(error))
                return
            finally:
                os.close(file)
            # Whoever is told of the end, by this pipe, finds the lock free.
            stack.callback(os.close, directory.hold())
            stack.callback(os.close, lock)
            post = Post(
                directory=directory,
                spec=spec,
                options=self._options,
                lock=lock,
                report=report,
                stdin=no_input(),
            )
            monitor = Monitor(post, self._parent, self._open_isolator)
            try:
                await monitor.run()
            except Exception as bug:  # noqa: BLE001 - of one container, and none of the others'
                monitor.note(bug)
