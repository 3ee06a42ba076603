"""A process inside a throwaway host, as the test process holds it."""

import contextlib
import fcntl
import os
import select
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

_PIPE_SIZE = 1 << 20


@dataclass(frozen=True)
class Finished:
    """What a process left: its status (negative: the signal that ended it) and its output."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Return stdout decoded."""
        return self.stdout.decode()


class CommandError(Exception):
    """A command that a test relied on went wrong; its words are in the message."""


class Pipes:
    """The four pipes of one process: its streams, and one on which its status will come."""

    def __init__(self) -> None:
        self.their_stdin, self.stdin = os.pipe()
        self.stdout, self.their_stdout = os.pipe()
        self.stderr, self.their_stderr = os.pipe()
        self.status, self.their_status = os.pipe()
        # Room for any sane configuration, so that start() can hand it over without waiting.
        fcntl.fcntl(self.stdin, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        for ours in (self.stdin, self.stdout, self.stderr, self.status):
            os.set_blocking(ours, False)

    @property
    def theirs(self) -> list[int]:
        """Return the ends that the process and its parent get."""
        return [self.their_stdin, self.their_stdout, self.their_stderr, self.their_status]


class Process:
    """A started process. The host ends it, whatever happens to this object."""

    def __init__(
        self, argv: Sequence[str], pid_inside: int, pidfd: int, pipes: Pipes, data: bytes | None
    ) -> None:
        self.argv = argv
        self.pid_inside = pid_inside
        self._pidfd = pidfd
        self._stdin = pipes.stdin
        self._pending = b""
        self._last = False
        self._names = {pipes.stdout: "stdout", pipes.stderr: "stderr", pipes.status: "status"}
        self._output: dict[str, bytearray] = {name: bytearray() for name in self._names.values()}
        if data is not None:
            self.feed(data)

    @property
    def pid(self) -> int:
        """Return the PID as the test process sees it, or -1 when the process is over."""
        return outer_pid(self._pidfd)

    @property
    def running(self) -> bool:
        """Tell whether the process has not ended yet."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return not poll.poll(0)

    def feed(self, data: bytes, *, last: bool = True) -> None:
        """Give the process input, and end of file after it unless more will come."""
        self._pending += data
        self._last = last
        self._write()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to this process alone, if it is still there."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    def stdout_line(self, timeout: float = 5.0) -> bytes:
        """Return the first line of stdout, or what there is when the process ends without one."""
        end = time.monotonic() + timeout
        while b"\n" not in self._output["stdout"] and "stdout" in self._names.values():
            if not self._turn(end):
                self._give_up()
        return bytes(self._output["stdout"]).partition(b"\n")[0]

    def wait(self, timeout: float = 30.0, *, drain: bool = True) -> Finished:
        """Wait for the end, and as a runtime does until nobody holds stdout and stderr any more.

        Without ``drain`` only this process is waited for, not those that inherited its streams.
        """
        end = time.monotonic() + timeout
        while "status" in self._names.values() or (drain and self._names):
            if not self._turn(end):
                self._give_up()
        if self._names:
            self._read(list(self._names))
        status = bytes(self._output["status"])
        if not status:
            message = f"the host died while {self.argv} ran"
            raise CommandError(message)
        return Finished(int(status), bytes(self._output["stdout"]), bytes(self._output["stderr"]))

    def close(self) -> None:
        """Let go of the pipes; the process is not touched."""
        for descriptor in (self._pidfd, self._stdin, *self._names):
            if descriptor >= 0:
                os.close(descriptor)
        self._pidfd = self._stdin = -1
        self._names = {}

    def _turn(self, end: float) -> bool:
        poll = select.poll()
        for descriptor in self._names:
            poll.register(descriptor, select.POLLIN)
        if self._stdin >= 0 and self._pending:
            poll.register(self._stdin, select.POLLOUT)
        ready = [number for number, _ in poll.poll(max(0.0, end - time.monotonic()) * 1000)]
        if self._stdin in ready:
            self._write()
        self._read([number for number in ready if number in self._names])
        return bool(ready)

    def _give_up(self) -> NoReturn:
        # A whole session was made for it, so its children can be named without naming others.
        if self.running:
            os.killpg(self.pid, signal.SIGKILL)
            end = time.monotonic() + 1
            while self._names and self._turn(end):
                pass
        said = {name: bytes(self._output[name]) for name in ("stdout", "stderr")}
        message = f"{self.argv} did not end in time; it said {said}"
        raise TimeoutError(message)

    def _read(self, descriptors: Sequence[int]) -> None:
        for descriptor in descriptors:
            with contextlib.suppress(BlockingIOError):
                while data := os.read(descriptor, 1 << 16):
                    self._output[self._names[descriptor]] += data
                del self._names[descriptor]
                os.close(descriptor)

    def _write(self) -> None:
        try:
            while self._pending:
                written = os.write(self._stdin, self._pending)
                self._pending = self._pending[written:]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._pending, self._last = b"", True
        if self._last and self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1


def outer_pid(pidfd: int) -> int:
    """Return the PID behind a pidfd as this process' own /proc counts, -1 when it is gone."""
    for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "Pid":
            return int(value)
    return -1
