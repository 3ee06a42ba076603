"""The first process of a container: make its surroundings, run its command, pass signals, reap.

It is forked from the monitor and stays what it is, a Python interpreter. As the first process of a
PID namespace it takes all others with it. Everything it needs is imported here and at the top of
what it imports: once the root has changed, a module would be looked for in the container's files.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.harness import rootfs
from mesos_cni_port_mapper.harness.account import Account, parse_account
from mesos_cni_port_mapper.harness.descriptors import close_all_but
from mesos_cni_port_mapper.harness.errors import (
    NOT_EXECUTABLE,
    NOT_FOUND,
    HarnessError,
    one_line,
)
from mesos_cni_port_mapper.harness.mounts import plan_mounts
from mesos_cni_port_mapper.harness.spec import Spec
from mesos_cni_port_mapper.linux import files, syscalls

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
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
HELD = signal.valid_signals() - _FAULTS
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


def environment_of(spec: Spec, given: Mapping[str, str], home: str) -> dict[str, str]:
    """Return the command's environment: defaults, what the isolator gives, what was asked for."""
    defaults = {"PATH": SEARCH_PATH, "HOME": home, **({"TERM": "xterm"} if spec.tty else {})}
    return {**defaults, **given, **spec.environment}


def run_command(
    spec: Spec, account: Account, environment: Mapping[str, str], terminal: int, troubled: int
) -> NoReturn:
    """Turn a forked child into the command; what prevents that goes to ``troubled``."""
    program = spec.program or ""
    step, status = "session", 1
    try:
        os.setsid()
        if terminal >= 0:
            _control(terminal)
        step = f"user {spec.user}"
        _become(account)
        step = "working directory"
        os.chdir(spec.working_directory or "/")
        step, status = "cannot run", NOT_EXECUTABLE
        _restore_signals()
        arguments = list(spec.argv) or [program]
        os.execvpe(program, arguments, dict(environment))  # noqa: S606 - there is no shell to want
    except OSError as error:
        running = status == NOT_EXECUTABLE
        if running and isinstance(error, FileNotFoundError):
            status = NOT_FOUND
        subject = f"{step} {program}" if running else step
        words = {"error": f"{subject}: {error.strerror}", "status": status}
        os.write(troubled, codec.encode(words))
    except BaseException as bug:  # noqa: BLE001 - a forked child must not return
        os.write(troubled, codec.encode({"error": f"{step}: {bug!r}", "status": 1}))
    os._exit(status)


def _control(terminal: int) -> None:
    """Make a terminal the controlling one of this new session, and its three streams."""
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    for target in range(3):
        os.dup2(terminal, target)


def _become(account: Account) -> None:
    with contextlib.suppress(PermissionError):
        # In a user namespace of one user there are no groups to set.
        os.setgroups(account.groups)
    os.setgid(account.gid)
    os.setuid(account.uid)


def _restore_signals() -> None:
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


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
