"""Run another command in a container that runs: what Mesos calls a container of class DEBUG.

It is in all namespaces of the container's init, and ends with it. Nobody keeps a record of it: it
is a child of whoever asked.
"""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import replace
from types import FrameType
from typing import Any, NoReturn, Self

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.harness import terminal
from mesos_cni_port_mapper.harness.account import parse_account
from mesos_cni_port_mapper.harness.command import (
    encode_trouble,
    environment_of,
    hand_over,
    run_command,
)
from mesos_cni_port_mapper.harness.containers import RUNNING, Container, outcome_of
from mesos_cni_port_mapper.harness.errors import HarnessError, one_line
from mesos_cni_port_mapper.harness.identity import has_ended, open_running
from mesos_cni_port_mapper.harness.init import close_imports, read_text
from mesos_cni_port_mapper.harness.spec import Spec
from mesos_cni_port_mapper.linux import syscalls
from mesos_cni_port_mapper.linux.descriptors import close_all_but

# The mount namespace last: with it go the paths by which the others would be found.
_KINDS = (
    ("ipc", syscalls.CLONE_NEWIPC),
    ("uts", syscalls.CLONE_NEWUTS),
    ("net", syscalls.CLONE_NEWNET),
    ("pid", syscalls.CLONE_NEWPID),
    ("mnt", syscalls.CLONE_NEWNS),
)
_FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


def run_inside(container: Container, spec: Spec) -> int:
    """Run the command of ``spec`` in a container, with our streams; return its exit status."""
    pidfd = open_running(container.init) if container.init else None
    if pidfd is None or container.init is None or container.state != RUNNING:
        raise HarnessError(f"container {container.container_id!r} does not run")
    try:
        namespaces = [
            (os.open(f"/proc/{container.init.pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC), flag)
            for name, flag in _KINDS
        ]
        if has_ended(pidfd):
            raise HarnessError(f"container {container.container_id!r} does not run")
    except OSError as error:
        raise HarnessError(f"container {container.container_id!r}: {one_line(error)}") from error
    finally:
        os.close(pidfd)
    return _Visit(container, spec).run(namespaces)


class _Visit:
    """One command in a container, and the process of ours that waits for it.

    The process that enters cannot become the command: a PID namespace is entered by one's children.
    So it forks again, and ends as its child does.
    """

    def __init__(self, container: Container, spec: Spec) -> None:
        self._spec = replace(spec, rootfs=container.spec.rootfs)
        self._given = {**container.environment, **container.spec.environment}

    def run(self, namespaces: list[tuple[int, int]]) -> int:
        """Enter, run, wait."""
        with _Forwarding() as signals:
            return self._wait(namespaces, signals)

    def _wait(self, namespaces: list[tuple[int, int]], signals: _Forwarding) -> int:
        master, slave = os.openpty() if self._spec.tty else (-1, -1)
        trouble, troubled = os.pipe()
        told, telling = os.pipe()
        middle = os.fork()
        if middle == 0:
            self._enter(namespaces, slave, troubled, telling)
        for descriptor in (troubled, telling, *(fd for fd, _ in namespaces)):
            os.close(descriptor)
        if slave >= 0:
            os.close(slave)
        try:
            signals.lead_to(int(os.read(told, 64) or b"0"))
            words = os.read(trouble, 4096)
            if words:
                message = codec.decode(words)
                raise HarnessError(message["error"], message["status"])
            if master >= 0:
                _attend(master, middle)
        finally:
            # To close the master is to hang up: a command that nobody reads any more is told so.
            for descriptor in (trouble, told, *([master] if master >= 0 else [])):
                os.close(descriptor)
        return _reap(middle)

    def _enter(
        self, namespaces: list[tuple[int, int]], slave: int, troubled: int, telling: int
    ) -> NoReturn:
        try:
            signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
            close_imports()
            # Neither the caller's files nor the terminal's master are for who is in the container.
            close_all_but((0, 1, 2, slave, troubled, telling, *(fd for fd, _ in namespaces)))
            for namespace, flag in namespaces:
                syscalls.setns(namespace, flag)
            account = parse_account(
                self._spec.user, read_text("/etc/passwd"), read_text("/etc/group")
            )
            wanted = self._spec.command
            environment = environment_of(wanted, self._given, account.home)
            if slave >= 0:
                hand_over((slave,), account)
            command = os.fork()
            if command == 0:
                os.close(telling)
                run_command(wanted, account, environment, slave, troubled)
            # This process is still outside as PIDs go, so it is the host's number that it knows.
            os.write(telling, str(command).encode())
            os.close(telling)
            os.close(troubled)
            if slave >= 0:
                os.close(slave)
            os._exit(_reap(command))
        except (HarnessError, OSError) as error:
            status = error.status if isinstance(error, HarnessError) else 1
            os.write(troubled, encode_trouble(one_line(error), status))
        except BaseException as bug:  # noqa: BLE001 - a forked child must not return
            os.write(troubled, encode_trouble(repr(bug), 1))
        os._exit(1)


def _attend(master: int, middle: int) -> None:
    """Be the command's terminal."""
    ended = os.pidfd_open(middle)
    try:
        terminal.lend(master, 0, 1, ended)
    finally:
        os.close(ended)


class _Forwarding:
    """Pass signals on to a command, those that came before it had started as soon as it has."""

    def __init__(self) -> None:
        self._command = 0
        self._early: list[int] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._take) for number in _FORWARDED}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def lead_to(self, command: int) -> None:
        """Say which process the command is."""
        self._command = command
        for number in self._early:
            self._take(number)

    def _take(self, number: int, _frame: FrameType | None = None) -> None:
        if not self._command:
            self._early.append(number)
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._command, number)


def _reap(pid: int) -> int:
    _, status = os.waitpid(pid, 0)
    return outcome_of(os.waitstatus_to_exitcode(status)).status
