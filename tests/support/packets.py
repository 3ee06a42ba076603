"""Send and answer real packets from wherever the calling process is.

Runs in children of the agent; what it prints on stdout is for `tests.support.traffic`.
"""

import errno
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from tests.support import sctp

_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
_OUTCOMES = {
    errno.ETIMEDOUT: "timeout",
    errno.ECONNRESET: "reset",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
}


def _tell(document: object) -> None:
    os.write(1, json.dumps(document).encode() + b"\n")


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _listening(protocol: str, address: str, port: int) -> socket.socket:
    sock = socket.socket(_family(address), _KINDS[protocol])
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if address == "::":
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind((address, port))
    if protocol == "tcp":
        sock.listen(128)
    return sock


def serve(protocol: str, name: str, address: str, port: int, answers: int, lifetime: float) -> None:
    """Answer each connection or datagram with who is here and whom we saw."""

    # IPv4 peers of a dual-stack socket come as ::ffff:192.0.2.2.
    def words(peer: str) -> bytes:
        seen = {"name": name, "peer": peer.removeprefix("::ffff:"), "port": port}
        return json.dumps(seen).encode()

    if protocol == "sctp":
        sctp.serve(port, address, answers, lifetime, words, lambda: _tell("ready"))
        return
    with _listening(protocol, address, port) as sock:
        _tell("ready")
        answer = _answer_tcp if protocol == "tcp" else _answer_udp
        end = time.monotonic() + lifetime
        for _ in range(answers):
            left = end - time.monotonic()
            if left <= 0:
                return
            sock.settimeout(left)
            answer(sock, words)


def _answer_tcp(sock: socket.socket, words: Callable[[str], bytes]) -> None:
    connection, peer = sock.accept()
    with connection:
        connection.settimeout(1)
        try:
            connection.sendall(words(peer[0]))
        except OSError:
            # A peer that hung up must not end the server.
            return


def _answer_udp(sock: socket.socket, words: Callable[[str], bytes]) -> None:
    _, peer = sock.recvfrom(2048)
    sock.sendto(words(peer[0]), peer)


def connect(protocol: str, address: str, port: int, timeout: float, source_port: int) -> None:
    """Tell the answer of whoever is behind the address, or how the attempt ended."""
    _tell(_outcome(protocol, address, port, timeout, source_port))


def hammer(address: str, port: int, timeout: float) -> None:
    """Connect by TCP again and again, once more after SIGTERM; tell the outcomes in order."""
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    outcomes: list[list[Any]] = []
    while True:
        last = bool(ended)
        outcome = _outcome("tcp", address, port, timeout, 0)
        if not outcomes:
            _tell("started")
        if outcomes and outcomes[-1][0] == outcome:
            outcomes[-1][1] += 1
        else:
            outcomes.append([outcome, 1])
        if last:
            break
        # A port is not used again within a minute, and there are some thirty thousand.
        time.sleep(0.0005)
    _tell(outcomes)


def _outcome(protocol: str, address: str, port: int, timeout: float, source_port: int) -> object:
    try:
        return _ask(protocol, address, port, timeout, source_port)
    except TimeoutError:
        return "timeout"
    except ConnectionRefusedError:
        return "refused"
    except OSError as error:
        number = error.errno or 0
        return _OUTCOMES.get(number) or errno.errorcode[number]


def _ask(protocol: str, address: str, port: int, timeout: float, source_port: int) -> object:
    if protocol == "sctp":
        try:
            return sctp.ask(address, port, timeout, source_port)
        except OSError as error:
            if error.errno != errno.ENOPROTOOPT:
                raise
            # A raw socket hears of refusals by address, those of an earlier question too.
            return sctp.ask(address, port, timeout, source_port)
    with socket.socket(_family(address), _KINDS[protocol]) as sock:
        sock.settimeout(timeout)
        if source_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("", source_port))
        sock.connect((address, port))
        if protocol == "udp":
            sock.send(b"who is there?")
            return json.loads(sock.recv(2048))
        with sock.makefile("rb") as stream:
            # A connection closed without a word is an outcome too.
            return json.loads(stream.read() or b'"closed"')
