"""The journal of systemd: one datagram an entry (systemd.journal-fields(7), native protocol)."""

from __future__ import annotations

import _socket

SOCKET = "/run/systemd/journal/socket"


def encode_entry(fields: dict[str, str]) -> bytes:
    """Return an entry; a value that holds line breaks goes with its length."""
    entry = b""
    for name, value in fields.items():
        data = value.encode(errors="backslashreplace")
        if b"\n" in data:
            entry += name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
        else:
            entry += name.encode() + b"=" + data + b"\n"
    return entry


def send(fields: dict[str, str], path: str = SOCKET) -> None:
    """Send an entry without waiting. Raises ``OSError`` where there is no journal, or no room."""
    own = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK)
    try:
        own.sendto(encode_entry(fields), path)
    finally:
        own.close()
