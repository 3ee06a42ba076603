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
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.harness import containers, signalling, state, terminal
from mesos_cni_port_mapper.harness.birth import Here, Parent, expect, fork_init
from mesos_cni_port_mapper.harness.containers import Outcome
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
from mesos_cni_port_mapper.isolator.children import perform
from mesos_cni_port_mapper.isolator.network_info import NetworkInfo
from mesos_cni_port_mapper.isolator.waiting import ended
from mesos_cni_port_mapper.linux import signals, syscalls
from mesos_cni_port_mapper.linux.descriptors import close_all_but

_INTERRUPTED = "interrupted while it was being attached"


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
    """One container's monitor. Its inits are children of ``parent``."""

    def __init__(self, post: Post, parent: Parent, open_isolator: Callable[[], Isolator]) -> None:
        self._post = post
        self._parent = parent
        self._open_isolator = open_isolator
        self._directory = post.directory
        self._spec = post.spec
        self._init = 0
        self._released = False
        self._launching: asyncio.Task[int] | None = None
        self._isolator: Isolator | None = None

    async def run(self) -> None:
        """Launch the container, wait for its end, and detach it."""
        try:
            self._directory.write(state.MONITOR, encode_identity(identify(os.getpid())))
            self._launching = asyncio.ensure_future(self._launch())
            master = await self._launching
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - a bug must leave no container behind either
            await self._abandon(self._reason(error))
            return
        say(self._post.report, {"started": True})
        outcome = await self._wait(master)
        if state.nested_in(self._directory):
            # In a thread of its own: one of a pool's could wait for those that wait for the pool.
            await perform(lambda: signalling.end_nested(self._directory), None)
        await self._finish(outcome)

    async def _launch(self) -> int:
        spec = self._spec
        try:
            isolator = self._open_isolator()
            preparation = isolator.prepare(request_of(spec))
        except BaseException:
            # From here on it is closed by whoever forks init.
            os.close(self._post.stdin)
            raise
        # What it refuses to prepare is perhaps another's of the same ID, and not ours to detach.
        self._isolator = isolator
        self._init, channel = fork_init(
            self._parent, self._directory, spec, self._post.stdin, preparation
        )
        with contextlib.closing(channel):
            await expect(channel, "ready")
            infos = encode_status(await self._isolate(isolator, channel)) or host_status()
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
            return await expect(channel, "started")

    async def _isolate(self, isolator: Isolator, channel: socket.socket) -> tuple[NetworkInfo, ...]:
        """Attach the container, unless its init, which should only wait, ends meanwhile."""
        work = asyncio.ensure_future(isolator.isolate(self._spec.container_id, self._init))
        loop = asyncio.get_running_loop()
        loop.add_reader(channel, work.cancel)
        try:
            return await work
        except (Exception, asyncio.CancelledError) as error:
            # Whatever it stumbled over, without its init there was nothing to attach any more.
            if has_ended(channel.fileno()):
                raise HarnessError(_INTERRUPTED) from error
            raise
        finally:
            loop.remove_reader(channel)

    def _check_parent(self) -> None:
        """Refuse to go on without the parent, whose monitor may have looked for us too early."""
        parent = self._spec.parent
        if parent:
            directory = Directory(self._directory.path.with_name(parent))
            if containers.glance_at(directory).state != containers.RUNNING:
                raise HarnessError(f"container {parent!r} has ended")

    async def _wait(self, master: int) -> Outcome | None:
        if master >= 0:
            pidfd = os.pidfd_open(self._init)
            output = self._directory.append(state.STDOUT)
            # In a thread, so that the loop goes on hearing signals.
            await perform(lambda: terminal.relay(master, output, self._post.client, pidfd), None)
            for descriptor in (pidfd, output, master):
                os.close(descriptor)
        return await self._reap()

    async def _reap(self) -> Outcome | None:
        await ended(self._init)
        own = None
        try:
            status = self._parent.reap(self._init)
            own = containers.outcome_of(os.waitstatus_to_exitcode(status))
        except HarnessError:
            pass  # Its parent was killed.
        finally:
            self._init = 0
        # Init has written down how the command ended, if it could: a signal does not end init too.
        seen = containers.init_outcome(self._directory)
        return seen if own is None or (seen and seen.status == own.status) else own

    async def _finish(self, outcome: Outcome | None) -> None:
        error = await detach(self._isolator, self._spec.container_id)
        record_ending(self._directory, outcome, error)

    def _reason(self, error: BaseException) -> BaseException:
        if isinstance(error, asyncio.CancelledError):
            return HarnessError(_INTERRUPTED)
        if not isinstance(error, FAILURES):
            self.note(error)
        return error

    async def _abandon(self, failure: BaseException) -> None:
        """Undo a launch that failed, and say why. What cannot be undone stays, for `cleanup`."""
        if self._init:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._init, signal.SIGKILL)
            await self._reap()
        error = await detach(self._isolator, self._spec.container_id)
        document = encode_failure(failure)
        if error:
            document["error"] += f"; and detaching it failed: {error}"
            record_ending(self._directory, None, error)
        else:
            self._directory.remove()
        say(self._post.report, document)

    def terminate(self) -> None:
        """Pass a SIGTERM that was meant for the container on to it, or do not start it at all."""
        if not self._released:
            if self._launching:
                self._launching.cancel()
        elif self._init:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._init, signal.SIGTERM)

    def note(self, bug: BaseException) -> None:
        """Write a bug into the container's log."""
        log = self._directory.append(state.LOG)
        os.write(log, "".join(traceback.format_exception(bug)).encode())
        os.close(log)


def become_monitor(post: Post) -> NoReturn:
    """Be the monitor of a container that is to be launched; in a process forked for it."""
    settle_for(post)

    async def watch() -> None:
        monitor = Monitor(post, Here(), lambda: open_isolator(post.options))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, monitor.terminate)
        await monitor.run()

    run_to_end(lambda: asyncio.run(watch()))


def become_successor(post: Post, init: Identity) -> NoReturn:
    """Be the monitor of a container that lost its own; in a process forked for it."""
    settle_for(post)
    post.directory.write(state.MONITOR, encode_identity(identify(os.getpid())))

    def succeed() -> None:
        say(post.report, {"started": True})
        pidfd = open_running(init)
        if pidfd is not None:
            has_ended(pidfd, None)
        finish_lost(post.directory, post.spec, post.options)

    run_to_end(succeed)


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


def settle_for(post: Post) -> None:
    """Make a forked process the monitor of one container."""
    kept = [post.lock, post.report, post.stdin]
    if post.client:
        kept.append(post.client.fileno())
    settle(f"monitor of {post.spec.container_id}", post.directory.append(state.LOG), kept)
    post.directory.hold()


def settle(what: str, log: int, kept: Iterable[int]) -> None:
    """Make a forked process one of its own: alone with its files, deaf to the terminal."""
    # Objects of the process we were forked from may own descriptors; none may ever be collected.
    gc.freeze()
    gc.disable()
    os.setsid()
    syscalls.set_process_name("mesos-cni-mon")
    syscalls.set_command_line(f"mesos-cni: {what}")
    null = os.open("/dev/null", os.O_RDWR)
    for target, descriptor in enumerate((null, log, log)):
        os.dup2(descriptor, target)
    close_all_but((0, 1, 2, *kept))
    gc.enable()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signals.set_mask(())


def run_to_end(work: Callable[[], None]) -> NoReturn:
    """Do the work of a forked process, which must not return, and leave."""
    try:
        work()
    except BaseException:  # noqa: BLE001 - a forked child must not return
        os.write(2, traceback.format_exc().encode())
        os._exit(1)
    os._exit(0)
