"""What the agent does for its callers: launch, kill, wait. Nothing here keeps the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from mesos_cni_port_mapper.harness import containers, signalling, state
from mesos_cni_port_mapper.harness.agent.census import Census, take_census
from mesos_cni_port_mapper.harness.agent.errors import Conflict, Missing
from mesos_cni_port_mapper.harness.containers import (
    EXITED,
    LOST,
    RUNNING,
    STARTING,
    Container,
    Ending,
    Glance,
)
from mesos_cni_port_mapper.harness.errors import (
    HarnessError,
    LostMonitorError,
    UnknownContainerError,
)
from mesos_cni_port_mapper.harness.launch import Launch
from mesos_cni_port_mapper.harness.spec import Spec, encode_spec
from mesos_cni_port_mapper.harness.state import Directory
from mesos_cni_port_mapper.isolator.waiting import readable

_T = TypeVar("_T")
_LOOK_AGAIN_SOON = 0.02
_LOOK_AGAIN = 0.2
_LOOK_AGAIN_ANYWAY = 5.0


class Launches(Protocol):
    """Starts monitors; ``launcher.Launcher`` does."""

    def launch(self, spec: Spec) -> Launch:
        """Start a monitor that launches a container."""
        ...


class Watcher(Protocol):
    """Is told of each launch; ``metrics.Metrics`` is."""

    def launched(self, seconds: float, *, failed: bool) -> None:
        """Note a launch that took so long."""
        ...


@dataclass(slots=True)
class Operations:
    """The containers of a runtime directory, for an event loop.

    Directories are read by one thread and the launcher is asked by another, so that neither is
    ever asked two things at a time.
    """

    runtime_dir: str
    launches: Launches
    watcher: Watcher
    _reader: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "reader"))
    _asker: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "asker"))

    def close(self) -> None:
        """Let the threads go, without waiting for what they were about to do."""
        for executor in (self._reader, self._asker):
            executor.shutdown(wait=False, cancel_futures=True)

    async def census(self, *, counting: bool = False) -> Census:
        """Look at all containers."""
        return await self.read(lambda: take_census(self.runtime_dir, counting=counting))

    async def launch(self, spec: Spec) -> bool:
        """Launch a container and wait until it runs; tell whether it is new.

        One that is there already, and was asked to be the same, is fine and not touched.
        """
        known = await self.read(lambda: self._known(spec.container_id))
        if known is not None:
            _check_same(known, spec)
            return False
        if spec.parent:
            await self._check_parent(spec.parent)
        began = time.monotonic()
        try:
            await self._start(spec)
        except HarnessError as error:
            self.watcher.launched(time.monotonic() - began, failed=True)
            await self._reconsider(error, spec.container_id)
            raise
        self.watcher.launched(time.monotonic() - began, failed=False)
        return True

    async def _start(self, spec: Spec) -> None:
        try:
            await _started(await self._ask(lambda: self.launches.launch(spec)))
        except LostMonitorError:
            if await self.read(lambda: self._known(spec.container_id)) is not None:
                raise
            # The keeper it was handed to was killed before it looked at it. There will be another.
            await _started(await self._ask(lambda: self.launches.launch(spec)))

    async def kill(self, container_id: str, number: int) -> None:
        """Send a signal to a container; one that is being launched is given up."""
        while not await self.read(lambda: _kill(self._directory(container_id), number)):
            await asyncio.sleep(_LOOK_AGAIN_SOON)

    async def wait(self, container_id: str) -> Ending:
        """Wait until a container has ended and is detached, and return how it did."""
        while True:
            seen, watched = await self._watch(container_id)
            if seen.ending:
                return seen.ending
            await _pause(watched)

    async def _watch(self, container_id: str) -> tuple[Glance, int | None]:
        looking = asyncio.ensure_future(self.read(lambda: _watch(self._directory(container_id))))
        try:
            return await asyncio.shield(looking)
        except asyncio.CancelledError:
            # The thread hears nothing of it, and what it opens would be nobody's.
            looking.add_done_callback(_close_watched)
            raise

    async def remove(self, container_id: str) -> None:
        """Forget a container that has ended and is detached."""
        await self.read(lambda: _remove(self._directory(container_id)))

    async def read(self, work: Callable[[], _T]) -> _T:
        """Do something with files in the thread that reads them."""
        return await asyncio.get_running_loop().run_in_executor(self._reader, work)

    async def _ask(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._asker, work)

    async def ask(self, work: Callable[[], int]) -> bytes:
        """Ask the launcher for something that reports on a pipe, and return all of the report."""
        return await _read_all(await self._ask(work))

    async def _check_parent(self, container_id: str) -> None:
        parent = await self.read(lambda: _glance_at(self._directory(container_id)))
        if parent.state != RUNNING:
            raise Conflict(f"container {container_id!r}, the parent, does not run")

    async def _reconsider(self, error: HarnessError, container_id: str) -> None:
        """See whether somebody else was faster with the same ID, which is no failure of ours."""
        known = await self.read(lambda: self._known(container_id))
        if known is not None and "already" in str(error):
            raise Conflict(str(error)) from error

    def _known(self, container_id: str) -> Container | None:
        try:
            return containers.inspect(self.runtime_dir, container_id)
        except UnknownContainerError:
            return None

    def _directory(self, container_id: str) -> Directory:
        try:
            return state.directory_of(self.runtime_dir, container_id)
        except UnknownContainerError as error:
            raise Missing(container_id) from error


def _glance_at(directory: Directory) -> Glance:
    try:
        return containers.glance_at(directory)
    except UnknownContainerError as error:
        raise Missing(directory.container_id) from error


def _check_same(known: Container, spec: Spec) -> None:
    if known.state not in (STARTING, RUNNING):
        raise Conflict(f"container {spec.container_id!r} has ended, and is not removed yet")
    # As JSON, because what was read back has lists where the request has tuples.
    if not _same(known.spec, spec):
        raise Conflict(f"there is a container {spec.container_id!r} already, and it is another")


def _same(one: Spec, other: Spec) -> bool:
    return json.dumps(encode_spec(one)) == json.dumps(encode_spec(other))


def _kill(directory: Directory, number: int) -> bool:
    """Send a signal; false while there is nobody to send it to, which is not for long."""
    container = _glance_at(directory)
    if container.state in (EXITED, LOST):
        raise Missing(container.container_id)
    starting = container.state == STARTING
    if starting and number not in (signal.SIGKILL, signal.SIGTERM):
        raise Conflict(f"container {container.container_id!r} is still being launched")
    if starting and container.init is None:
        return False
    try:
        # An init that waits hears nothing else; its monitor undoes what has been done so far.
        signalling.send(container, signal.SIGKILL if starting else number)
    except HarnessError as error:
        raise Missing(container.container_id) from error
    return True


def _watch(directory: Directory) -> tuple[Glance, int | None]:
    """Glance at a container; return also, if it has a monitor, what is at its end after that."""
    try:
        watched = directory.watch()
    except OSError:
        # Of a monitor that is not so far, or has never been.
        return _glance_at(directory), None
    try:
        # Afterwards, so that whoever leaves between the two is seen to have left.
        container = _glance_at(directory)
    except BaseException:
        os.close(watched)
        raise
    if container.monitored and container.state != EXITED:
        return container, watched
    os.close(watched)
    return container, None


def _close_watched(looking: asyncio.Future[tuple[Glance, int | None]]) -> None:
    if looking.cancelled() or looking.exception():
        return
    _, watched = looking.result()
    if watched is not None:
        os.close(watched)


def _remove(directory: Directory) -> None:
    container = _glance_at(directory)
    if container.ending is None:
        raise Conflict(f"container {container.container_id!r} has not ended")
    if not container.ending.detached:
        words = f"container {container.container_id!r} is not detached: {container.ending.error}"
        raise Conflict(words)
    signalling.forget(directory)


async def _started(started: Launch) -> None:
    try:
        await readable(started.report)
        started.result()
    finally:
        started.close()


async def _pause(watched: int | None) -> None:
    """Wait for a container's monitor to be done with it, and now and then for no reason."""
    if watched is None:
        await asyncio.sleep(_LOOK_AGAIN)
        return
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_AGAIN_ANYWAY):
                await readable(watched)
    finally:
        os.close(watched)


async def _read_all(pipe: int) -> bytes:
    chunks: list[bytes] = []
    try:
        while True:
            await readable(pipe)
            chunk = os.read(pipe, 1 << 16)
            if not chunk:
                return b"".join(chunks)
            chunks.append(chunk)
    finally:
        os.close(pipe)
