"""Servers and clients with real packets, anywhere in a throwaway host.

An outcome is what the server `Saw`, or a word for how the attempt ended: "refused", "timeout",
"reset", "unreachable", "closed", or the name of another errno.
"""

import json
import signal
from dataclasses import dataclass
from typing import Any, Literal

from tests.support.host import Place
from tests.support.process import CommandError, Process


@dataclass(frozen=True)
class Saw:
    """Who answered, from which address it saw us come, and on which of its ports."""

    name: str
    peer: str
    port: int


Outcome = Saw | str
Protocol = Literal["tcp", "udp", "sctp"]


class Server:
    """A server in its own process; it ends with the host, or sooner when it is stopped."""

    def __init__(
        self,
        protocol: Protocol,
        place: Place,
        port: int,
        address: str = "::",
        answers: int = 20_000,
        lifetime: float = 60,
    ) -> None:
        self._process = place.keeper.call(
            "serve",
            place.netns,
            protocol=protocol,
            name=place.name,
            address=address,
            port=port,
            answers=answers,
            lifetime=lifetime,
        )
        if self._process.stdout_line() != b'"ready"':
            words = self._process.wait(5).stderr.decode()
            message = f"no {protocol} server on port {port} in {place.name}: {words}"
            raise CommandError(message)

    @property
    def process(self) -> Process:
        """Return the process that answers."""
        return self._process

    def stop(self) -> None:
        """End the server and wait until its port is free."""
        self._process.kill()
        self._process.wait(5)


def serve_tcp(place: Place, port: int, address: str = "::") -> Server:
    """Answer TCP connections, on every address of both families unless one is given."""
    return Server("tcp", place, port, address)


def serve_udp(place: Place, port: int, address: str = "::") -> Server:
    """Answer UDP datagrams, on every address of both families unless one is given."""
    return Server("udp", place, port, address)


def serve_sctp(place: Place, port: int, address: str = "::") -> Server:
    """Answer SCTP's first packet, on every address of both families unless one is given."""
    return Server("sctp", place, port, address)


def connect_tcp(
    source: Place, address: str, port: int, timeout: float = 1.0, source_port: int = 0
) -> Outcome:
    """Connect from somewhere and return what the server saw, or how it ended."""
    return _connect("tcp", source, address, port, timeout, source_port)


def connect_udp(
    source: Place, address: str, port: int, timeout: float = 1.0, source_port: int = 0
) -> Outcome:
    """Send one datagram and return what the server saw, or how it ended.

    With the same ``source_port`` again the kernel sees the same flow, as its conntrack entry does.
    """
    return _connect("udp", source, address, port, timeout, source_port)


def connect_sctp(source: Place, address: str, port: int, timeout: float = 1.0) -> Outcome:
    """Send the first packet of SCTP and return what the server saw, or how it ended."""
    return _connect("sctp", source, address, port, timeout, 0)


class Attempt:
    """An attempt to reach a server that has begun; many can be under way side by side."""

    def __init__(
        self,
        protocol: Protocol,
        source: Place,
        address: str,
        port: int,
        timeout: float = 1.0,
        source_port: int = 0,
    ) -> None:
        self._timeout = timeout
        self._process = source.keeper.call(
            "connect",
            source.netns,
            protocol=protocol,
            address=address,
            port=port,
            timeout=timeout,
            source_port=source_port,
        )

    def outcome(self) -> Outcome:
        """Wait for the end and return what the server saw, or how it ended."""
        # The timeout counts for connecting and for the answer, each.
        finished = self._process.wait(2 * self._timeout + 5)
        self._process.close()
        if finished.status != 0:
            raise CommandError(finished.stderr.decode())
        return _decode(json.loads(finished.stdout))


class Hammer:
    """TCP connections to one port, one after the other without a pause, until told to stop."""

    def __init__(self, source: Place, address: str, port: int, timeout: float = 1.0) -> None:
        self._process = source.keeper.call(
            "hammer", source.netns, address=address, port=port, timeout=timeout
        )
        if self._process.stdout_line() != b'"started"':
            words = self._process.wait(5).stderr.decode()
            message = f"cannot hammer at {address} port {port} from {source.name}: {words}"
            raise CommandError(message)

    def stop(self) -> list[tuple[Outcome, int]]:
        """End and return the outcomes in order, each with how many times in a row it came."""
        self._process.kill(signal.SIGTERM)
        finished = self._process.wait(10)
        self._process.close()
        if finished.status != 0:
            raise CommandError(finished.stderr.decode())
        outcomes = json.loads(finished.stdout.splitlines()[-1])
        return [(_decode(outcome), count) for outcome, count in outcomes]


def _connect(
    protocol: Protocol, source: Place, address: str, port: int, timeout: float, source_port: int
) -> Outcome:
    return Attempt(protocol, source, address, port, timeout, source_port).outcome()


def _decode(document: Any) -> Outcome:
    return Saw(**document) if isinstance(document, dict) else str(document)
