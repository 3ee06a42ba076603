"""The process that workers are forked from, started for a test."""

import os
import signal
import socket
import sys
from pathlib import Path

from tests.support.waiting import runs

_ROOT = Path(__file__).resolve().parents[2]


class Parent:
    """The process that workers are forked from, and the only channel to it."""

    def __init__(self) -> None:
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            argv = [sys.executable, "-m", "tests.support.workers", str(number)]
            environ = {**os.environ, "PYTHONPATH": str(_ROOT)}
            actions = [(os.POSIX_SPAWN_DUP2, number, number)]
            self.pid = os.posix_spawn(argv[0], argv, environ, file_actions=actions)

    def kill(self) -> None:
        """End it."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def close(self) -> None:
        """Have it end by itself, unless it was killed, and see that it has nothing against it."""
        alive = runs(self.pid)
        self.channel.close()
        if alive:
            assert os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]) == 0
