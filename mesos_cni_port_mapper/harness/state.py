"""A container's directory, and the records in it.

::

    <runtime_dir>/containers/ID/lock         held by the monitor for as long as it lives
                                watched         a pipe that the monitor has open as long, to wait on
                                spec.json       what was asked for, and the isolator's settings
                                monitor.json    which process the monitor is
                                init.json       which process init is, once there is one
                                attached.json   the networks it has, once the command runs
                                init-status     what init saw the command end with
                                exit.json       how it ended, and whether it was detached
                                stdout, stderr  the command's output
                                monitor.log     what the monitor had to say

The directory appears complete, with its lock held and its specification written, by one rename.
Nothing here follows a symbolic link.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.harness.errors import HarnessError, UnknownContainerError, one_line
from mesos_cni_port_mapper.linux import files

SPEC, MONITOR, INIT, ATTACHED, EXIT = (
    "spec.json",
    "monitor.json",
    "init.json",
    "attached.json",
    "exit.json",
)
INIT_STATUS, STDOUT, STDERR, LOG, LOCK = "init-status", "stdout", "stderr", "monitor.log", "lock"
WATCHED = "watched"

_NEW, _OLD = ".new-", ".old-"
# struct flock: type, whence, start, length, pid. Of this kind, an open file's and not a process'.
_FLOCK = "hhqqi4x"


@dataclass(frozen=True, slots=True)
class Directory:
    """One container's directory; that it exists is not said by that."""

    path: Path

    @property
    def container_id(self) -> str:
        """Return the container's ID."""
        return self.path.name

    def file(self, name: str) -> str:
        """Return the path of a file in it."""
        return f"{self.path}/{name}"

    def read(self, name: str) -> dict[str, Any] | None:
        """Return a record, or nothing when there is none; a broken one is a ``HarnessError``."""
        data = self.read_bytes(name)
        if data is None:
            return None
        try:
            document = codec.decode(data)
        except ValueError as error:
            raise HarnessError(f"{self.file(name)}: {error}") from error
        if not isinstance(document, dict):
            raise HarnessError(f"{self.file(name)}: must be an object")
        return document

    def has(self, name: str) -> bool:
        """Tell whether there is a file."""
        return os.path.lexists(self.file(name))

    def read_bytes(self, name: str) -> bytes | None:
        """Return the content of a file, or nothing when there is none."""
        try:
            file = os.open(self.file(name), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise HarnessError(one_line(error)) from error
        try:
            return files.read_all(file)
        except OSError as error:
            raise HarnessError(f"{self.file(name)}: {error.strerror}") from error
        finally:
            os.close(file)

    def write(self, name: str, document: dict[str, Any]) -> None:
        """Write a record; who reads it meanwhile sees the old or the new one."""
        files.write_atomic(self.file(name), codec.encode(document) + b"\n")

    def create(self, name: str) -> int:
        """Create a file that is not there yet and return it open, for appending."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        return os.open(self.file(name), flags, 0o600)

    def append(self, name: str) -> int:
        """Return a file open for appending."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(self.file(name), flags, 0o600)

    def hold(self) -> int:
        """Return the pipe open that tells others, by its end, that the monitor is done."""
        with contextlib.suppress(FileExistsError):
            os.mkfifo(self.file(WATCHED), 0o600)
        # For reading too, because opening it must not wait for somebody who does.
        return os.open(self.file(WATCHED), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)

    def watch(self) -> int:
        """Return a descriptor that is at its end once a monitor that has it open now is done.

        It says nothing of one that is done already: look afterwards. Raises ``OSError``.
        """
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(self.file(WATCHED), flags)

    def remove(self) -> None:
        """Remove the directory with all that is in it.

        As it appeared, by one rename: nobody sees half of it, or makes a file in it again.
        """
        import shutil  # With its compressors it takes a while to import, and few commands remove.

        old = self.path.with_name(_scratch(_OLD))
        with contextlib.suppress(OSError):
            self.path.rename(old)
            shutil.rmtree(old, ignore_errors=True)


def containers_root(runtime_dir: str) -> Path:
    """Return the directory of all containers' directories."""
    return Path(runtime_dir) / "containers"


def directory_of(runtime_dir: str, container_id: str) -> Directory:
    """Return the directory of a container that exists; the ID must have been checked."""
    directory = Directory(_own_root(runtime_dir) / container_id)
    if not _is_directory(directory.path):
        raise UnknownContainerError(container_id)
    return directory


def directories(runtime_dir: str) -> list[Directory]:
    """Return the directories of all containers, in order of their IDs."""
    return [Directory(path) for path in _entries(runtime_dir) if not path.name.startswith(".")]


def strays(runtime_dir: str) -> list[Path]:
    """Return what is among the containers' directories and is none."""
    root = _own_root(runtime_dir)
    with contextlib.suppress(FileNotFoundError):
        return [path for path in sorted(root.iterdir()) if not _is_directory(path)]
    return []


def nested_in(directory: Directory) -> list[Directory]:
    """Return the directories of the containers that are nested in one, at any depth."""
    prefix = f"{directory.container_id}."
    names = sorted(name for name in os.listdir(directory.path.parent) if name.startswith(prefix))
    paths = (directory.path.with_name(name) for name in names)
    return [Directory(path) for path in paths if _is_directory(path)]


def abandoned(runtime_dir: str) -> list[Directory]:
    """Return directories that somebody was killed in the middle of making, or of removing."""
    found = [
        Directory(path) for path in _entries(runtime_dir) if path.name.startswith((_NEW, _OLD))
    ]
    # Between making a directory and locking it there is a moment in which its maker alone tells.
    return [each for each in found if not _owner_lives(each) and not is_locked(each)]


def _scratch(prefix: str) -> str:
    return f"{prefix}{os.getpid()}-{os.urandom(4).hex()}"


def _owner_lives(scratch: Directory) -> bool:
    return os.path.exists(f"/proc/{scratch.container_id.split('-')[1]}")


def claim(runtime_dir: str, container_id: str, spec: dict[str, Any]) -> tuple[Directory, int]:
    """Make a container's directory, and return it with its lock, open and held.

    Whoever has the lock's file open, by inheritance too, keeps it locked.
    """
    root = _own_root(runtime_dir)
    final = Directory(root / container_id)
    new = Directory(root / _scratch(_NEW))
    lock = -1
    try:
        root.mkdir(mode=0o755, parents=True, exist_ok=True)
        new.path.mkdir(mode=0o700)
        lock = _lock(new)
        new.write(SPEC, spec)
        _put_in_place(new, final)
    except BaseException as error:
        if lock >= 0:
            os.close(lock)
        new.remove()
        if isinstance(error, OSError):
            raise HarnessError(f"cannot keep the container's state: {one_line(error)}") from error
        raise
    return final, lock


def _put_in_place(new: Directory, final: Directory) -> None:
    try:
        # Fails for a directory that is there, and for anything else of that name.
        new.path.rename(final.path)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            name = final.container_id
            raise HarnessError(f"there is a container {name!r} already") from error
        raise


def take_over(directory: Directory) -> int | None:
    """Take the lock of a container whose monitor is dead; nothing while somebody has it."""
    try:
        return _lock(directory)
    except (BlockingIOError, FileNotFoundError, PermissionError):
        return None


def is_locked(directory: Directory) -> bool:
    """Tell whether a container has a monitor. Asking is not locking, and disturbs nobody."""
    try:
        file = os.open(directory.file(LOCK), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        answer = fcntl.fcntl(file, fcntl.F_OFD_GETLK, _flock(fcntl.F_WRLCK))
    finally:
        os.close(file)
    return bool(struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK)


def _lock(directory: Directory) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    file = os.open(directory.file(LOCK), flags, 0o600)
    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, _flock(fcntl.F_WRLCK))
    except BaseException:
        os.close(file)
        raise
    return file


def _flock(kind: int) -> bytes:
    return struct.pack(_FLOCK, kind, os.SEEK_SET, 0, 0, 0)


def _entries(runtime_dir: str) -> list[Path]:
    root = _own_root(runtime_dir)
    with contextlib.suppress(FileNotFoundError):
        return [path for path in sorted(root.iterdir()) if _is_directory(path)]
    return []


def _own_root(runtime_dir: str) -> Path:
    """Return the directory of all containers' unless somebody has it lead elsewhere."""
    root = containers_root(runtime_dir)
    if root.is_symlink():
        raise HarnessError(f"{root}: must be a directory, and is a symbolic link")
    return root


def _is_directory(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except PermissionError:
        # What we may not see is not what is not there.
        raise
    except OSError:
        return False
