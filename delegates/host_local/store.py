"""A network's directory, as the reference plugin (1.1.1) keeps it; both may work in it at once.

::

    192.0.2.7             who has the address: container ID, CR LF, interface (once the ID alone)
    last_reserved_ip.0    the address given last from the first set of ranges
    lock                  flock(2)ed by whoever changes anything here
    .lease.new            what is being written; stale whenever the lock is free

Files appear complete or not at all: they are written aside, and then linked, which fails where a
file is, or, for the address given last, renamed. The reference plugin looks into every file, but
takes none for an address whose name is none.
"""

from __future__ import annotations

import errno
import os

from delegates.host_local.allocation import Lease
from mesos_cni_port_mapper.cni.address import number_of, text_of
from mesos_cni_port_mapper.cni.errors import IO_FAILURE, TRY_AGAIN, CniError, os_reason
from mesos_cni_port_mapper.linux import files, lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from delegates.host_local.allocation import Address, Grant

_LAST = "last_reserved_ip"
_SCRATCH = ".lease.new"
_LONGEST = 4096
"""More than any container ID is long."""

_BLANK = " \t\r\n\v\f\0"
"""A power cut may leave zeros where a file's words should be."""

_NO_FILE = (errno.ELOOP, errno.ENXIO)
_NOT_WORDS = "(no file)"
"""A link, a directory or the like in the place of an address: taken, and by no container."""


class Store:
    """A network's directory, to be entered for changing it: within, the lock is held.

    Whatever the file system refuses leaves as code 5 and names the file; a lock that others held
    for ``seconds`` as code 11, naming one of them.
    """

    def __init__(self, directory: str, seconds: float) -> None:
        self.directory = directory
        self._seconds = seconds
        self._lock = -1

    def __enter__(self) -> Store:
        try:
            self._lock = lock.acquire(self._path("lock"), self._seconds, 0o750)
        except lock.LockHeldError as held:
            raise CniError(
                TRY_AGAIN, f"the addresses in {self.directory} are being worked on", str(held)
            ) from held
        except OSError as error:
            raise self._failure(error) from error
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        os.close(self._lock)
        if isinstance(error, OSError):
            raise self._failure(error) from error

    def make(self) -> None:
        """Have the directory, and those above it."""
        try:
            _make(self.directory)
        except OSError as error:
            raise self._failure(error) from error

    def exists(self) -> bool:
        """Tell whether any address was ever given here."""
        return os.path.isdir(self.directory)

    def look(self) -> list[Lease]:
        """Return the leases without the lock, and none where there is no directory."""
        try:
            return self.leases()
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise self._failure(error) from error

    def leases(self) -> list[Lease]:
        """Read every file that an address names."""
        leases = []
        for name in os.listdir(self.directory):
            try:
                address = number_of(name)
            except ValueError:
                continue
            holder = _read_holder(self._path(name))
            if holder is not None:
                leases.append(Lease(name=name, address=address, holder=holder))
        return leases

    def last(self, index: int) -> Address | None:
        """Return the address given last from a set; without a readable one, start anew."""
        try:
            words = files.read(self._path(f"{_LAST}.{index}")) or b""
            return number_of(words.decode())
        except (OSError, ValueError):
            return None

    def take(self, grants: Sequence[Grant], holder: str) -> None:
        """Write all of the addresses down, or none."""
        names = [text_of(*grant.address) for grant in grants]
        taken: list[str] = []
        try:
            for name in names:
                self._write_aside(holder)
                os.link(self._path(_SCRATCH), self._path(name))
                taken.append(name)
            for name, grant in zip(names, grants, strict=True):
                self._write_aside(name)
                os.rename(self._path(_SCRATCH), self._path(f"{_LAST}.{grant.index}"))
        except BaseException:
            for name in taken:
                files.remove(self._path(name))
            raise
        finally:
            files.remove(self._path(_SCRATCH))

    def release(self, leases: Iterable[Lease]) -> None:
        """Give addresses back."""
        for lease in leases:
            files.remove(self._path(lease.name))

    def sweep(self, leases: Iterable[Lease]) -> None:
        """Remove what writers that died have left: files without words, and one written aside."""
        self.release([lease for lease in leases if not lease.holder])
        files.remove(self._path(_SCRATCH))

    def _write_aside(self, words: str) -> None:
        path = self._path(_SCRATCH)
        # A new file each time: the old one may be linked to an address by now.
        files.remove(path)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            files.write_all(file, words.encode())
        except OSError as error:
            error.filename = path
            raise
        finally:
            os.close(file)

    def _path(self, name: str) -> str:
        return f"{self.directory}/{name}"

    def _failure(self, error: OSError) -> CniError:
        return CniError(
            IO_FAILURE,
            f"cannot work on the addresses in {self.directory}",
            f"{error.filename2 or error.filename or self.directory}: {os_reason(error)}",
        )


def _read_holder(path: str) -> str | None:
    """Return the words in an address file, or nothing when it has just been removed."""
    try:
        # Without waiting for a writer, should somebody have made a pipe of that name.
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in _NO_FILE:
            return _NOT_WORDS
        raise
    try:
        return os.read(file, _LONGEST).decode(errors="replace").strip(_BLANK)
    except IsADirectoryError:
        return _NOT_WORDS
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(file)


def _make(directory: str) -> None:
    try:
        os.mkdir(directory, 0o755)
    except FileExistsError:
        # What is no directory will say so when it is used as one.
        return
    except FileNotFoundError:
        parent = os.path.dirname(directory)
        if parent in ("", directory):
            raise
        _make(parent)
        try:
            os.mkdir(directory, 0o755)
        except FileExistsError:  # Another ADD was quicker.
            return
