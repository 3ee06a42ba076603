"""Small files that other processes read while we write them."""

from __future__ import annotations

import os


def scratch_of(path: str) -> str:
    """Return the name under which the next content of ``path`` is prepared."""
    directory, _, name = path.rpartition("/")
    return f"{directory}/.{name}.new"


def read(path: str) -> bytes | None:
    """Return the content of a file, or nothing when there is none."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return read_all(file)
    finally:
        os.close(file)


def read_all(file: int) -> bytes:
    """Read an open file to its end."""
    chunks = []
    while chunk := os.read(file, 65536):
        chunks.append(chunk)
    return b"".join(chunks)


def write_all(file: int, data: bytes) -> None:
    """Write all of ``data``, however little the kernel takes at a time."""
    while data:
        data = data[os.write(file, data) :]


def create_scratch(path: str, data: bytes) -> int:
    """Write ``data`` beside ``path``, for ``os.rename`` to put in place; return it still open.

    It is not synced to the disk: these files describe the kernel's tables, which a power cut
    empties too, and carry the boot ID so that they are not believed afterwards.
    """
    scratch = scratch_of(path)
    try:
        file = _create(scratch)
    except FileExistsError:
        # Of a writer that was killed.
        remove(scratch)
        file = _create(scratch)
    try:
        write_all(file, data)
    except BaseException:
        os.close(file)
        remove(scratch)
        raise
    return file


def _create(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def make_directory(path: str) -> None:
    """Have a directory that is the owner's alone, and those above it."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    except FileNotFoundError:
        os.makedirs(path, 0o700, exist_ok=True)


def write_atomic(path: str, data: bytes) -> None:
    """Replace ``path`` so that a reader sees the old bytes or the new ones, never a mixture."""
    os.close(create_scratch(path, data))
    os.rename(scratch_of(path), path)


def touch(path: str) -> None:
    """Have an empty file."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def remove(path: str) -> None:
    """Remove a file; one that is not there is fine."""
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        pass


def remove_with_scratch(path: str) -> None:
    """Remove a file and what a writer that was killed may have left beside it."""
    remove(scratch_of(path))
    remove(path)
