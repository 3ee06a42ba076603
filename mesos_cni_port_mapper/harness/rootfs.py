"""Mount what was planned, in the mount namespace of the container that is being made.

Paths within a rootfs are walked component by component and a symbolic link is resolved as the
container would, from its root: an image with ``/etc -> /`` or worse leads nowhere on the host.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections import deque

from mesos_cni_port_mapper.harness.errors import HarnessError, one_line
from mesos_cni_port_mapper.harness.orders import Link, Mount
from mesos_cni_port_mapper.linux import syscalls
from mesos_cni_port_mapper.linux.syscalls import MNT_DETACH, MS_BIND, MS_REC, MS_SLAVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_LINKS = 40
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def leave_propagation() -> None:
    """Keep our mounts to ourselves, and go on receiving the host's."""
    syscalls.mount("none", "/", "", MS_REC | MS_SLAVE)


def build(rootfs: str | None, steps: Sequence[Mount | Link]) -> None:
    """Mount everything; a rootfs becomes a mount of its own, as changing the root demands."""
    if rootfs is not None:
        try:
            syscalls.mount(rootfs, rootfs, "", MS_BIND | MS_REC)
            syscalls.mount("none", rootfs, "", MS_REC | MS_SLAVE)
        except OSError as error:
            raise HarnessError(f"rootfs: {one_line(error)}") from error
    for step in steps:
        _take(rootfs, step)


def change_root(rootfs: str) -> None:
    """Make ``rootfs`` the root and let the host's go."""
    os.chdir(rootfs)
    # The old root is stacked upon the new one, which needs no directory for it.
    syscalls.pivot_root(".", ".")
    syscalls.umount2(".", MNT_DETACH)
    os.chdir("/")


def _take(rootfs: str | None, step: Mount | Link) -> None:
    about = (step.about if isinstance(step, Mount) else "") or step.target
    try:
        if isinstance(step, Link):
            _link(rootfs, step)
        else:
            _mount(rootfs, step)
    except OSError as error:
        raise HarnessError(f"{about}: {one_line(error)}") from error


def _link(rootfs: str | None, step: Link) -> None:
    where, name = os.path.split(step.target)
    directory = _open_target(rootfs, where, create=False)
    try:
        os.symlink(step.text, name, dir_fd=directory)
    finally:
        os.close(directory)


def _mount(rootfs: str | None, step: Mount) -> None:
    is_file = bool(step.flags & MS_BIND) and not os.path.isdir(step.source)
    target = _open_target(rootfs, step.target, create=True, is_file=is_file)
    try:
        if step.target == "/sys":
            _mount_sysfs(step, target)
        else:
            syscalls.mount(step.source, _path_of(target), step.kind, step.flags, step.data)
    finally:
        os.close(target)
    if step.read_only:
        # By path again: the descriptor shows what is now covered.
        target = _open_target(rootfs, step.target, create=False)
        try:
            syscalls.make_read_only(target)
        finally:
            os.close(target)


def _open_target(rootfs: str | None, path: str, *, create: bool, is_file: bool = False) -> int:
    if rootfs is None:
        # The links of the host lead where it means them to, and nothing is made there.
        return os.open(path, os.O_PATH | os.O_CLOEXEC)
    root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return walk(root, path, create=create, is_file=is_file)
    finally:
        os.close(root)


def _mount_sysfs(step: Mount, target: int) -> None:
    """Mount a sysfs, and the control groups within it again where the host has them."""
    try:
        groups = os.open("fs/cgroup", _DIRECTORY, dir_fd=target)
    except OSError:
        groups = -1
    try:
        syscalls.mount(step.source, _path_of(target), step.kind, step.flags, step.data)
        if groups >= 0:
            with contextlib.suppress(FileNotFoundError):
                syscalls.mount(_path_of(groups), "/sys/fs/cgroup", "", MS_BIND | MS_REC)
    finally:
        if groups >= 0:
            os.close(groups)


def walk(root: int, path: str, *, create: bool, is_file: bool = False) -> int:
    """Return a descriptor for a path below ``root``, of which no link leads out.

    With ``create``, directories that are missing are made, and the last component as a file if it
    is to be one.
    """
    trail = _Trail(root)
    names = deque(_parts(path))
    links = 0
    try:
        while names:
            name = names.popleft()
            if name == "..":
                trail.back()
                continue
            found = _open(trail.end, name, create=create, is_file=is_file and not names)
            if not stat.S_ISLNK(os.fstat(found).st_mode):
                trail.on(found)
                continue
            text = _read_link(found)
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if text.startswith("/"):
                trail.home()
            names.extendleft(reversed(_parts(text)))
        return os.dup(trail.end)
    finally:
        trail.close()


class _Trail:
    """The directories from a root to where one is, each open."""

    def __init__(self, root: int) -> None:
        self._passed = [os.dup(root)]

    @property
    def end(self) -> int:
        return self._passed[-1]

    def on(self, descriptor: int) -> None:
        self._passed.append(descriptor)

    def back(self) -> None:
        if len(self._passed) > 1:
            os.close(self._passed.pop())

    def home(self) -> None:
        while len(self._passed) > 1:
            self.back()

    def close(self) -> None:
        for descriptor in self._passed:
            os.close(descriptor)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _open(parent: int, name: str, *, create: bool, is_file: bool) -> int:
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(name, flags, dir_fd=parent)
    except FileNotFoundError:
        if not create:
            raise
    if is_file:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=parent))
    else:
        os.mkdir(name, 0o755, dir_fd=parent)
    return os.open(name, flags, dir_fd=parent)


def _read_link(link: int) -> str:
    try:
        return os.readlink("", dir_fd=link)
    finally:
        os.close(link)


def _path_of(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"
