"""Terminals: the container's, which a monitor or `exec` has the master of, and the user's."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import termios
import tty
from collections.abc import Iterator
from types import FrameType

from mesos_cni_port_mapper.linux import files

_CHUNK = 1 << 16


class _Relay:
    """Bytes between a terminal's master and a client, which may leave at any time."""

    def __init__(self, master: int, log: int, client: socket.socket | None) -> None:
        self._master = master
        self._log = log
        self._client = client
        self._pending = b""

    def turn(self, poll: select.poll, timeout: float | None) -> list[int]:
        """Move what can be moved; return which of the other descriptors were ready."""
        ready = [number for number, _ in poll.poll(timeout)]
        if self._master in ready:
            self._move_output()
        if self._client and self._client.fileno() in ready:
            self._take_input(poll)
        if self._pending:
            self._give_input()
        return ready

    def _move_output(self) -> bool:
        try:
            data = os.read(self._master, _CHUNK)
        except OSError:
            return False  # Nobody holds the other side any more.
        files.write_all(self._log, data)
        if self._client:
            try:
                self._client.sendall(data)
            except OSError:
                self._client = None
        return bool(data)

    def _take_input(self, poll: select.poll) -> None:
        client = self._client
        if client is None:
            return
        try:
            data = client.recv(_CHUNK)
        except OSError:
            data = b""
        if not data:
            poll.unregister(client.fileno())
            self._client = None
        self._pending += data

    def _give_input(self) -> None:
        with contextlib.suppress(OSError):
            written = os.write(self._master, self._pending)
            self._pending = self._pending[written:]

    def drain(self) -> None:
        """Move what was written before the last process left."""
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        while poll.poll(0) and self._move_output():
            pass


def relay(master: int, log: int, client: socket.socket | None, pidfd: int) -> None:
    """Write a container's output to its log and a client, until the process behind a pidfd ends."""
    if client:
        # With it the client can keep the terminal as large as its own.
        with contextlib.suppress(OSError):
            socket.send_fds(client, [b"\0"], [master])
    moving = _Relay(master, log, client)
    poll = select.poll()
    poll.register(master, select.POLLIN)
    poll.register(pidfd, select.POLLIN)
    if client:
        poll.register(client.fileno(), select.POLLIN)
    while pidfd not in moving.turn(poll, None):
        pass
    moving.drain()
    if client:
        client.close()


def attend(terminal: socket.socket, stdin: int, stdout: int) -> None:
    """Be the client of a container's terminal, until its monitor closes it."""
    _, masters, _, _ = socket.recv_fds(terminal, 1, 1)
    with contextlib.ExitStack() as stack:
        for master in masters:
            stack.callback(os.close, master)
            stack.enter_context(same_size(stdin, master))
        stack.enter_context(raw(stdin))
        poll = select.poll()
        poll.register(terminal, select.POLLIN)
        poll.register(stdin, select.POLLIN)
        while True:
            ready = [number for number, _ in poll.poll()]
            if stdin in ready:
                _send_keys(stdin, terminal, poll)
            if terminal.fileno() in ready:
                data = terminal.recv(_CHUNK)
                if not data:
                    return
                files.write_all(stdout, data)


def _send_keys(stdin: int, terminal: socket.socket, poll: select.poll) -> None:
    try:
        data = os.read(stdin, _CHUNK)
    except OSError:
        data = b""
    if data:
        with contextlib.suppress(OSError):
            terminal.sendall(data)
    else:
        poll.unregister(stdin)


@contextlib.contextmanager
def raw(terminal: int) -> Iterator[None]:
    """Have a terminal pass every key on, and give it back as it was."""
    before = termios.tcgetattr(terminal)
    tty.setraw(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


@contextlib.contextmanager
def same_size(source: int, target: int) -> Iterator[None]:
    """Keep one terminal as large as another; the kernel tells those who use it."""

    def copy(_number: int = 0, _frame: FrameType | None = None) -> None:
        with contextlib.suppress(OSError):
            size = fcntl.ioctl(source, termios.TIOCGWINSZ, b"\0" * 8)
            fcntl.ioctl(target, termios.TIOCSWINSZ, size)

    before = signal.signal(signal.SIGWINCH, copy)
    copy()
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
