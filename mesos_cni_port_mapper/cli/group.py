"""Run a task group: one container that holds the network, and the tasks nested in it.

As with Mesos' default executor, the tasks start together, and when one fails the others are ended.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType

from mesos_cni_port_mapper.cli.progress import progress
from mesos_cni_port_mapper.harness import containers, output, signalling
from mesos_cni_port_mapper.harness.errors import HarnessError, UnknownContainerError
from mesos_cni_port_mapper.harness.isolation import Options
from mesos_cni_port_mapper.harness.launch import Launch, check, launch
from mesos_cni_port_mapper.harness.spec import Spec
from mesos_cni_port_mapper.linux import signals

_GRACE = 5.0
_FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


class GroupFailedError(HarnessError):
    """A task could not be launched; what had been is ended."""


def run_group(specs: Sequence[Spec], options: Options, *, detach: bool) -> int:
    """Launch a group; unless detached, stay until it has ended, and return the first failure."""
    parent, *tasks = specs
    for task in tasks:
        check(task, options, nested=False)
    group = _Group(options)
    before = {number: signal.signal(number, group.interrupt) for number in _FORWARDED}
    try:
        group.start(parent)
        for task in tasks:
            group.start(task)
        if detach:
            sys.stdout.writelines(f"{spec.container_id}\n" for spec in specs)
            return 0
        return group.stay()
    except BaseException:
        group.end()
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        group.close()


class _Group:
    """The launches of a group, its parent first."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._launches: list[Launch] = []
        self._starting: Launch | None = None
        self._interrupted = False

    def start(self, spec: Spec) -> None:
        """Launch a container of the group and wait until it runs."""
        if self._interrupted:
            raise HarnessError("interrupted", 130)
        # A container has processes of its own before there is a launch to give up.
        mask = signals.block(_FORWARDED)
        try:
            self._starting = launch(spec, self._options)
            self._launches.append(self._starting)
        finally:
            signals.set_mask(mask)
        try:
            with progress(f"launching {spec.container_id}"):
                self._starting.result()
        except HarnessError as error:
            self._launches.pop().close()
            if self._interrupted:
                raise HarnessError("interrupted", 130) from error
            raise GroupFailedError(f"{spec.container_id}: {error}", error.status) from error
        finally:
            self._starting = None

    def interrupt(self, _number: int, _frame: FrameType | None) -> None:
        """Have the group end, and give up what is being launched."""
        self._interrupted = True
        if self._starting:
            self._starting.interrupt()

    def stay(self) -> int:
        """Copy the tasks' output until all have ended; return the status of the first to fail."""
        followers = [output.Follower(each.directory, 1, 2) for each in self._launches]
        running = self._launches[1:]
        first = 0
        while running:
            time.sleep(output.INTERVAL)
            for follower in followers:
                follower.copy()
            for ended in [each for each in running if each.ended(0)]:
                running.remove(ended)
                first = first or _status(ended)
            if self._interrupted or first:
                first = first or 128 + signal.SIGTERM
                _stop(running)
                running = []
        for follower in followers:
            follower.copy()
            follower.close()
        self.end()
        return first

    def end(self) -> None:
        """End what still runs, the parent last, and forget it all."""
        _stop(self._launches[1:])
        _stop(self._launches[:1])
        for each in reversed(self._launches):
            with contextlib.suppress(UnknownContainerError):
                container = containers.glance_at(each.directory)
                if container.ending and container.ending.detached:
                    signalling.forget(each.directory)
                elif container.ending:
                    words = f"detaching it failed: {container.ending.error}"
                    raise HarnessError(f"{container.container_id}: {words}")

    def close(self) -> None:
        """Let go of all monitors."""
        for each in self._launches:
            each.close()


def _stop(launches: Sequence[Launch]) -> None:
    """End containers, all at the same time."""
    for each in launches:
        with contextlib.suppress(HarnessError):
            signalling.send(containers.glance_at(each.directory), signal.SIGTERM)
    deadline = time.monotonic() + _GRACE
    for each in launches:
        with contextlib.suppress(HarnessError):
            signalling.stop(each.directory, max(0.0, deadline - time.monotonic()))


def _status(ended: Launch) -> int:
    with contextlib.suppress(HarnessError):
        ending = containers.glance_at(ended.directory).ending
        if ending and ending.status is not None:
            return ending.status
    return 1
