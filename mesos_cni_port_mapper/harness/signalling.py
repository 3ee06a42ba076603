"""Send signals to containers, and wait for them to end."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from mesos_cni_port_mapper.harness import containers, state
from mesos_cni_port_mapper.harness.containers import EXITED, LOST, RUNNING, STARTING, Glance
from mesos_cni_port_mapper.harness.errors import HarnessError, UsageError
from mesos_cni_port_mapper.harness.identity import has_ended, open_running
from mesos_cni_port_mapper.harness.state import Directory
from mesos_cni_port_mapper.linux import signals

INTERVAL = 0.05
_LONGEST = 5.0


def parse_signal(text: str, path: str) -> int:
    """Return a signal's number for ``TERM``, ``SIGTERM``, ``sigterm`` or ``15``."""
    name = text.upper().removeprefix("SIG")
    with contextlib.suppress(KeyError):
        return int(signal.Signals[f"SIG{name}"])
    # Of three digits at most: more is no signal, and reading a million takes a while.
    if text.isascii() and text.isdigit() and len(text) < 4 and int(text) in signals.ALL:
        return int(text)
    raise UsageError(f"{path}: there is no signal {text!r}")


def send(container: Glance, number: int) -> None:
    """Send a signal to a container's init, which passes it on; KILL ends them all."""
    pidfd = open_running(container.init) if container.init else None
    if pidfd is None:
        raise HarnessError(f"container {container.container_id!r} does not run")
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError as error:
        raise HarnessError(f"container {container.container_id!r} does not run") from error
    finally:
        os.close(pidfd)


def stop(directory: Directory, grace: float) -> Glance:
    """Ask a container to end, make it after ``grace`` seconds, and wait until it is detached."""
    container = containers.glance_at(directory)
    while container.state == STARTING and container.init is None:
        time.sleep(INTERVAL)
        container = containers.glance_at(directory)
    pidfd = open_running(container.init) if container.init else None
    if pidfd is not None:
        try:
            with contextlib.suppress(ProcessLookupError):
                # One that is still being attached has an init that hears nothing else.
                if container.state == RUNNING:
                    signal.pidfd_send_signal(pidfd, signal.SIGTERM)
                if container.state != RUNNING or not has_ended(pidfd, grace):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)
    return wait(directory)


def end_nested(directory: Directory) -> None:
    """End the containers nested in one that has ended, and wait until they are detached."""
    nested = state.nested_in(directory)
    for each in nested:
        with contextlib.suppress(HarnessError):
            send(containers.glance_at(each), signal.SIGKILL)
    for each in nested:
        with contextlib.suppress(HarnessError):
            stop(each, 0)


def wait(directory: Directory, seconds: float | None = None) -> Glance:
    """Wait until a container has ended and is detached; ``TimeoutError`` when it takes longer."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while True:
        # Before the look: whoever leaves between the two is seen to have left.
        watched = _watch(directory)
        try:
            container = containers.glance_at(directory)
            if container.state == EXITED:
                return container
            if container.state == LOST:
                raise HarnessError(
                    f"container {container.container_id!r} ended without a monitor; "
                    "`recover` puts things in order"
                )
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError(container.container_id)
            _pause(container, watched, _LONGEST if left is None else left)
        finally:
            if watched is not None:
                os.close(watched)


def _watch(directory: Directory) -> int | None:
    try:
        return directory.watch()
    except OSError:
        return None  # Of a monitor that is not so far, or has never been.


def _pause(container: Glance, watched: int | None, left: float) -> None:
    """Wait for the monitor to be done, or where there is none for init; never for long."""
    if watched is not None and container.monitored:
        has_ended(watched, min(left, _LONGEST))
        return
    pidfd = open_running(container.init) if container.init and not container.monitored else None
    seconds = min(left, INTERVAL)
    if pidfd is None:
        time.sleep(seconds)
        return
    try:
        has_ended(pidfd, seconds)
    finally:
        os.close(pidfd)


def forget(directory: Directory) -> None:
    """Remove what is known of a container that has ended and is detached."""
    lock = state.take_over(directory)
    if lock is None:
        if containers.glance_at(directory).state != EXITED:
            raise HarnessError(f"container {directory.container_id!r} has not ended")
        # Its monitor has written its last word and is about to leave.
        time.sleep(INTERVAL)
        forget(directory)
        return
    try:
        directory.remove()
    finally:
        os.close(lock)
