"""Reading and writing the state root.

Every path below the root is walked one directory at a time without following links, so that what
somebody planted there leads nowhere. A file is replaced whole or not at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.cni.errors import CniError, os_reason
from mesos_cni_port_mapper.cni.names import is_interface_name
from mesos_cni_port_mapper.isolator import netconf, paths
from mesos_cni_port_mapper.isolator.configurations import NetworkConfiguration, parse_configuration
from mesos_cni_port_mapper.isolator.names import network_name_fault
from mesos_cni_port_mapper.isolator.records import Record, decode_record, encode_record
from mesos_cni_port_mapper.linux.files import read_all, write_all

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class CorruptError(Exception):
    """A checkpoint that cannot be used: which file, and what is wrong with it."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True, slots=True)
class NetworkState:
    """What a container's directory holds of one network; no interface left means detached."""

    name: str
    ifnames: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The state root, with a directory for each container."""

    root: Path

    def directory(self, container_id: str) -> Path:
        """Return where a container's state is."""
        return self.root / container_id

    def exists(self, container_id: str) -> bool:
        """Tell whether anything is in the place of a container's state."""
        return os.path.lexists(self._path(container_id))

    def containers(self) -> list[str]:
        """Return the names of the directories in the root, of containers or not."""
        with os.scandir(self.root) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))

    def others(self) -> list[str]:
        """Return the names of what is in the root and no directory."""
        with os.scandir(self.root) as entries:
            return sorted(e.name for e in entries if not e.is_dir(follow_symlinks=False))

    def create(self, container_id: str) -> None:
        """Make a container's directory; ``FileExistsError`` when there is something already."""
        os.mkdir(self._path(container_id), 0o755)

    @contextlib.contextmanager
    def open(self, container_id: str) -> Iterator[ContainerState]:
        """Have a container's directory open; raises ``OSError`` when it is none."""
        file = os.open(self._path(container_id), _DIRECTORY)
        try:
            yield self._state(container_id, file)
        finally:
            os.close(file)

    def lock(self, container_id: str) -> ContainerState | None:
        """Return a container's directory open and locked, or nothing while somebody has it.

        It is the caller's to close. Raises ``FileNotFoundError`` when there is none, or none any
        more.
        """
        path = self._path(container_id)
        file = os.open(path, _DIRECTORY)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(file)):
                return self._state(container_id, file)
        except BlockingIOError:
            pass
        except BaseException:
            os.close(file)
            raise
        os.close(file)
        return None

    def remove(self, container_id: str) -> None:
        """Remove a container's directory and all that is in it; links are not followed."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._path(container_id))

    def _path(self, container_id: str) -> str:
        return f"{self.root}/{container_id}"

    def _state(self, container_id: str, file: int) -> ContainerState:
        return ContainerState(container_id, self._path(container_id), file)


@dataclass(frozen=True, slots=True)
class ContainerState:
    """What is kept of one container, in its open directory ``file``."""

    container_id: str
    path: str
    file: int

    def close(self) -> None:
        """Let go of the directory, and of its lock."""
        os.close(self.file)

    def networks(self) -> list[NetworkState]:
        """Return the networks whose configuration or interface is in the directory."""
        found = []
        for name in _directories(self.file):
            if network_name_fault(name):
                continue
            with _below(self.file, name) as network:
                interfaces = [each for each in _directories(network) if is_interface_name(each)]
                found.append(NetworkState(name, tuple(interfaces)))
        return found

    def write_record(self, record: Record) -> None:
        """Checkpoint what was asked for."""
        _write(self.file, paths.RECORD, netconf.encode(encode_record(record)), 0o600)

    def read_record(self) -> Record | None:
        """Return the container's record, nothing when there is none."""
        with self._corrupt(paths.RECORD):
            data = self._read(paths.RECORD)
            return None if data is None else decode_record(codec.decode(data), self.container_id)

    def write_configuration(self, network: str, ifname: str, data: bytes) -> None:
        """Checkpoint the configuration of an attachment that is about to be made."""
        _ensure_directory(self.file, network)
        with _below(self.file, network) as below:
            _ensure_directory(below, ifname)
            _write(below, paths.CONFIGURATION, data, 0o600)

    def read_configuration(self, network: str) -> NetworkConfiguration | None:
        """Return the configuration of an attachment, nothing when ADD was never about to run."""
        with self._corrupt(network, paths.CONFIGURATION):
            data = self._read(network, paths.CONFIGURATION)
            if data is None:
                return None
            configuration = parse_configuration(data, checkpointed=True)
            if configuration.name != network:
                raise ValueError(f"it is of the network {configuration.name!r}")
            return configuration

    def write_result(self, network: str, ifname: str, data: bytes) -> None:
        """Checkpoint what ADD printed."""
        with _below(self.file, network, ifname) as directory:
            _write(directory, paths.RESULT, data, 0o600)

    def read_result(self, network: str, ifname: str) -> bytes | None:
        """Return what ADD printed, nothing when it has not ended well."""
        with self._corrupt(network, ifname, paths.RESULT):
            return self._read(network, ifname, paths.RESULT)

    def write_host_file(self, name: str, text: str) -> None:
        """Write a file that the container will see in its /etc."""
        _write(self.file, name, text.encode(), 0o644)

    def host_file(self, name: str) -> str | None:
        """Return the path of such a file, nothing when there is none."""
        try:
            status = os.stat(name, dir_fd=self.file, follow_symlinks=False)
        except OSError:
            return None
        return f"{self.path}/{name}" if stat.S_ISREG(status.st_mode) else None

    def remove_interface(self, network: str, ifname: str) -> None:
        """Note that an attachment is gone."""
        with contextlib.suppress(FileNotFoundError), _below(self.file, network) as below:
            shutil.rmtree(ifname, dir_fd=below)

    def _read(self, *parts: str) -> bytes | None:
        try:
            with _below(self.file, *parts[:-1]) as directory:
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                file = os.open(parts[-1], flags, dir_fd=directory)
                try:
                    return read_all(file)
                finally:
                    os.close(file)
        except FileNotFoundError:
            return None

    @contextlib.contextmanager
    def _corrupt(self, *parts: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CorruptError("/".join((self.path, *parts)), os_reason(error)) from error
        except (CniError, ValueError) as error:
            raise CorruptError("/".join((self.path, *parts)), str(error)) from error


@contextlib.contextmanager
def _below(directory: int, *names: str) -> Iterator[int]:
    """Open a directory below another, or that one itself by no names; no link is followed."""
    opened = []
    try:
        for name in names:
            directory = os.open(name, _DIRECTORY, dir_fd=directory)
            opened.append(directory)
        yield directory
    finally:
        for file in opened:
            os.close(file)


def _directories(directory: int) -> list[str]:
    with os.scandir(directory) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))


def _ensure_directory(parent: int, name: str) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=parent)


def _write(directory: int, name: str, data: bytes, mode: int) -> None:
    scratch = f".{name}.new"
    try:
        file = _create(directory, scratch)
    except FileExistsError:
        # Of a writer that was killed, or a link that somebody planted.
        os.unlink(scratch, dir_fd=directory)
        file = _create(directory, scratch)
    try:
        write_all(file, data)
        # Whatever the umask says, the container's users must be able to read its /etc.
        os.fchmod(file, mode)
        # A root that persists must not hold empty files after a power cut: DEL is made from them.
        # Elsewhere it is in memory, and syncing costs nothing.
        os.fsync(file)
    finally:
        os.close(file)
    os.rename(scratch, name, src_dir_fd=directory, dst_dir_fd=directory)
    os.fsync(directory)


def _create(directory: int, name: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(name, flags, 0o600, dir_fd=directory)
