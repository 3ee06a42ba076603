"""The first process of a container: make its surroundings, run its command, pass signals, reap.

It is forked from the monitor and stays what it is, a Python interpreter. As the first process of a
PID namespace it takes all others with it. Everything it needs is imported here and at the top of
what it imports: once the root has changed, a module would be looked for in the container's files,
were it looked for at all.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.harness import rootfs
from mesos_cni_port_mapper.harness.account import Account, parse_account
from mesos_cni_port_mapper.harness.command import (
    encode_trouble,
    environment_of,
    hand_over,
    is_ours,
    run_command,
    spawn_command,
)
from mesos_cni_port_mapper.harness.errors import HarnessError, one_line
from mesos_cni_port_mapper.harness.orders import Orders
from mesos_cni_port_mapper.linux import files, signals, syscalls
from mesos_cni_port_mapper.linux.descriptors import close_all_but
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, NoReturn

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


class Birth(Value):
    """What an init is given by the monitor that forks it.

    ``unshare`` are the namespaces to make, ``enter`` open files of those to enter instead.
    """

    orders: Orders
    unshare: int
    enter: Sequence[int]
    channel: int
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


def _fail(channel: int, words: str, status: int) -> NoReturn:
    with contextlib.suppress(OSError):
        os.write(channel, encode_trouble(words, status))
    os._exit(status)


def _live(birth: Birth) -> None:
    orders = birth.orders
    syscalls.set_process_name("mesos-cni-init")
    syscalls.set_command_line(f"mesos-cni: init of {orders.container_id}")
    os.setsid()
    _take_streams(birth)
    for namespace in birth.enter:
        syscalls.setns(namespace, 0)
    syscalls.unshare(birth.unshare)
    close_imports()
    close_all_but((0, 1, 2, birth.channel, birth.status))
    rootfs.leave_propagation()
    rootfs.build(orders.rootfs, orders.mounts)
    os.write(birth.channel, codec.encode({"ready": True}))
    word = os.read(birth.channel, MESSAGE_LIMIT)
    if not word:
        os._exit(1)  # The monitor is gone, and nobody will ever attach us.
    if orders.rootfs is not None:
        rootfs.change_root(orders.rootfs)
    command = _start(birth, codec.decode(word)["environment"])
    os.close(birth.channel)
    returncode = _attend(command)
    files.write_all(birth.status, f"{returncode}\n".encode())
    os._exit(returncode if returncode >= 0 else 128 - returncode)


def close_imports() -> None:
    """Have no module be looked for any more: where we go, the files are not ours."""
    sys.meta_path.clear()


def _take_streams(birth: Birth) -> None:
    for target, stream in enumerate((birth.stdin, birth.stdout, birth.stderr)):
        os.dup2(stream, target)


def _start(birth: Birth, given: Mapping[str, str]) -> int:
    """Start the command and tell the monitor; return its PID, or 0 where there is none."""
    wanted = birth.orders.command
    if wanted.program is None:
        os.write(birth.channel, codec.encode({"started": True}))
        return 0
    account = parse_account(wanted.user, read_text("/etc/passwd"), read_text("/etc/group"))
    environment = environment_of(wanted, given, account.home)
    if wanted.tty or not is_ours(account):
        return _fork_command(birth, account, environment)
    pid = spawn_command(wanted, account, environment)
    os.write(birth.channel, codec.encode({"started": True}))
    return pid


def _fork_command(birth: Birth, account: Account, environment: Mapping[str, str]) -> int:
    wanted = birth.orders.command
    master, slave = os.openpty() if wanted.tty else (-1, -1)
    # Without a terminal its output goes to our log files.
    hand_over((slave,) if wanted.tty else (1, 2), account)
    trouble, troubled = os.pipe()
    pid = os.fork()
    if pid == 0:
        run_command(wanted, account, environment, slave, troubled)
    os.close(troubled)
    words = os.read(trouble, 4096)
    os.close(trouble)
    if words:
        message = codec.decode(words)
        raise HarnessError(message["error"], message["status"])
    masters = [master] if wanted.tty else []
    channel = socket.socket(fileno=birth.channel)
    socket.send_fds(channel, [codec.encode({"started": True})], masters)
    channel.detach()
    for descriptor in (*masters, *([slave] if wanted.tty else [])):
        os.close(descriptor)
    return pid


def _attend(command: int) -> int:
    """Pass signals on and reap whoever ends, until the command does.

    Returns its exit status, or minus the signal that ended it.
    """
    while True:
        event = signal.sigwaitinfo(HELD)
        if event.si_signo == signal.SIGCHLD:
            returncode = _reap(command)
            if returncode is not None:
                return returncode
        elif command:
            with contextlib.suppress(ProcessLookupError):
                os.kill(command, event.si_signo)
        elif event.si_signo in _ENDING:
            return 0


def _reap(command: int) -> int | None:
    """Collect everybody who has ended; return how the command did when it is among them."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == command:
                found = os.waitstatus_to_exitcode(status)
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
