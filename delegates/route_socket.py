"""A conversation with the kernel's rtnetlink: requests go out, replies and refusals come back."""

from __future__ import annotations

import _socket
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_AF_NETLINK, _SOCK_RAW, _SOCK_CLOEXEC = 16, 3, 0o2000000
_SOL_NETLINK = 270
_OPTIONS = (10, 11, 12)
"""NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK (netlink(7)): a refusal has words and
not our own request in it, and a dump is filtered as asked."""

_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _DUMP = 1, 4, 0x300
_DUMP_INTERRUPTED, _HAS_WORDS = 0x10, 0x200
_HEADER = "=IHHII"
"""struct nlmsghdr: length, type, flags, sequence number, port."""
HEADER_SIZE = 16
_REFUSAL_MESSAGE = 1
_BUFFER = 1 << 17
_ATTEMPTS = 10


class RouteSocket:
    """A NETLINK_ROUTE socket of the network namespace it is made in."""

    def __init__(self) -> None:
        self._socket = _socket.socket(_AF_NETLINK, _SOCK_RAW | _SOCK_CLOEXEC, 0)
        self._sequence = 0
        for option in _OPTIONS:
            try:
                self._socket.setsockopt(_SOL_NETLINK, option, 1)
            except OSError:
                pass  # An older kernel says less.

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def request(self, kind: int, flags: int, body: bytes) -> list[bytes]:
        """Send a request and return the replies; raise ``OSError`` when it is refused.

        ``body`` and the replies begin with room for the header, as messages of pyroute2 do.
        """
        return self._converse(kind, _REQUEST | _ACK | flags, body)

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """Ask for a list, again when it changed while it was read."""
        for _ in range(_ATTEMPTS):
            try:
                return self._converse(kind, _REQUEST | _DUMP, body)
            except InterruptedError:
                continue
        raise InterruptedError(4, "the list changed each time it was read")

    def _converse(self, kind: int, flags: int, body: bytes) -> list[bytes]:
        # What is still to be read of an earlier conversation bears another number.
        self._sequence += 1
        header = struct.pack(_HEADER, len(body), kind, flags, self._sequence, 0)
        self._socket.send(header + body[HEADER_SIZE:])
        return list(self._replies())

    def _replies(self) -> Iterator[bytes]:
        while True:
            data = self._socket.recv(_BUFFER)
            offset = 0
            while offset < len(data):
                length, kind, flags, sequence, _ = struct.unpack_from(_HEADER, data, offset)
                message = data[offset : offset + length]
                offset += (length + 3) & ~3
                if sequence != self._sequence:
                    continue
                if flags & _DUMP_INTERRUPTED:
                    raise InterruptedError
                if kind in (_ERROR, _DONE):
                    _raise_refusal(message, flags)
                    return
                yield message


def _raise_refusal(message: bytes, flags: int) -> None:
    """Raise what the kernel refused; a number of 0 is an acknowledgement."""
    (number,) = struct.unpack_from("=i", message, HEADER_SIZE)
    if number:
        raise OSError(-number, _words(message, flags) or os.strerror(-number))


def _words(message: bytes, flags: int) -> str:
    """Return what the kernel says beyond the number (NLMSGERR_ATTR_MSG), behind our header."""
    offset = HEADER_SIZE + 4 + HEADER_SIZE
    while flags & _HAS_WORDS and offset + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, offset)
        if kind == _REFUSAL_MESSAGE:
            return message[offset + 4 : offset + length].rstrip(b"\0").decode(errors="replace")
        offset += max((length + 3) & ~3, 4)
    return ""
