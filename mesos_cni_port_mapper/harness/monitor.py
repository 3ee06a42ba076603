"""The process that looks after one container, from before its networks until after them.

It is forked, leads a session of its own and is told nothing once it runs: whoever launched it may
die. A container survives it too; its init writes down the exit status itself, and `recover` starts
another monitor, which can wait for init without being its parent.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.harness import containers, signalling, state, terminal
from mesos_cni_port_mapper.harness.birth import expect, fork_init
from mesos_cni_port_mapper.harness.descriptors import close_all_but
from mesos_cni_port_mapper.harness.ending import FAILURES, detach, finish_lost, record_ending
from mesos_cni_port_mapper.harness.errors import HarnessError, one_line
from mesos_cni_port_mapper.harness.identity import (
    Identity,
    encode_identity,
    has_ended,
    identify,
    open_running,
)
from mesos_cni_port_mapper.harness.isolation import (
    Isolator,
    Options,
    encode_status,
    first_address,
    host_status,
    open_isolator,
    request_of,
)
from mesos_cni_port_mapper.harness.spec import Spec
from mesos_cni_port_mapper.harness.state import Directory
from mesos_cni_port_mapper.linux import signals, syscalls


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What a monitor is given by the process that forks it.

    ``report`` is a pipe on which it says one thing, started or failed, and whose end says that it
    is over. ``stdin`` is the container's; ``client`` has its terminal's input and gets its output.
    """

    directory: Directory
    spec: Spec
    options: Options
    lock: int
    report: int
    stdin: int
    client: socket.socket | None = None


class Monitor:
    """One container's monitor; ``run`` it in a process of its own."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._directory = post.directory
        self._spec = post.spec
        self._init = 0
        self._released = False
        self._interrupted = False
        self._isolator: Isolator | None = None

    def run(self) -> None:
        """Launch the container, wait for its end, and detach it."""
        try:
            master = self._launch()
        except Exception as error:  # noqa: BLE001 - a bug must leave no container behind either
            if not isinstance(error, FAILURES):
                traceback.print_exc()
            self._abandon(error)
            return
        say(self._post.report, {"started": True})
        status = self._wait(master)
        signalling.end_nested(self._directory)
        self._finish(status)

    def _launch(self) -> int:
        spec = self._spec
        isolator = open_isolator(self._post.options)
        preparation = isolator.prepare(request_of(spec))
        # What it refuses to prepare is perhaps another's of the same ID, and not ours to detach.
        self._isolator = isolator
        self._init, channel = fork_init(self._directory, spec, self._post.stdin, preparation)
        with contextlib.closing(channel):
            expect(channel, "ready")
            self._isolate(isolator)
            infos = encode_status(isolator.status(spec.container_id)) or host_status()
            address = first_address(infos)
            environment = dict(preparation.environment)
            if address:
                environment["MESOS_CONTAINER_IP"] = address
            attached = {
                "started": time.time(),
                "network_infos": infos,
                "environment": environment,
            }
            self._check_parent()
            self._directory.write(state.ATTACHED, attached)
            self._released = True
            channel.send(codec.encode({"environment": environment}))
            return expect(channel, "started")

    def _check_parent(self) -> None:
        """Refuse to go on without the parent, whose monitor may have looked for us too early."""
        parent = self._spec.parent
        if parent:
            directory = Directory(self._directory.path.with_name(parent))
            if containers.look_at(directory).state != containers.RUNNING:
                raise HarnessError(f"container {parent!r} has ended")

    def _isolate(self, isolator: Isolator) -> None:
        """Attach the container, unless somebody asks us to stop meanwhile."""

        async def attach() -> None:
            work = asyncio.ensure_future(isolator.isolate(self._spec.container_id, self._init))
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
            if self._interrupted:
                work.cancel()
            try:
                await work
            except asyncio.CancelledError as error:
                raise HarnessError("interrupted while it was being attached") from error
            finally:
                # The loop would leave the default behind.
                signal.signal(signal.SIGTERM, self.terminate)

        asyncio.run(attach())

    def _wait(self, master: int) -> int:
        if master >= 0:
            pidfd = os.pidfd_open(self._init)
            output = self._directory.append(state.STDOUT)
            terminal.relay(master, output, self._post.client, pidfd)
            for descriptor in (pidfd, output, master):
                os.close(descriptor)
        return self._reap()

    def _reap(self) -> int:
        _, status = os.waitpid(self._init, 0)
        self._init = 0
        return containers.status_of(os.waitstatus_to_exitcode(status))

    def _finish(self, status: int) -> None:
        error = detach(self._isolator, self._spec.container_id)
        record_ending(self._directory, status, error)

    def _abandon(self, failure: BaseException) -> None:
        """Undo a launch that failed, and say why. What cannot be undone stays, for `cleanup`."""
        if self._init:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._init, signal.SIGKILL)
            self._reap()
        error = detach(self._isolator, self._spec.container_id)
        document = encode_failure(failure)
        if error:
            document["error"] += f"; and detaching it failed: {error}"
            record_ending(self._directory, None, error)
        else:
            self._directory.remove()
        say(self._post.report, document)

    def terminate(self, number: int, _frame: FrameType | None) -> None:
        """Pass a signal that was meant for the container on to it, or do not start it at all."""
        if not self._released:
            self._interrupted = True
        elif self._init:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._init, number)


def become_monitor(post: Post) -> NoReturn:
    """Be the monitor of a container that is to be launched; in a process forked for it."""
    settle(post)
    monitor = Monitor(post)
    signal.signal(signal.SIGTERM, monitor.terminate)
    _run(monitor.run)


def become_successor(post: Post, init: Identity) -> NoReturn:
    """Be the monitor of a container that lost its own; in a process forked for it."""
    settle(post)

    def succeed() -> None:
        say(post.report, {"started": True})
        pidfd = open_running(init)
        if pidfd is not None:
            has_ended(pidfd, None)
        finish_lost(post.directory, post.spec, post.options)

    _run(succeed)


def encode_failure(failure: BaseException) -> dict[str, Any]:
    """Return what a launch that failed reports: one line, and the status to exit with."""
    status = failure.status if isinstance(failure, HarnessError) else 1
    if isinstance(failure, FAILURES):
        return {"error": one_line(failure), "status": status}
    # The log that has it all goes with the container that never was.
    where = traceback.extract_tb(failure.__traceback__)[-1]
    return {"error": f"this is a bug: {failure!r} in {where.name}:{where.lineno}", "status": status}


def say(report: int, document: Mapping[str, Any]) -> None:
    """Report something to whoever launched the container."""
    # They may have died.
    with contextlib.suppress(BrokenPipeError):
        os.write(report, codec.encode(dict(document)) + b"\n")


def settle(post: Post) -> None:
    """Make a forked process a monitor: alone with its files, deaf to the terminal."""
    # Objects of the process we were forked from may own descriptors; none may ever be collected.
    gc.freeze()
    gc.disable()
    os.setsid()
    syscalls.set_process_name("mesos-cni-mon")
    syscalls.set_command_line(f"mesos-cni: monitor of {post.spec.container_id}")
    kept = [post.lock, post.report, post.stdin]
    if post.client:
        kept.append(post.client.fileno())
    null = os.open("/dev/null", os.O_RDWR)
    log = post.directory.append(state.LOG)
    for target, descriptor in enumerate((null, log, log)):
        os.dup2(descriptor, target)
    close_all_but((0, 1, 2, *kept))
    gc.enable()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signals.set_mask(())
    post.directory.write(state.MONITOR, encode_identity(identify(os.getpid())))


def _run(work: Callable[[], None]) -> NoReturn:
    try:
        work()
    except BaseException:  # noqa: BLE001 - a forked child must not return
        os.write(2, traceback.format_exc().encode())
        os._exit(1)
    os._exit(0)
