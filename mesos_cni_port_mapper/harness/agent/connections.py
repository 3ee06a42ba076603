"""Connections on which nothing is asked: how long they may stay that way."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, Protocol, TypeVar

QUIET = 30.0
INTERVAL = 5.0


class Closable(Hashable, Protocol):
    """A connection; aiohttp's protocol objects are."""

    def force_close(self) -> None:
        """End it."""
        ...


_C = TypeVar("_C", bound=Closable)


class Connections(Generic[_C]):
    """Knows which connections have a request in hand, and since when the others have none.

    aiohttp waits for ever for the rest of a request's head, so whoever sends half of one would keep
    a connection for nothing, and a few thousand of them would keep everybody else out.
    """

    def __init__(self) -> None:
        self._busy: set[_C] = set()
        self._quiet_since: dict[_C, float] = {}

    def begin(self, connection: _C) -> None:
        """Note a request."""
        self._busy.add(connection)
        self._quiet_since.pop(connection, None)

    def end(self, connection: _C) -> None:
        """Note that it has been answered."""
        self._busy.discard(connection)

    def sweep(self, connections: Iterable[_C], now: float) -> None:
        """Close the connections that have been quiet for too long; to be called now and then."""
        quiet = {each: self._quiet_since.get(each, now) for each in connections}
        self._quiet_since = {each: since for each, since in quiet.items() if each not in self._busy}
        for connection, since in self._quiet_since.items():
            if now - since >= QUIET:
                connection.force_close()
