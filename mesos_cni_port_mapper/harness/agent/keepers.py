"""The launcher's keepers: processes that launch and look after many containers each."""

from __future__ import annotations

import os
import signal
import socket

from mesos_cni_port_mapper.harness.cradle import arguments
from mesos_cni_port_mapper.harness.isolation import Options
from mesos_cni_port_mapper.harness.keeper import be_keeper
from mesos_cni_port_mapper.harness.launch import fork_away

MOST = 25
"""Containers of one keeper: with a dozen descriptors for each it needs less than the usual 1024."""


class Keepers:
    """Has containers launched by a process that keeps many; by another one when that has enough."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._cradle = _start_cradle()
        self._channel: socket.socket | None = None
        self._room = 0

    def launch(self, request: int) -> int:
        """Hand a request on; return the pipe that the launch is reported on."""
        report, reported = os.pipe()
        try:
            while not self._hand_on(request, reported):
                self._start()
        except BaseException:
            os.close(report)
            raise
        finally:
            os.close(reported)
        return report

    def _hand_on(self, request: int, reported: int) -> bool:
        if self._channel is None or self._room == 0:
            return False
        try:
            socket.send_fds(self._channel, [b"."], [request, reported])
        except (BrokenPipeError, ConnectionResetError):
            return False  # It was killed.
        self._room -= 1
        return True

    def _start(self) -> None:
        if self._channel is not None:
            self._channel.close()
        cradle = self._connect()
        self._channel, theirs = _channels()
        self._room = MOST
        # Its report is its end, of which nobody needs to be told.
        os.close(fork_away(lambda _: be_keeper(theirs, cradle, self._options)))
        theirs.close()
        cradle.close()

    def _connect(self) -> socket.socket:
        """Return a channel to a cradle, to another one when the last was killed."""
        ours, theirs = _channels()
        with theirs:
            try:
                socket.send_fds(self._cradle, [b"join 0"], [theirs.fileno()])
            except OSError:
                self._cradle.close()
                self._cradle = _start_cradle()
                socket.send_fds(self._cradle, [b"join 0"], [theirs.fileno()])
        return ours


def _channels() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _start_cradle() -> socket.socket:
    """Execute a cradle; return the channel on which it can be asked to serve others."""
    ours, theirs = _channels()
    with theirs:
        number = theirs.fileno()
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        actions = [(os.POSIX_SPAWN_DUP2, null, stream) for stream in range(3)]
        # Onto itself, which is how it comes to be inherited.
        actions.append((os.POSIX_SPAWN_DUP2, number, number))
        argv = arguments(number)
        try:
            # The kernel reaps what we start, but not what that starts.
            os.posix_spawn(
                argv[0], argv, os.environ, file_actions=actions, setsigdef=(signal.SIGCHLD,)
            )
        finally:
            os.close(null)
    return ours
