"""The launcher's keepers: processes that launch and look after many containers each."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Mapping

from mesos_cni_port_mapper.harness.cradle import arguments
from mesos_cni_port_mapper.harness.isolation import Options
from mesos_cni_port_mapper.harness.keeper import Sources, be_keeper
from mesos_cni_port_mapper.harness.launch import fork_away
from mesos_cni_port_mapper.isolator.workers import PROGRAM
from mesos_cni_port_mapper.linux.process import original_environment

MOST = 25
"""Containers of one keeper: with a dozen descriptors for each it needs less than the usual 1024."""


class Keepers:
    """Has containers launched by a process that keeps many; by another one when that has enough."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._cradle = _start_cradle()
        self._workers = self._start_workers()
        self._channel: socket.socket | None = None
        self._room = 0

    def launch(self, request: int) -> int:
        """Hand a request on; return the pipe that the launch is reported on."""
        self._renew_workers()
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
            # What follows may fail, and is tried again for the next launch.
            self._channel = None
        cradle = self._connect()
        sources = Sources(cradle, self._workers)
        self._channel, theirs = _channels()
        self._room = MOST
        # Its report is its end, of which nobody needs to be told.
        os.close(fork_away(lambda _: be_keeper(theirs, sources, self._options)))
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

    def _renew_workers(self) -> None:
        """Start the process that workers come from again when it was killed, for another keeper."""
        if self._workers is not None and _is_at_end(self._workers):
            self._workers.close()
            self._workers = self._start_workers()
            self._room = 0

    def _start_workers(self) -> socket.socket | None:
        """Execute the program of the built-in plugins; return the channel to ask it on."""
        directory = self._options.builtin_plugins_dir
        if self._options.config_dir is None or directory is None:
            return None
        program = os.path.join(directory, PROGRAM)
        environ = original_environment(os.environ)
        try:
            return _execute(lambda number: [program, "--workers", str(number)], environ)
        except OSError:
            return None  # Each plugin is a program of its own, too.


def _channels() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _is_at_end(channel: socket.socket) -> bool:
    """Tell whether nobody is at the other end of a channel, on which nothing is ever answered."""
    try:
        return not channel.recv(1, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _start_cradle() -> socket.socket:
    """Execute a cradle; return the channel on which it can be asked to serve others."""
    return _execute(arguments, os.environ)


def _execute(argv_for: Callable[[int], list[str]], environ: Mapping[str, str]) -> socket.socket:
    """Execute a program that is given a channel by its number; return the other end."""
    ours, theirs = _channels()
    with theirs:
        number = theirs.fileno()
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        actions = [(os.POSIX_SPAWN_DUP2, null, stream) for stream in range(3)]
        # Onto itself, which is how it comes to be inherited.
        actions.append((os.POSIX_SPAWN_DUP2, number, number))
        argv = argv_for(number)
        try:
            # The kernel reaps what we start, but not what that starts.
            os.posix_spawn(
                argv[0], argv, environ, file_actions=actions, setsigdef=(signal.SIGCHLD,)
            )
        finally:
            os.close(null)
    return ours
