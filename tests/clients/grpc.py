"""As much of gRPC and of protocol buffers as it takes to be a kubelet for one call at a time.

HTTP/2 is RFC 9113; headers are literals, RFC 7541 section 6.2.2. Each call has its own connection.
"""

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS, _PING = 0, 1, 4, 6
_END_STREAM = _ACK = 1
_END_HEADERS = 4


class CallError(Exception):
    """A call was answered without a message, which is how gRPC says that it failed."""


def encode(number: int, value: int | str | bytes) -> bytes:
    """Return a field of a message: an integer, a string, or another message."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def decode_first_string(message: bytes) -> str:
    """Return the first field of a message, which is a short string."""
    return message[2 : 2 + message[1]].decode()


def call(path: Path, method: str, message: bytes, timeout: float = 30) -> bytes:
    """Call a method of a server on a Unix socket and return the message that it answers."""
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": method,
        ":authority": "localhost",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    block = b"".join(b"\0" + _text(name) + _text(value) for name, value in headers.items())
    body = struct.pack(">BI", 0, len(message)) + message
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(timeout)
        channel.connect(str(path))
        channel.sendall(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, b"")
            + _frame(_HEADERS, _END_HEADERS, 1, block)
            + _frame(_DATA, _END_STREAM, 1, body)
        )
        answer = b"".join(_answer(channel))
    if len(answer) < 5:
        raise CallError(method)
    return answer[5:]


def _answer(channel: socket.socket) -> Iterator[bytes]:
    """Yield the data of the only stream until it ends, and be polite to the connection."""
    with channel.makefile("rb") as stream:
        while True:
            head = stream.read(9)
            if len(head) < 9:
                return
            length, kind, flags, number = int.from_bytes(head[:3]), *struct.unpack(">BBI", head[3:])
            payload = stream.read(length)
            if kind in (_SETTINGS, _PING) and not flags & _ACK:
                channel.sendall(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
            if kind == _DATA:
                yield payload
            if number == 1 and kind in (_DATA, _HEADERS) and flags & _END_STREAM:
                return


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + struct.pack(">BBI", kind, flags, stream) + payload


def _text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])
