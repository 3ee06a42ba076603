"""Turn into a container's command, or start it: session, user, directory, environment, program."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import termios

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.harness.account import Account
from mesos_cni_port_mapper.harness.errors import NOT_EXECUTABLE, NOT_FOUND, HarnessError
from mesos_cni_port_mapper.harness.orders import Command
from mesos_cni_port_mapper.linux import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import NoReturn

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# What may be ignored, and a program would not expect: Python ignores some for itself, whoever has
# started us others, and it is an heirloom.
_CHANGED = signals.ALL - {signal.SIGKILL, signal.SIGSTOP}

# One read of who waits for it, and for most reasons far too much.
_LONGEST_TROUBLE = 4096
_KEPT = 150


def environment_of(command: Command, given: Mapping[str, str], home: str) -> dict[str, str]:
    """Return the command's environment: defaults, what the isolator gives, what was asked for."""
    defaults = {"PATH": SEARCH_PATH, "HOME": home, **({"TERM": "xterm"} if command.tty else {})}
    return {**defaults, **given, **command.environment}


def encode_trouble(words: str, status: int) -> bytes:
    """Return why a command does not run as a message of which no part can be missing."""
    message = codec.encode({"error": words, "status": status})
    if len(message) <= _LONGEST_TROUBLE:
        return message
    # What it is about comes first, and the reason last.
    return codec.encode({"error": f"{words[:_KEPT]}...{words[-_KEPT:]}", "status": status})


def hand_over(streams: Iterable[int], account: Account) -> None:
    """Let the user open files of ours again that are the command's streams, as /dev/stdout does."""
    for stream in streams:
        # In a user namespace of one user there is nobody to give them to.
        with contextlib.suppress(OSError):
            os.fchown(stream, account.uid, -1)


def is_ours(account: Account) -> bool:
    """Tell whether this process has the user and group already."""
    return (account.uid, account.gid) == (os.getuid(), os.getgid())


def spawn_command(command: Command, account: Account, environment: Mapping[str, str]) -> int:
    """Start the command of an account that ``is_ours``, without a terminal; return its PID.

    The caller takes the account's groups and the working directory for good: what can be arranged
    before, a child need not be forked for, and forking an interpreter costs milliseconds.
    """
    program = command.program or ""
    directory = command.working_directory or "/"
    step = f"user {command.user}"
    try:
        _become(account)
        step = f"working directory {directory}"
        os.chdir(directory)
    except OSError as error:
        raise HarnessError(f"{step}: {error.strerror}") from error
    arguments = list(command.argv) or [program]

    def start(path: str) -> int:
        return os.posix_spawn(
            path, arguments, environment, setsid=True, setsigmask=(), setsigdef=_CHANGED
        )

    try:
        return _start(program, environment, start)
    except OSError as error:
        status = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
        raise HarnessError(f"cannot run {program}: {error.strerror}", status) from error


def _start(program: str, environment: Mapping[str, str], start: Callable[[str], int]) -> int:
    """Search as ``os.execvpe`` does: the first reason that is not absence is the one to give.

    That function itself imports a module, and by now nothing can be imported any more.
    """
    directories = [""] if "/" in program else environment.get("PATH", os.defpath).split(":")
    missing: OSError = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)
    refusal: OSError | None = None
    for directory in directories:
        try:
            return start(os.path.join(directory, program))
        except (FileNotFoundError, NotADirectoryError) as error:
            missing = error
        except OSError as error:
            refusal = refusal or error
    raise refusal or missing


def run_command(
    command: Command, account: Account, environment: Mapping[str, str], terminal: int, troubled: int
) -> NoReturn:
    """Turn a forked child into the command; what prevents that goes to ``troubled``."""
    program = command.program or ""
    directory = command.working_directory or "/"
    step, status = "session", 1
    try:
        os.setsid()
        if terminal >= 0:
            _control(terminal)
        step = f"user {command.user}"
        _become(account)
        step = f"working directory {directory}"
        os.chdir(directory)
        step, status = "cannot run", NOT_EXECUTABLE
        for number in _CHANGED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        arguments = list(command.argv) or [program]
        _start(program, environment, lambda path: os.execve(path, arguments, environment))  # noqa: S606 - there is no shell to want
    except OSError as error:
        running = status == NOT_EXECUTABLE
        if running and isinstance(error, FileNotFoundError):
            status = NOT_FOUND
        subject = f"{step} {program}" if running else step
        os.write(troubled, encode_trouble(f"{subject}: {error.strerror}", status))
    except BaseException as bug:  # noqa: BLE001 - a forked child must not return
        os.write(troubled, encode_trouble(f"{step}: {bug!r}", 1))
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
