"""SCTP over raw sockets: as much of RFC 9260 as it takes to be heard and answered.

Many kernels have no SCTP sockets, while their connection tracking and address translation know the
protocol all the same. One INIT and one INIT ACK is an exchange; the answer travels as its cookie.
"""

import json
import os
import select
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

PROTOCOL = 132

_INIT, _INIT_ACK = 1, 2
_COOKIE = 7
_COMMON, _CHUNK = struct.Struct("!HHI4s"), struct.Struct("!BBHIIHHI")
_PARAMETER = struct.Struct("!HH")
_FIRST_PRIVATE_PORT = 49152

_IP_RECVERR, _IPV6_RECVERR = 11, 25
_ERROR_QUEUE = 0x2000


def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC32C = _table()


def checksum(data: bytes) -> bytes:
    """Return the CRC32c of a packet whose own checksum is zero, as it stands in the packet."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _CRC32C[(value ^ byte) & 0xFF]
    return struct.pack("<I", value ^ 0xFFFFFFFF)


def encode(source: int, target: int, tag: int, kind: int, own_tag: int, cookie: bytes) -> bytes:
    """Return a packet with one INIT or INIT ACK; ``cookie`` may be empty."""
    filled = cookie + bytes(-len(cookie) % 4)
    parameter = _PARAMETER.pack(_COOKIE, _PARAMETER.size + len(cookie)) + filled if cookie else b""
    length = _CHUNK.size + len(parameter)
    chunk = _CHUNK.pack(kind, 0, length, own_tag, 1 << 16, 1, 1, 1) + parameter
    packet = _COMMON.pack(source, target, tag, bytes(4)) + chunk
    return packet[:8] + checksum(packet) + packet[12:]


def decode(packet: bytes) -> tuple[int, int, int, int, int, bytes] | None:
    """Return what `encode` was given, or nothing when it is another kind of packet."""
    if len(packet) < _COMMON.size + _CHUNK.size:
        return None
    source, target, tag, found = _COMMON.unpack_from(packet)
    kind, _, length, own_tag, *_ = _CHUNK.unpack_from(packet, _COMMON.size)
    if found != checksum(packet[:8] + bytes(4) + packet[12:]):
        return None
    parameter = packet[_COMMON.size + _CHUNK.size : _COMMON.size + length]
    end = _PARAMETER.unpack_from(parameter)[1] if parameter else 0
    return source, target, tag, kind, own_tag, parameter[_PARAMETER.size : end]


def _open(family: socket.AddressFamily) -> socket.socket:
    return socket.socket(family, socket.SOCK_RAW, PROTOCOL)


def _receive(sock: socket.socket) -> tuple[bytes, str]:
    data, address = sock.recvfrom(4096)
    # With IPv4, and only with it, a raw socket receives the header too.
    header = (data[0] & 0xF) * 4 if sock.family == socket.AF_INET else 0
    return data[header:], address[0]


def serve(
    port: int,
    address: str,
    answers: int,
    lifetime: float,
    words: Callable[[str], bytes],
    ready: Callable[[], None],
) -> None:
    """Answer each INIT to a port with what ``words`` says about its sender."""
    families = [socket.AF_INET6] if ":" in address else [socket.AF_INET]
    if address == "::":
        families = [socket.AF_INET, socket.AF_INET6]
    sockets = {}
    poll = select.poll()
    for family in families:
        sock = _open(family)
        if address != "::":
            sock.bind((address, 0))
        sockets[sock.fileno()] = sock
        poll.register(sock, select.POLLIN)
    ready()
    end = time.monotonic() + lifetime
    while answers and (left := end - time.monotonic()) > 0:
        for descriptor, _ in poll.poll(left * 1000):
            packet, peer = _receive(sockets[descriptor])
            received = decode(packet)
            if received is None or received[1] != port or received[3] != _INIT:
                continue
            source, _, _, _, tag, _ = received
            reply = encode(port, source, tag, _INIT_ACK, 1, words(peer))
            sockets[descriptor].sendto(reply, (peer, 0))
            answers -= 1


def ask(address: str, port: int, timeout: float, source_port: int) -> Any:
    """Send one INIT and return what its answer says; errors as a connected socket has them."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    own_port = source_port or _FIRST_PRIVATE_PORT + os.getpid() % 16000
    tag = os.getpid() or 1
    with _open(family) as sock:
        level = socket.IPPROTO_IPV6 if family == socket.AF_INET6 else socket.IPPROTO_IP
        option = _IPV6_RECVERR if family == socket.AF_INET6 else _IP_RECVERR
        sock.setsockopt(level, option, 1)
        # Connected, because what a raw socket could receive is not refused by the kernel.
        sock.connect((address, 0))
        sock.setblocking(False)
        sock.send(encode(own_port, port, 0, _INIT, tag, b""))
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            for _, events in poll.poll(left * 1000):
                if events & select.POLLERR:
                    _complain(sock, own_port, port)
                if not events & select.POLLIN:
                    continue
                received = decode(_receive(sock)[0])
                if received is None:
                    continue
                if received[1] == own_port and received[2] == tag and received[3] == _INIT_ACK:
                    return json.loads(received[5])
                if received[0] == own_port and received[4] == tag and received[3] == _INIT:
                    # Our own packet was delivered to us, and had we not listened, to nobody.
                    raise ConnectionRefusedError
    raise TimeoutError


def _complain(sock: socket.socket, own_port: int, port: int) -> None:
    """Raise ``ConnectionRefusedError`` if an error is about a packet of ours.

    A raw socket hears of the errors of all that its protocol has sent.
    """
    sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    try:
        packet = sock.recvmsg(4096, 256, _ERROR_QUEUE)[0]
    except BlockingIOError:
        return
    if packet[:4] == struct.pack("!HH", own_port, port):
        raise ConnectionRefusedError
