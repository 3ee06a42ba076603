"""Doing several things at once, a few at a time, and hearing of everything that failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

from mesos_cni_port_mapper.isolator.errors import IsolatorError

_T = TypeVar("_T")


class Turns:
    """Lets a few at a time do what takes longer the more of them do it.

    A turn is over after so many seconds, though the work may go on: whatever hangs keeps nobody
    else waiting for longer than that.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._free = asyncio.Semaphore(most)
        self._seconds = seconds

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it."""
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        turn.add_done_callback(lambda _: self._free.release())
        timer = loop.call_later(self._seconds, turn.cancel)
        try:
            yield
        finally:
            timer.cancel()
            turn.cancel()


async def all_of(work: Iterable[Coroutine[None, None, _T]]) -> list[_T]:
    """Do everything at once and let each come to its end; then raise what failed, as one."""
    outcomes = await asyncio.gather(*work, return_exceptions=True)
    failures: list[IsolatorError] = []
    results: list[_T] = []
    for outcome in outcomes:
        if isinstance(outcome, IsolatorError):
            failures.append(outcome)
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            results.append(outcome)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        msg = f"{len(failures)} of {len(outcomes)} networks failed"
        raise IsolatorError(msg, "; ".join(map(str, failures)))
    return results
