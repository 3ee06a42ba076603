"""What flannel's ADD saves for its DEL: the delegate's configuration, a file for an interface.

The file is ``CONTAINERID``, where Flannel's own plugin has it and looks for it. That name has room
for one interface of a container; the files of others are ``CONTAINERID:IFNAME``, a name that no
container has. Beside the configuration a file says whose it is, in a key ``ifname``; without that
key it was written by Flannel's own plugin and is anybody's.
"""

from __future__ import annotations

import os

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.cni.errors import IO_FAILURE, CniError, os_reason
from mesos_cni_port_mapper.linux import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mesos_cni_port_mapper.cni.request import Request

_OWNER = "ifname"
_ENAMETOOLONG = 36


class Record:
    """The record of one interface below a directory, which need not exist before ``save``.

    Container IDs and interface names have been checked by the time there is a request: neither
    has a slash, nor an interface name a colon. Methods raise ``CniError`` (code 5).
    """

    def __init__(self, directory: str, request: Request) -> None:
        self._ifname = request.ifname
        self._first = f"{directory}/{request.container_id}"
        self._further = f"{self._first}:{request.ifname}"
        self._path = ""
        self._before: bytes | None = None

    def load(self) -> dict[str, Any] | None:
        """Return the delegate's configuration, or nothing when none was saved."""
        for path in (self._further, self._first):
            data = _read(path)
            if data is None:
                continue
            document = _decode(path, data)
            if document.pop(_OWNER, self._ifname) == self._ifname:
                self._path, self._before = path, data
                return document
        return None

    def save(self, netconf: dict[str, Any]) -> None:
        """Save a configuration in the place of an earlier one of this interface."""
        self.load()
        try:
            os.makedirs(os.path.dirname(self._first), 0o700, exist_ok=True)
            data = codec.encode({**netconf, _OWNER: self._ifname}) + b"\n"
            scratch = _write_scratch(self._further, data)
            if self._path:
                os.rename(scratch, self._path)
            else:
                self._path = self._claim(scratch)
        except OSError as error:
            raise _failure(f"cannot save {self._first}", error) from error

    def _claim(self, scratch: str) -> str:
        """Put a file where no other interface's is, however many are attached at this moment."""
        try:
            os.link(scratch, self._first)
        except FileExistsError:
            os.rename(scratch, self._further)
            return self._further
        os.unlink(scratch)
        return self._first

    def restore(self) -> None:
        """Have things as they were before ``save``."""
        if self._before is None:
            self.remove()
            return
        try:
            files.write_atomic(self._path, self._before)
        except OSError as error:
            raise _failure(f"cannot restore {self._path}", error) from error

    def remove(self) -> None:
        """Remove what ``load`` found or ``save`` wrote."""
        try:
            files.remove(files.scratch_of(self._further))
            files.remove(self._path)
        except OSError as error:
            raise _failure(f"cannot remove {self._path}", error) from error


def _write_scratch(path: str, data: bytes) -> str:
    file = files.create_scratch(path, data)
    try:
        # It outlives a power cut as the addresses do that it leads to.
        os.fsync(file)
    finally:
        os.close(file)
    return files.scratch_of(path)


def _read(path: str) -> bytes | None:
    try:
        return files.read(path)
    except OSError as error:
        if error.errno == _ENAMETOOLONG:
            return None  # Nothing can have been saved for such an ID.
        raise _failure(f"cannot read {path}", error) from error


def _decode(path: str, data: bytes) -> dict[str, Any]:
    try:
        document = codec.decode(data)
    except ValueError as error:
        raise CniError(IO_FAILURE, f"what was saved in {path} is not JSON", str(error)) from error
    if not isinstance(document, dict):
        raise CniError(IO_FAILURE, f"what was saved in {path} is no JSON object")
    return document


def _failure(what: str, error: OSError) -> CniError:
    return CniError(IO_FAILURE, what, os_reason(error))
