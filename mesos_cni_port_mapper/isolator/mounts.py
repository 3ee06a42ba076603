"""The mounts of the state root: whether it is shared, and making it so.

A namespace's handle is a mount. A mount namespace that is made while the handle exists gets a copy
of it, and a copy that nobody takes away keeps the network alive for ever. So the root is a mount
point of its own, shared with no other: whoever is a slave of it hears of every unmounting.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mesos_cni_port_mapper.linux import files, syscalls

_ESCAPED = re.compile(r"\\([0-7]{3})")
_BLANK = re.compile(r"[ \t\n\\]")


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of ``/proc/self/mountinfo``, as far as it matters here."""

    number: int
    parent: int
    target: str
    peer_group: int | None


def find_mounts(table: str, path: str) -> list[Mount]:
    """Read from a mount table what is mounted at a path, and what that is mounted on.

    Whatever else there is, thousands on some hosts, is passed over.
    """
    # Not ``splitlines``, to which a path may hold what ends a line.
    lines = table.split("\n")
    word = f" {_escape(path)} "
    parents = tuple(f"{line.split(' ', 2)[1]} " for line in lines if word in line)
    return [_parse_line(line) for line in lines if word in line or line.startswith(parents)]


def is_mount_point(mounts: list[Mount], path: str) -> bool:
    """Tell whether something is mounted at exactly this path."""
    return any(mount.target == path for mount in mounts)


def is_shared_alone(mounts: list[Mount], path: str) -> bool:
    """Tell whether what is mounted at a path is shared, and with no mount that leads to it."""
    at_path = [mount for mount in mounts if mount.target == path]
    if not at_path or at_path[-1].peer_group is None:
        return False
    root = at_path[-1]
    parents = [mount for mount in mounts if mount.number == root.parent]
    return not any(parent.peer_group == root.peer_group for parent in parents)


def read_mounts(path: str) -> list[Mount]:
    """Return what this process sees mounted at a path, and what that is mounted on."""
    # The kernel escapes blanks and backslashes; other bytes are as they are in the path.
    table = files.read("/proc/self/mountinfo") or b""
    return find_mounts(os.fsdecode(table), path)


@contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Let one process at a time change the mounts of the root, and which containers are in it.

    The lock is on the directory that the root is in, so that it leaves no file behind. It is held
    for a moment only.
    """
    file = os.open(root.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def ensure_shared(root: Path) -> None:
    """Have the root be a shared mount with no peers on this machine but its own."""
    path = os.fspath(root)
    mounts = read_mounts(path)
    if is_shared_alone(mounts, path):
        return
    if not is_mount_point(mounts, path):
        syscalls.mount(path, path, "", syscalls.MS_BIND)
    syscalls.mount("", path, "", syscalls.MS_PRIVATE)
    syscalls.mount("", path, "", syscalls.MS_SHARED)


def release(root: Path) -> None:
    """Take the root's own mount away if it holds nothing any more.

    A root that is a file system of the operator's stays mounted: only a directory bound to itself
    has its parent's device.
    """
    path = os.fspath(root)
    if any(root.iterdir()) or not is_mount_point(read_mounts(path), path):
        return
    if root.stat().st_dev != root.parent.stat().st_dev:
        return
    # Somebody may still have a directory of it open, to find it removed.
    syscalls.umount2(path, syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)


def is_namespace(path: Path) -> bool:
    """Tell whether a path is a namespace's handle, and no symbolic link to one."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return status.st_dev == os.stat("/proc/self/ns/net").st_dev


def bind_namespace(source: str, target: Path) -> None:
    """Keep a namespace at a path, for as long as the mount is there."""
    file = os.open(target, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC)
    os.close(file)
    syscalls.mount(source, os.fspath(target), "", syscalls.MS_BIND)


def forget_namespace(target: Path) -> None:
    """Let go of a namespace kept at a path."""
    while is_namespace(target):
        syscalls.umount2(os.fspath(target), syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)


def _parse_line(line: str) -> Mount:
    # "36 35 98:0 /root /target rw,noatime shared:1 master:2 - ext3 /dev/root rw,errors=continue"
    before, _, _ = line.partition(" - ")
    number, parent, _, _, target, _, *options = before.split(" ")
    groups = [int(option[7:]) for option in options if option.startswith("shared:")]
    return Mount(int(number), int(parent), _unescape(target), groups[0] if groups else None)


def _escape(text: str) -> str:
    return _BLANK.sub(lambda match: f"\\{ord(match[0]):03o}", text)


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text) if "\\" in text else text
