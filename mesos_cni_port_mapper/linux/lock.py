"""Locks between processes: ``flock(2)`` with a deadline, and who holds one.

``flock`` and not ``fcntl`` record locks: it belongs to the open file, so that a child which
inherits the descriptor keeps the lock when its parent dies.
"""

from __future__ import annotations

import _signal as signal
import fcntl
import os
import time

from mesos_cni_port_mapper.linux import files
from mesos_cni_port_mapper.linux.signals import ENDING, Interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType


class LockHeldError(Exception):
    """Somebody else held the lock for the whole time; the message names the file and the holder."""


class _TimeUp(BaseException):
    pass


def acquire(path: str, seconds: float, mode: int = 0o600) -> int:
    """Create ``path`` if need be, lock it, and return it open. Closing it gives the lock back."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
        if _lock_in_place(file, path, seconds):
            return file


def acquire_existing(path: str, seconds: float) -> int | None:
    """Lock ``path`` and return it open, or nothing when there is no such file."""
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        if _lock_in_place(file, path, seconds):
            return file


def acquire_read_only(path: str, seconds: float) -> int:
    """Lock a file that stays in its place and may not be written, and return it open."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _flock(file, path, seconds)
    except BaseException:
        os.close(file)
        raise
    return file


def lock_uncontended(file: int) -> None:
    """Lock a file that nobody else can have opened yet."""
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_held(path: str) -> bool:
    """Tell, without waiting, whether somebody holds ``path`` locked."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _lock_in_place(file: int, path: str, seconds: float) -> bool:
    """Lock an open file; return false, with it closed, when its path names another one by now."""
    try:
        _flock(file, path, seconds)
        try:
            current = os.stat(path)
        except FileNotFoundError:
            current = None
        mine = os.fstat(file)
    except BaseException:
        os.close(file)
        raise
    if current and (current.st_dev, current.st_ino) == (mine.st_dev, mine.st_ino):
        return True
    os.close(file)
    return False


def _flock(file: int, path: str, seconds: float) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pass
    else:
        return
    from mesos_cni_port_mapper.linux import process

    previous = {number: signal.getsignal(number) for number in ENDING}
    signal.signal(signal.SIGALRM, _raise_time_up)
    for number, handler in previous.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, _raise_interrupted)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    # Two levels, because time may be up, and a handler raise, as late as in the inner ``finally``.
    try:
        begun = time.monotonic()
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (*ENDING, signal.SIGALRM))
            signal.setitimer(signal.ITIMER_REAL, seconds)
            fcntl.flock(file, fcntl.LOCK_EX)
        finally:
            process.note_wait(path, time.monotonic() - begun)
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            for number, handler in previous.items():
                signal.signal(number, handler)
    except _TimeUp:
        raise LockHeldError(f"{path} is locked by {holder_of(path)}") from None


def _raise_time_up(_number: int, _frame: FrameType | None) -> None:
    raise _TimeUp


def _raise_interrupted(number: int, _frame: FrameType | None) -> None:
    raise Interrupted(number)


def holder_of(path: str) -> str:
    """Describe who holds a lock on ``path``: "pid 4711 (bridge)", as far as /proc tells."""
    try:
        status = os.stat(path)
        table = (files.read("/proc/locks") or b"").decode()
    except OSError:
        return "a process that /proc does not name"
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in table.splitlines():
        # "1: FLOCK  ADVISORY  WRITE 4711 00:2d:81 0 EOF"; a waiter's line has "->" in second place.
        words = line.split()
        if len(words) > 5 and words[1] == "FLOCK" and words[5] == device:
            return f"pid {words[4]} ({command_of(words[4])})"
    return "a process that /proc/locks does not list"


def command_of(pid: str) -> str:
    """Return what a process calls itself, or "?" when it is gone."""
    try:
        return (files.read(f"/proc/{pid}/comm") or b"?").decode(errors="replace").strip()
    except OSError:
        return "?"
