"""What is done within a container's namespaces, by a thread or child that enters them and ends.

The files are bound read-only over those in ``/etc``. With a root file system of the container's own
they are bound below it, and the thread locks itself into that first: a link in an image leads
nowhere else.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import socket
import stat
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mesos_cni_port_mapper.isolator import children
from mesos_cni_port_mapper.isolator.errors import IsolatorError, os_failure
from mesos_cni_port_mapper.linux import syscalls

_SECONDS = 30
_KINDS = {
    "net": syscalls.CLONE_NEWNET,
    "uts": syscalls.CLONE_NEWUTS,
    "mnt": syscalls.CLONE_NEWNS,
}
# Whoever may remount it could take away what is not said again.
_READ_ONLY = (
    syscalls.MS_REMOUNT
    | syscalls.MS_BIND
    | syscalls.MS_RDONLY
    | syscalls.MS_NOSUID
    | syscalls.MS_NODEV
    | syscalls.MS_NOEXEC
)
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_IFREQ = "16sH22x"


@dataclass(frozen=True, slots=True)
class Bind:
    """A file to be seen at a path of the container; one that is missing there may be created."""

    source: str
    target: str
    create: bool = True


@dataclass(frozen=True, slots=True)
class Setup:
    """What a container's namespaces must look like.

    ``hidden`` is where other containers' namespaces are kept: a copy of it in here would keep those
    alive. With a ``hostname`` the container's own network and UTS namespaces are set up too.
    """

    binds: tuple[Bind, ...]
    rootfs: Path | None
    hidden: Path
    hostname: str | None = None


async def set_up(pid: int, setup: Setup) -> None:
    """Make the namespaces of a process as they must be."""
    kinds = ("net", "uts", "mnt") if setup.hostname is not None else ("mnt",)
    try:
        await children.perform(lambda: _enter_and_set_up(setup, pid, kinds), _SECONDS)
    except OSError as error:
        raise os_failure(f"set up the namespaces of process {pid}", error) from error


def check_own_namespace(pid: int, kind: str) -> None:
    """Raise ``IsolatorError`` unless a process has left our namespace of a kind."""
    try:
        theirs = os.stat(f"/proc/{pid}/ns/{kind}")
    except OSError as error:
        raise os_failure(f"look at the namespaces of process {pid}", error) from error
    if os.path.samestat(theirs, os.stat(f"/proc/self/ns/{kind}")):
        raise IsolatorError(f"process {pid} has no {kind} namespace of its own")


def read_interfaces(namespace: Path) -> str:
    """Return the table of interfaces and counters in a network namespace; raises ``OSError``."""
    return children.perform_now(lambda: _read_interfaces(namespace)).decode()


def _open_namespace(stack: contextlib.ExitStack, pid: int, kind: str) -> int:
    file = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
    stack.callback(os.close, file)
    return file


def _enter_and_set_up(setup: Setup, pid: int, kinds: Sequence[str]) -> None:
    # A mount namespace is entered with a root and a working directory that no other thread shares.
    syscalls.unshare(syscalls.CLONE_FS)
    with contextlib.ExitStack() as stack:
        _set_up(stack, setup, {kind: _open_namespace(stack, pid, kind) for kind in kinds})


def _set_up(stack: contextlib.ExitStack, setup: Setup, namespaces: dict[str, int]) -> None:
    for kind, file in namespaces.items():
        syscalls.setns(file, _KINDS[kind])
        if kind == "net":
            _bring_loopback_up()
        if kind == "uts" and setup.hostname is not None:
            syscalls.sethostname(setup.hostname)
    # What is mounted in here is nobody else's to see.
    syscalls.mount("", "/", "", syscalls.MS_SLAVE | syscalls.MS_REC)
    # By directory and name, because after chroot their paths lead elsewhere.
    sources = [_open_directory_of(stack, bind.source) for bind in setup.binds]
    outside = _open_directory(stack, "/")
    if setup.rootfs is not None:
        os.chroot(setup.rootfs)
    for bind, (directory, name) in zip(setup.binds, sources, strict=True):
        if setup.rootfs is not None:
            _ensure_plain_file(bind.target)
        elif bind.create and not os.path.exists(bind.target):
            _create(bind.target)
        os.fchdir(directory)
        syscalls.mount(name, bind.target, "", syscalls.MS_BIND)
        syscalls.mount("", bind.target, "", _READ_ONLY)
    os.fchdir(outside)
    os.chroot(".")
    _hide(setup.hidden)


def _open_directory_of(stack: contextlib.ExitStack, source: str) -> tuple[int, str]:
    if os.path.islink(source):
        source = os.path.realpath(source, strict=True)
    directory, name = os.path.split(source)
    return _open_directory(stack, directory), f"./{name}"


def _open_directory(stack: contextlib.ExitStack, path: str) -> int:
    file = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    stack.callback(os.close, file)
    return file


def _ensure_plain_file(target: str) -> None:
    """Have a file to bind over. A link is replaced: what it leads to may be hidden later."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISLNK(os.lstat(target).st_mode):
            return
        os.unlink(target)
    _create(target)


def _create(target: str) -> None:
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))


def _hide(directory: Path) -> None:
    # Not mounted in here is as good.
    with contextlib.suppress(OSError):
        syscalls.umount2(os.fspath(directory), syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)


def _bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = array.array("b", struct.pack(_IFREQ, b"lo", 0))
        fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request)
        (flags,) = struct.unpack_from("H", request, 16)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack(_IFREQ, b"lo", flags | _IFF_UP))


def _read_interfaces(namespace: Path) -> bytes:
    file = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    syscalls.setns(file, syscalls.CLONE_NEWNET)
    # Of this thread's namespace, which /proc/net is not where /proc is another's.
    return Path("/proc/thread-self/net/dev").read_bytes()
