"""Streams for one request, kept in memory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def memory(data: bytes = b"") -> Iterator[int]:
    """Open a file in memory, to be read from its beginning."""
    file = os.memfd_create("stream")
    try:
        os.write(file, data)
        os.lseek(file, 0, os.SEEK_SET)
        yield file
    finally:
        os.close(file)


def content(file: int) -> bytes:
    """Return all that a file in memory holds."""
    return os.pread(file, os.fstat(file).st_size, 0)
