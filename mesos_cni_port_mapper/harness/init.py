"""The first process of a container: make its surroundings, run its command, pass signals, reap.

It is forked from the monitor and stays what it is, a Python interpreter. As the first process of a
PID namespace it takes all others with it. Everything it needs is imported here and at the top of
what it imports: once the root has changed, a module would be looked for in the container's files.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.harness import rootfs
from mesos_cni_port_mapper.harness.account import Account, parse_account
from mesos_cni_port_mapper.harness.command import (
    environment_of,
    is_ours,
    run_command,
    spawn_command,
)
from mesos_cni_port_mapper.harness.descriptors import close_all_but
from mesos_cni_port_mapper.harness.errors import HarnessError, one_line
from mesos_cni_port_mapper.harness.mounts import plan_mounts
from mesos_cni_port_mapper.harness.spec import Spec
from mesos_cni_port_mapper.linux import files, signals, syscalls

MESSAGE_LIMIT = 1 << 18

# What the kernel sends for a fault of one's own must not be held back.
_FAULTS = {
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGSEGV,
    signal.SIGSYS,
    signal.SIGTRAP,
}
HELD = signals.ALL - _FAULTS
_ENDING = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """What an init is given by the monitor that forks it.

    ``unshare`` are the namespaces to make, ``enter`` open files of those to enter instead.
    """

    spec: Spec
    unshare: int
    enter: Sequence[int]
    channel: socket.socket
    stdin: int
    stdout: int
    stderr: int
    status: int


def become_init(birth: Birth) -> NoReturn:
    """Be the init of a container until its command ends. ``HELD`` signals must be blocked."""
    try:
        _live(birth)
    except (HarnessError, OSError) as error:
        status = error.status if isinstance(error, HarnessError) else 1
        _fail(birth.channel, one_line(error), status)
    except BaseException as bug:  # noqa: BLE001 - a forked child must not return
        _fail(birth.channel, f"init: this is a bug: {bug!r}", 1)
    os._exit(1)


def _fail(channel: socket.socket, words: str, status: int) -> NoReturn:
    with contextlib.suppress(OSError):
        channel.send(codec.encode({"error": words, "status": status}))
    os._exit(status)


def _live(birth: Birth) -> None:
    spec = birth.spec
    syscalls.set_process_name("mesos-cni-init")
    syscalls.set_command_line(f"mesos-cni: init of {spec.container_id}")
    os.setsid()
    _take_streams(birth)
    for namespace in birth.enter:
        syscalls.setns(namespace, 0)
    syscalls.unshare(birth.unshare)
    close_all_but((0, 1, 2, birth.channel.fileno(), birth.status))
    rootfs.leave_propagation()
    own_network = bool(birth.unshare & syscalls.CLONE_NEWNET or birth.enter)
    rootfs.build(spec.rootfs, plan_mounts(spec, own_network=own_network))
    birth.channel.send(codec.encode({"ready": True}))
    word = birth.channel.recv(MESSAGE_LIMIT)
    if not word:
        os._exit(1)  # The monitor is gone, and nobody will ever attach us.
    if spec.rootfs is not None:
        rootfs.change_root(spec.rootfs)
    command = _start(birth, codec.decode(word)["environment"])
    birth.channel.close()
    status = _attend(command)
    files.write_all(birth.status, f"{status}\n".encode())
    os._exit(status)


def _take_streams(birth: Birth) -> None:
    for target, stream in enumerate((birth.stdin, birth.stdout, birth.stderr)):
        os.dup2(stream, target)


def _start(birth: Birth, given: Mapping[str, str]) -> int:
    """Start the command and tell the monitor; return its PID, or 0 where there is none."""
    spec = birth.spec
    if spec.program is None:
        birth.channel.send(codec.encode({"started": True}))
        return 0
    account = parse_account(spec.user, read_text("/etc/passwd"), read_text("/etc/group"))
    environment = environment_of(spec, given, account.home)
    if spec.tty or not is_ours(account):
        return _fork_command(birth, account, environment)
    pid = spawn_command(spec, account, environment)
    birth.channel.send(codec.encode({"started": True}))
    return pid


def _fork_command(birth: Birth, account: Account, environment: Mapping[str, str]) -> int:
    spec = birth.spec
    master, slave = os.openpty() if spec.tty else (-1, -1)
    trouble, troubled = os.pipe()
    pid = os.fork()
    if pid == 0:
        run_command(spec, account, environment, slave, troubled)
    os.close(troubled)
    words = os.read(trouble, 4096)
    os.close(trouble)
    if words:
        message = codec.decode(words)
        raise HarnessError(message["error"], message["status"])
    masters = [master] if spec.tty else []
    socket.send_fds(birth.channel, [codec.encode({"started": True})], masters)
    for descriptor in (*masters, *([slave] if spec.tty else [])):
        os.close(descriptor)
    return pid


def _attend(command: int) -> int:
    """Pass signals on and reap whoever ends, until the command does; return its status."""
    while True:
        event = signal.sigwaitinfo(HELD)
        if event.si_signo == signal.SIGCHLD:
            status = _reap(command)
            if status is not None:
                return status
        elif command:
            with contextlib.suppress(ProcessLookupError):
                os.kill(command, event.si_signo)
        elif event.si_signo in _ENDING:
            return 0


def _reap(command: int) -> int | None:
    """Collect everybody who has ended; return the command's status when it is among them."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == command:
                returncode = os.waitstatus_to_exitcode(status)
                found = returncode if returncode >= 0 else 128 - returncode
    return found


def read_text(path: str) -> str:
    try:
        return (files.read(path) or b"").decode(errors="replace")
    except OSError as error:
        raise HarnessError(f"user: {one_line(error)}") from error


def decode_message(data: bytes) -> dict[str, Any]:
    """Read what an init or its monitor said; the end of the channel says nothing."""
    document: dict[str, Any] = codec.decode(data) if data else {}
    return document
