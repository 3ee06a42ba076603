"""Kernel calls that Python 3.11 does not have, through ctypes.

Never imported on the plugin's hot path: ctypes alone costs more than an ADD may. A failure is an
``OSError`` whose filename is the path, or what stands for one, that the call was about.
"""

from __future__ import annotations

import ctypes
import os
import signal
from functools import cache

CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_NOSYMFOLLOW = 0x100
MS_BIND = 0x1000
MS_MOVE = 0x2000
MS_REC = 0x4000
MS_UNBINDABLE = 0x20000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000

MNT_DETACH = 0x2
UMOUNT_NOFOLLOW = 0x8

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

_PR_SET_MM = 35
_PR_SET_MM_ARG_END = 9
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_MOUNT_ATTR_RDONLY = 0x1
_SYS_MOUNT_SETATTR = 442  # The same on every architecture.
_NAME_LIMIT = 15  # TASK_COMM_LEN without its final zero.

_libc = ctypes.CDLL(None, use_errno=True)


def _declare(name: str, *arguments: type) -> None:
    function = getattr(_libc, name)
    function.argtypes = arguments
    function.restype = ctypes.c_int


_declare("setns", ctypes.c_int, ctypes.c_int)
_declare("unshare", ctypes.c_int)
_declare(
    "mount",
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_char_p,
)
_declare("umount2", ctypes.c_char_p, ctypes.c_int)
_declare("pivot_root", ctypes.c_char_p, ctypes.c_char_p)
_declare("sethostname", ctypes.c_char_p, ctypes.c_size_t)
_declare("prctl", ctypes.c_int, *[ctypes.c_ulong] * 4)

# The same once more, for what it takes besides numbers.
_prctl_text = _libc["prctl"]
_prctl_text.argtypes = (ctypes.c_int, ctypes.c_char_p)

_libc.syscall.restype = ctypes.c_long


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("user_namespace", ctypes.c_uint64),
    )


def _check(result: int, subject: str | int) -> None:
    """Raise what the last call left; a descriptor is named by what it is open on."""
    if result == -1:
        number = ctypes.get_errno()
        name = _name_of(subject) if isinstance(subject, int) else subject
        raise OSError(number, os.strerror(number), name)


def setns(fd: int, kind: int) -> None:
    """Enter the namespace behind an open file; ``kind`` is its ``CLONE_NEW...`` flag, or 0.

    With a pidfd it enters every namespace of that process that the flags name.
    """
    _check(_libc.setns(fd, kind), fd)


def unshare(flags: int) -> None:
    """Leave the namespaces that the ``CLONE_NEW...`` flags name for new ones.

    With ``CLONE_NEWPID`` the next child is the first process of the new one; the caller stays.
    """
    _check(_libc.unshare(flags), "new namespaces")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """Mount ``source`` at ``target``, or change what is mounted there."""
    _check(
        _libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            os.fsencode(kind) if kind else None,
            flags,
            os.fsencode(data) if data else None,
        ),
        target,
    )


def make_read_only(fd: int) -> None:
    """Make an open mount and all below it read-only, which a remount does to the topmost only."""
    attributes = _MountAttributes(set=_MOUNT_ATTR_RDONLY)
    result = _libc.syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR),
        ctypes.c_int(fd),
        b"",
        ctypes.c_uint(_AT_EMPTY_PATH | _AT_RECURSIVE),
        ctypes.byref(attributes),
        ctypes.c_size_t(ctypes.sizeof(attributes)),
    )
    _check(result, fd)


def umount2(target: str, flags: int) -> None:
    """Take away what is mounted at ``target``."""
    _check(_libc.umount2(os.fsencode(target), flags), target)


def pivot_root(new_root: str, put_old: str) -> None:
    """Make ``new_root`` this mount namespace's root and move the old one to ``put_old``."""
    _check(_libc.pivot_root(os.fsencode(new_root), os.fsencode(put_old)), new_root)


def sethostname(name: str) -> None:
    """Name the host of this UTS namespace."""
    data = os.fsencode(name)
    _check(_libc.sethostname(data, len(data)), name)


def prctl(option: int, argument: int) -> None:
    """Change an attribute of this process, or for some options of this thread."""
    _check(_libc.prctl(option, argument, 0, 0, 0), f"prctl {option}")


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Get a signal when the thread that forked this process ends.

    The parent may have ended before the call: whoever must know compares ``os.getppid()`` after it.
    """
    prctl(PR_SET_PDEATHSIG, number)


def set_process_name(name: str) -> None:
    """Set what ps and /proc/PID/comm show; the kernel keeps 15 bytes of it."""
    _check(_prctl_text(PR_SET_NAME, os.fsencode(name)[:_NAME_LIMIT]), name)


def set_command_line(text: str) -> None:
    """Set what /proc/PID/cmdline shows, for a process that was forked and never executed.

    It is written over the command line that was inherited, which may hold what a container should
    not read, and cut where that ends.
    """
    start, size = _find_command_line()
    if start and size > 1:
        data = os.fsencode(text)[: size - 1]
        ctypes.memmove(start, data.ljust(size, b"\0"), size)
        # So that nobody reads the zeros after it as empty arguments; where it is refused, they do.
        _libc.prctl(_PR_SET_MM, _PR_SET_MM_ARG_END, start + len(data) + 1, 0, 0)


@cache
def _find_command_line() -> tuple[int, int]:
    """Return where the command line begins, and the room it had when this program was executed.

    Forks know it by what they inherit: by then it may have been made shorter.
    """
    with open("/proc/self/stat", "rb") as stat:
        fields = stat.read().rpartition(b")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    return start, end - start


def _name_of(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return f"file descriptor {fd}"
