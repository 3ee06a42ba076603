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

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class NetworkState:
    """What a container's directory holds of one network; no interface left means detached."""

    name: str
    ifnames: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The state root's content."""

    root: Path

    def directory(self, container_id: str) -> Path:
        """Return where a container's state is."""
        return self.root / container_id

    def exists(self, container_id: str) -> bool:
        """Tell whether anything is in the place of a container's state."""
        return os.path.lexists(self.directory(container_id))

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
        self.directory(container_id).mkdir(mode=0o755)

    def lock(self, container_id: str) -> int | None:
        """Return the container's directory open and locked, or nothing while somebody has it.

        Raises ``FileNotFoundError`` when there is none, or none any more.
        """
        file = os.open(self.directory(container_id), _DIRECTORY)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            current = os.stat(self.directory(container_id), follow_symlinks=False)
            if os.path.samestat(current, os.fstat(file)):
                return file
        except BlockingIOError:
            pass
        except BaseException:
            os.close(file)
            raise
        os.close(file)
        return None

    def networks(self, container_id: str) -> list[NetworkState]:
        """Return the networks whose configuration or interface is in a container's directory."""
        found = []
        with self._open(container_id) as directory:
            for name in _directories(directory):
                if network_name_fault(name):
                    continue
                with _below(directory, name) as network:
                    interfaces = [each for each in _directories(network) if is_interface_name(each)]
                    found.append(NetworkState(name, tuple(interfaces)))
        return found

    def write_record(self, record: Record) -> None:
        """Checkpoint what was asked for."""
        data = netconf.encode(encode_record(record))
        with self._open(record.container_id) as directory:
            _write(directory, paths.RECORD, data, 0o600)

    def read_record(self, container_id: str) -> Record | None:
        """Return a container's record, nothing when there is none."""
        with self._corrupt(container_id, paths.RECORD):
            data = self._read(container_id, paths.RECORD)
            return None if data is None else decode_record(codec.decode(data), container_id)

    def write_configuration(
        self, container_id: str, network: str, ifname: str, data: bytes
    ) -> None:
        """Checkpoint the configuration of an attachment that is about to be made."""
        with self._open(container_id) as directory:
            _ensure_directory(directory, network)
            with _below(directory, network) as below:
                _ensure_directory(below, ifname)
                _write(below, paths.CONFIGURATION, data, 0o600)

    def read_configuration(self, container_id: str, network: str) -> NetworkConfiguration | None:
        """Return the configuration of an attachment, nothing when ADD was never about to run."""
        with self._corrupt(container_id, network, paths.CONFIGURATION):
            data = self._read(container_id, network, paths.CONFIGURATION)
            if data is None:
                return None
            configuration = parse_configuration(data, checkpointed=True)
            if configuration.name != network:
                raise ValueError(f"it is of the network {configuration.name!r}")
            return configuration

    def write_result(self, container_id: str, network: str, ifname: str, data: bytes) -> None:
        """Checkpoint what ADD printed."""
        with self._open(container_id, network, ifname) as directory:
            _write(directory, paths.RESULT, data, 0o600)

    def read_result(self, container_id: str, network: str, ifname: str) -> bytes | None:
        """Return what ADD printed, nothing when it has not ended well."""
        with self._corrupt(container_id, network, ifname, paths.RESULT):
            return self._read(container_id, network, ifname, paths.RESULT)

    def write_host_file(self, container_id: str, name: str, text: str) -> None:
        """Write a file that the container will see in its /etc."""
        with self._open(container_id) as directory:
            _write(directory, name, text.encode(), 0o644)

    def host_file(self, container_id: str, name: str) -> Path | None:
        """Return the path of such a file, nothing when there is none."""
        try:
            with self._open(container_id) as directory:
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except OSError:
            return None
        return self.directory(container_id) / name if stat.S_ISREG(status.st_mode) else None

    def remove_interface(self, container_id: str, network: str, ifname: str) -> None:
        """Note that an attachment is gone."""
        with contextlib.suppress(FileNotFoundError), self._open(container_id, network) as below:
            shutil.rmtree(ifname, dir_fd=below)

    def remove(self, container_id: str) -> None:
        """Remove a container's directory and all that is in it; links are not followed."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.directory(container_id))

    @contextlib.contextmanager
    def _open(self, *parts: str) -> Iterator[int]:
        with contextlib.ExitStack() as stack:
            directory = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, directory)
            for part in parts:
                directory = stack.enter_context(_below(directory, part))
            yield directory

    def _read(self, *parts: str) -> bytes | None:
        try:
            with self._open(*parts[:-1]) as directory:
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
        path = self.root.joinpath(*parts)
        try:
            yield
        except OSError as error:
            raise CorruptError(path, os_reason(error)) from error
        except (CniError, ValueError) as error:
            raise CorruptError(path, str(error)) from error


@contextlib.contextmanager
def _below(directory: int, name: str) -> Iterator[int]:
    file = os.open(name, _DIRECTORY, dir_fd=directory)
    try:
        yield file
    finally:
        os.close(file)


def _directories(directory: int) -> list[str]:
    with os.scandir(directory) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))


def _ensure_directory(parent: int, name: str) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=parent)


def _write(directory: int, name: str, data: bytes, mode: int) -> None:
    scratch = f".{name}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(scratch, dir_fd=directory)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(scratch, flags, 0o600, dir_fd=directory)
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
