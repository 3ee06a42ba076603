"""Doing several things at once, and hearing of everything that failed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import TypeVar

from mesos_cni_port_mapper.isolator.errors import IsolatorError

_T = TypeVar("_T")


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
