"""Terminals: the container's, which a monitor or `exec` has the master of, and the user's."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import termios
import tty
from collections.abc import Iterator
from types import FrameType

from mesos_cni_port_mapper.harness.flow import Flow, turn

# How long nobody has had a terminal open before we look whether somebody has again.
_PAUSE = 0.5
_ROOM = 1 << 20


def relay(master: int, log: int, client: socket.socket | None, pidfd: int) -> None:
    """Write a container's output to its log and a client, until the process behind a pidfd ends.

    The client may leave at any time, or take nothing for as long as it likes.
    """
    if client:
        # With it the client can keep the terminal as large as its own.
        with contextlib.suppress(OSError):
            socket.send_fds(client, [b"\0"], [master])
        client.setblocking(False)
    user = client.fileno() if client else None
    output, keys = Flow(master, user, log), Flow(user, master)
    for _ in _turns(master, output, keys, pidfd):
        pass
    if client:
        # The rest has to fit in, for nobody waits for the client any more.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)
    output.finish()
    if client:
        client.close()


def lend(master: int, stdin: int, stdout: int, pidfd: int) -> None:
    """Have our terminal be a command's, until that ends or nobody reads what it says any more."""
    output, keys = Flow(master, stdout), Flow(stdin, master)
    with same_size(stdin, master), raw(stdin):
        for _ in _turns(master, output, keys, pidfd):
            if output.refusal:
                return
        output.finish()


def _turns(master: int, output: Flow, keys: Flow, pidfd: int) -> Iterator[None]:
    """Move what can be moved, turn by turn, until the process behind a pidfd ends."""
    os.set_blocking(master, False)
    over = False
    while not over:
        # A terminal that nobody has open says so for ever, and yet may be opened again.
        alone = output.ended or keys.refusal is not None
        over = turn((output, keys), pidfd, _PAUSE if alone else None)
        if alone:
            output.ended, keys.refusal = False, None
        yield


def attend(terminal: socket.socket, stdin: int, stdout: int) -> None:
    """Be the client of a container's terminal, until its monitor closes it.

    Raises ``OSError`` when nobody reads what we write.
    """
    _, masters, _, _ = socket.recv_fds(terminal, 1, 1)
    terminal.setblocking(False)
    output, keys = Flow(terminal.fileno(), stdout), Flow(stdin, terminal.fileno())
    with contextlib.ExitStack() as stack:
        for master in masters:
            stack.callback(os.close, master)
            stack.enter_context(same_size(stdin, master))
        stack.enter_context(raw(stdin))
        while not output.ended:
            turn((output, keys))
            if output.refusal:
                raise output.refusal
        output.finish()


@contextlib.contextmanager
def raw(terminal: int) -> Iterator[None]:
    """Have a terminal pass every key on, and give it back as it was."""
    before = termios.tcgetattr(terminal)
    tty.setraw(terminal)
    try:
        yield
    finally:
        # One that has hung up meanwhile needs nothing any more.
        with contextlib.suppress(termios.error):
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
