"""Start a throwaway host's namespaces with an agent in them, and end them again."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.agent import receive
from tests.support.process import Pipes, Process, outer_pid

_ROOT = Path(__file__).resolve().parents[2]

# The marker by which a later check finds agents that outlived their test; it names their owner.
_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from tests.support import agent; agent.main()"
_MARKER = "throwaway-host-of-{}"


class HostError(Exception):
    """A throwaway host could not be made."""


def namespaces() -> list[str]:
    """Return the command that makes a host's namespaces around another command."""
    # Without root the same works in a user namespace, in which we are root.
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    kinds = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return ["unshare", *user, *kinds, "--propagation", "private"]


class Keeper:
    """The test process' side of one agent. Any thread may ask it to start something."""

    def __init__(self, xtables: str) -> None:
        self._processes: list[Process] = []
        self._turn = threading.Lock()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            marker = _MARKER.format(os.getpid())
            arguments = [str(_ROOT), marker, str(theirs.fileno()), xtables]
            self.unshare = subprocess.Popen(
                [*namespaces(), sys.executable, "-I", "-S", "-c", _BOOT, *arguments],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                # Ctrl-C is for pytest, which ends its hosts itself.
                start_new_session=True,
            )
        self._channel.settimeout(15)
        try:
            self.pid = self._greet()
        except BaseException:
            self.close()
            raise

    def _greet(self) -> int:
        message, descriptors = receive(self._channel, 64, 1)
        if message != b"ready":
            error = "the agent of the host did not start; stderr says why"
            raise HostError(error)
        (pidfd,) = descriptors
        pid = outer_pid(pidfd)
        os.close(pidfd)
        return pid

    def start(
        self, argv: Sequence[str], env: Mapping[str, str], netns: str | None, data: bytes | None
    ) -> Process:
        """Start a program with exactly this environment; no input at all keeps stdin open."""
        request = {"argv": list(argv), "env": dict(env), "netns": netns}
        return self._fork(list(argv), request, data)

    def call(self, function: str, netns: str | None, **arguments: object) -> Process:
        """Start one of the agent's functions in a child of its own."""
        request = {"call": function, "arguments": arguments, "netns": netns}
        return self._fork([function, *map(str, arguments.values())], request, b"")

    def _fork(self, argv: list[str], request: Mapping[str, Any], data: bytes | None) -> Process:
        pipes = Pipes()
        try:
            with self._turn:
                socket.send_fds(self._channel, [json.dumps(request).encode()], pipes.theirs)
                message, descriptors = receive(self._channel, 4096, 1)
        finally:
            for descriptor in pipes.theirs:
                os.close(descriptor)
        if not message:
            error = f"the host is gone; {argv} was not started"
            raise HostError(error)
        reply = json.loads(message)
        process = Process(argv, reply["pid"], descriptors[0], pipes, data)
        self._processes.append(process)
        if reply["error"] is not None:
            number, words = reply["error"]
            raise OSError(number, words, argv[0])
        return process

    def close(self) -> None:
        """End the host and wait until nothing of it runs any more."""
        self._channel.close()
        for process in self._processes:
            process.close()
        self._processes.clear()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.unshare.wait(5)
        # An agent that does not leave dies with the program that made its namespaces.
        self.unshare.kill()
        self.unshare.wait()


def survivors(owner: int) -> list[int]:
    """Return the processes that are, or were forked from, agents of a test process."""
    marker = os.fsencode(_MARKER.format(owner))
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if marker in entry.read_bytes().split(b"\0"):
                found.append(int(entry.parent.name))
    return found
