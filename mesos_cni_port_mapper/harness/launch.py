"""Start a monitor for a container, or another one for a container that lost its own.

A monitor is forked twice, so that it is nobody's child: whoever launches needs not reap it, and may
die. It must be forked from a process whose other threads, if it has any, hold no lock that matters.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.harness import containers, state
from mesos_cni_port_mapper.harness.errors import HarnessError, LostMonitorError, UsageError
from mesos_cni_port_mapper.harness.identity import open_running
from mesos_cni_port_mapper.harness.isolation import Options, encode_options, request_of
from mesos_cni_port_mapper.harness.monitor import (
    Post,
    become_monitor,
    become_successor,
    encode_failure,
    say,
)
from mesos_cni_port_mapper.harness.spec import Spec, encode_spec
from mesos_cni_port_mapper.harness.state import Directory
from mesos_cni_port_mapper.linux import signals
from mesos_cni_port_mapper.linux.descriptors import no_input

_REPORT_LIMIT = 1 << 16


@dataclass(slots=True)
class Launch:
    """A launch that is under way.

    ``report`` becomes readable when the container runs or has failed to, and again, with nothing to
    read, when its monitor is done with it: an event loop can watch it. ``terminal`` carries the
    bytes of its terminal.
    """

    directory: Directory
    report: int
    terminal: socket.socket | None = None
    _words: bytes = b""

    def fileno(self) -> int:
        """Return the descriptor to watch."""
        return self.report

    def result(self) -> None:
        """Wait until the command runs; a launch that failed raises ``HarnessError``."""
        while b"\n" not in self._words:
            data = os.read(self.report, _REPORT_LIMIT)
            if not data:
                raise LostMonitorError(self.directory.container_id)
            self._words += data
        message = codec.decode(self._words)
        if "error" in message:
            raise HarnessError(message["error"], message["status"])

    def ended(self, seconds: float | None) -> bool:
        """Wait, for a while or however long, for the monitor to be done; tell whether it is."""
        poll = select.poll()
        poll.register(self.report, select.POLLIN)
        return bool(poll.poll(None if seconds is None else seconds * 1000))

    def interrupt(self) -> None:
        """Ask the monitor to give a launch up; it does so when it can."""
        identity = containers.monitor_of(self.directory)
        pidfd = open_running(identity) if identity else None
        if pidfd is not None:
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)
            os.close(pidfd)

    def close(self) -> None:
        """Let go of the monitor, which goes on."""
        os.close(self.report)
        if self.terminal:
            self.terminal.close()


def launch(
    spec: Spec, options: Options, *, stdin: int | None = None, attend: bool = False
) -> Launch:
    """Start a monitor that launches a container; ``Launch.result`` says what came of it.

    The command reads ``stdin``, or nothing. To ``attend`` is to hold the other end of its terminal.
    """
    directory, lock = admit(spec, options)
    ours, theirs = socket.socketpair() if attend and spec.tty else (None, None)
    source = no_input() if stdin is None else os.dup(stdin)

    def work(report: int) -> NoReturn:
        post = Post(
            directory=directory,
            spec=spec,
            options=options,
            lock=lock,
            report=report,
            stdin=source,
            client=theirs,
        )
        if spec.docker:
            from mesos_cni_port_mapper.harness.docker_monitor import become_docker_monitor

            become_docker_monitor(post)
        become_monitor(post)

    try:
        report = fork_away(work)
    except OSError as error:
        directory.remove()
        if ours:
            ours.close()
        raise HarnessError(f"cannot fork a monitor: {error.strerror}") from error
    finally:
        os.close(lock)
        os.close(source)
        if theirs:
            theirs.close()
    return Launch(directory, report, ours)


def become_launched(spec: Spec, options: Options, report: int) -> NoReturn:
    """Be the monitor of a new container, in a process forked for it by ``fork_away``.

    What ``launch`` would raise is what ``Launch.result`` raises to whoever has the pipe.
    """
    try:
        directory, lock = admit(spec, options)
    except (HarnessError, OSError) as error:
        say(report, encode_failure(error))
        os._exit(1)
    become_monitor(
        Post(
            directory=directory,
            spec=spec,
            options=options,
            lock=lock,
            report=report,
            stdin=no_input(),
        )
    )


def admit(spec: Spec, options: Options) -> tuple[Directory, int]:
    """Make the directory of a container that can be launched, and return it with its lock."""
    check(spec, options)
    document = {
        "created": time.time(),
        "spec": encode_spec(spec),
        "settings": encode_options(options),
    }
    return state.claim(options.runtime_dir, spec.container_id, document)


def succeed(directory: Directory, options: Options) -> Launch | None:
    """Start another monitor for a running container; nothing when it has one."""
    lock = state.take_over(directory)
    if lock is None:
        return None
    source = -1
    try:
        container = containers.look_at(directory)
        init = container.init
        if container.state != containers.RUNNING or init is None:
            return None
        source = no_input()

        def work(report: int) -> NoReturn:
            post = Post(
                directory=directory,
                spec=container.spec,
                options=options,
                lock=lock,
                report=report,
                stdin=source,
            )
            become_successor(post, init)

        return Launch(directory, fork_away(work))
    finally:
        for descriptor in (lock, source):
            if descriptor >= 0:
                os.close(descriptor)


def check(spec: Spec, options: Options, *, nested: bool = True) -> None:
    """Refuse what can be seen to fail before anything is made.

    ``nested`` is false when the parent has yet to be launched.
    """
    request_of(spec)
    if spec.rootfs is not None and not os.path.isdir(spec.rootfs):
        raise UsageError(f"--rootfs: {spec.rootfs}: no such directory")
    for volume in spec.volumes:
        if not os.path.exists(volume.host_path):
            raise UsageError(f"volumes: host_path {volume.host_path}: no such file or directory")
    if spec.parent and nested:
        with contextlib.suppress(HarnessError):
            if containers.inspect(options.runtime_dir, spec.parent).state == containers.RUNNING:
                return
        raise HarnessError(
            f"container {spec.container_id!r} is nested in {spec.parent!r}, which does not run"
        )


def fork_away(work: Callable[[int], NoReturn]) -> int:
    """Run ``work`` in a process that is nobody's child; return the pipe it reports on."""
    sys.stdout.flush()
    sys.stderr.flush()
    report, reported = os.pipe()
    # The handlers of this process must not run in the other, which settles for its own.
    mask = signals.block(signals.ALL)
    # Each fork of an interpreter costs milliseconds: pages that both sides then copy to write to.
    reaped = signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
    pid = os.fork()
    if pid == 0:
        try:
            if reaped or os.fork() == 0:
                work(reported)
        finally:
            os._exit(1)
    signals.set_mask(mask)
    os.close(reported)
    if not reaped:
        os.waitpid(pid, 0)
    return report
