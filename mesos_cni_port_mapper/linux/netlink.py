"""Netlink: questions to the kernel's networking and its answers, as bytes (netlink(7)).

Only what the plugin needs at every ADD and DEL; a library for all of it costs more to import than
the rest of an ADD. What is put into bytes and taken out of them is pure; one class talks.
"""

from __future__ import annotations

import _socket
import errno
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Message = tuple[int, int, bytes]
    """What it is about, the sequence number of its request, and all after the header."""

ROUTE, NETFILTER = 0, 12
"""Which part of the kernel is spoken to."""

DUMP = 0x300
NESTED = 0x8000
"""Added to the kind of an attribute that holds others."""

INET = {4: 2, 6: 10}
"""AF_INET and AF_INET6, which are not the numbers of the families."""

_REQUEST, _ACKNOWLEDGE = 0x1, 0x4
_ERROR, _DONE = 2, 3
NETFILTER_HEADER = 4
"""Bytes before the attributes of netfilter's answers."""

_KIND = 0x3FFF
_HEADER = 16
_RECEIVE = 1 << 16
_TOGETHER = 32
"""How many requests are sent before their acknowledgements are read: those must fit a buffer."""

_GET_ADDRESS, _ADDRESS_HEADER = 22, 8
_ADDRESS, _LOCAL = 1, 2
_GET_ROUTE, _ROUTE_HEADER = 26, 12
_DESTINATION, _INTERFACE = 1, 4
_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL)
"""No route, and routes that say so: unreachable, prohibit, blackhole."""


def encode_attribute(kind: int, value: bytes) -> bytes:
    """Return an attribute, filled up to where the next may begin."""
    length = 4 + len(value)
    return _short(length) + _short(kind) + value + bytes(-length % 4)


def encode_netfilter_header(family: int = 0, resource: int = 0) -> bytes:
    """Return what a message of netfilter begins with: ``struct nfgenmsg`` (nfnetlink.h).

    ``family`` 0 is none in particular.
    """
    return bytes((INET.get(family, 0), 0)) + resource.to_bytes(2, "big")


def encode_message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """Return a request; ``body`` is what follows the header common to all."""
    length = (_HEADER + len(body)).to_bytes(4, sys.byteorder)
    number = sequence.to_bytes(4, sys.byteorder)
    return length + _short(kind) + _short(_REQUEST | flags) + number + bytes(4) + body


def decode_messages(data: bytes) -> list[Message]:
    """Return the messages in one piece of an answer."""
    messages = []
    start = 0
    while start + _HEADER <= len(data):
        length = int.from_bytes(data[start : start + 4], sys.byteorder)
        if length < _HEADER:
            break
        kind = int.from_bytes(data[start + 4 : start + 6], sys.byteorder)
        sequence = int.from_bytes(data[start + 8 : start + 12], sys.byteorder)
        messages.append((kind, sequence, data[start + _HEADER : start + length]))
        start += length + -length % 4
    return messages


def decode_attributes(data: bytes) -> dict[int, bytes]:
    """Return attributes by kind; of a kind that comes twice, the last."""
    attributes = {}
    start = 0
    while start + 4 <= len(data):
        length = int.from_bytes(data[start : start + 2], sys.byteorder)
        if length < 4:
            break
        kind = int.from_bytes(data[start + 2 : start + 4], sys.byteorder)
        attributes[kind & _KIND] = data[start + 4 : start + length]
        start += length + -length % 4
    return attributes


def _short(number: int) -> bytes:
    return number.to_bytes(2, sys.byteorder)


class Netlink:
    """A conversation with one part of the kernel, with one deadline for all of it."""

    def __init__(self, protocol: int, seconds: float = 5) -> None:
        """Raise ``OSError`` where the kernel has no such part."""
        self._socket = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW, protocol)
        self._deadline = time.monotonic() + seconds
        self._sequence = 0

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, kind: int, body: bytes, flags: int = 0) -> Iterator[bytes]:
        """Ask once and return the bodies of the answers; with ``DUMP`` there may be many.

        Raises ``OSError`` with what the kernel says, ``TimeoutError`` after the deadline.
        """
        first = self._send([(kind, body)], flags or _ACKNOWLEDGE)
        while True:
            for kind_of_answer, sequence, answer in self._receive():
                if sequence != first:
                    continue
                if kind_of_answer in (_ERROR, _DONE):
                    _raise(_errno_in(answer))
                    return
                yield answer

    def tell(self, requests: Sequence[tuple[int, bytes]]) -> list[int]:
        """Send requests, each a kind and a body, and return the errno of each, 0 for success."""
        outcomes: list[int] = []
        for start in range(0, len(requests), _TOGETHER):
            some = requests[start : start + _TOGETHER]
            first = self._send(some, _ACKNOWLEDGE)
            pending = set(range(first, first + len(some)))
            found = dict.fromkeys(pending, 0)
            while pending:
                for kind, sequence, answer in self._receive():
                    if kind == _ERROR and sequence in pending:
                        pending.remove(sequence)
                        found[sequence] = _errno_in(answer)
            outcomes += found.values()
        return outcomes

    def transact(self, messages: Sequence[tuple[int, bytes]]) -> None:
        """Send what begins a batch, requests, and what ends it; raise ``OSError`` if it failed.

        The last request alone is acknowledged, after whatever went wrong before it.
        """
        last = self._sequence + len(messages) - 1
        self._send(messages, 0, acknowledged=last)
        while True:
            for kind, sequence, answer in self._receive():
                if kind == _ERROR:
                    _raise(_errno_in(answer))
                    if sequence == last:
                        return

    def _send(
        self, requests: Sequence[tuple[int, bytes]], flags: int, acknowledged: int = 0
    ) -> int:
        """Send requests in one piece and return the sequence number of the first.

        ``flags`` are for all of them, and one may be ``acknowledged``, by its sequence number.
        """
        first = self._sequence + 1
        self._sequence += len(requests)
        pieces = []
        for sequence, (kind, body) in enumerate(requests, first):
            own = _ACKNOWLEDGE if sequence == acknowledged else 0
            pieces.append(encode_message(kind, flags | own, sequence, body))
        self._wait()
        self._socket.send(b"".join(pieces))
        return first

    def _receive(self) -> list[Message]:
        self._wait()
        data, sender = self._socket.recvfrom(_RECEIVE)
        # Another process can send to this socket; the kernel's own number is 0.
        return decode_messages(data) if sender[0] == 0 else []

    def _wait(self) -> None:
        """Have the next call on the socket last no longer than to the deadline."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            _raise(errno.ETIMEDOUT)
        self._socket.settimeout(left)


def _errno_in(answer: bytes) -> int:
    """Return what an acknowledgement or the end of a dump begins with."""
    return -int.from_bytes(answer[:4], sys.byteorder, signed=True)


def _raise(number: int) -> None:
    if number:
        raise OSError(number, os.strerror(number))


def encode_route_request(family: int, destination: bytes) -> bytes:
    """Return what RTM_GETROUTE needs to find the route to one address (rtnetlink(7))."""
    header = bytes((INET[family], 8 * len(destination)))
    return header + bytes(_ROUTE_HEADER - len(header)) + encode_attribute(_DESTINATION, destination)


def route_interface(address: str) -> str:
    """Return the interface by which this host reaches an address, "" when it is unreachable.

    An address of the host itself is reached by "lo". Raises ``OSError``.
    """
    family = 6 if ":" in address else 4
    packed = _socket.inet_pton(INET[family], address)
    with Netlink(ROUTE) as netlink:
        route = _find_route(netlink, family, packed)
    index = decode_attributes(route[_ROUTE_HEADER:]).get(_INTERFACE)
    return _socket.if_indextoname(int.from_bytes(index, sys.byteorder)) if index else ""


def _find_route(netlink: Netlink, family: int, destination: bytes) -> bytes:
    """Return the route to an address as the kernel describes it, or nothing."""
    try:
        for answer in netlink.ask(_GET_ROUTE, encode_route_request(family, destination)):
            return answer
    except OSError as error:
        if error.errno not in _UNREACHABLE:
            raise
    return b""


def local_addresses(family: int) -> set[bytes]:
    """Return the addresses of this host's interfaces, packed. Raises ``OSError``."""
    request = bytes((INET[family],)) + bytes(_ADDRESS_HEADER - 1)
    with Netlink(ROUTE) as netlink:
        # Asked for a family it does not have, the kernel answers with all that it has.
        found = [
            decode_attributes(answer[_ADDRESS_HEADER:])
            for answer in netlink.ask(_GET_ADDRESS, request, DUMP)
            if answer[0] == INET[family]
        ]
    # Between two ends of a line the one is the other's, and ours is told apart.
    return {attributes.get(_LOCAL) or attributes[_ADDRESS] for attributes in found}
