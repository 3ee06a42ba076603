"""Put in order what was left at the start, then help containers that nobody else looks after.

That are those whose monitor was killed, and those that have ended and could not be detached.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mesos_cni_port_mapper.harness.agent.census import Census
from mesos_cni_port_mapper.harness.containers import EXITED, LOST, RUNNING, Container
from mesos_cni_port_mapper.harness.errors import HarnessError, one_line
from mesos_cni_port_mapper.harness.recovery import plan_for

log = logging.getLogger(__name__)

INTERVAL = 1.0
_LONGEST_DELAY = 60.0
_VERBS = {
    "monitored": "is monitored again",
    "finished": "is detached",
    "detached": "was known to nobody and is detached",
}


class Helper(Protocol):
    """Starts what helps; ``launcher.Launcher`` does."""

    def recover(self) -> int:
        """Start a recovery of everything."""
        ...

    def tend(self, container_ids: Sequence[str]) -> int:
        """Start to help some containers."""
        ...


class Work(Protocol):
    """Looks and asks without keeping the event loop; ``operations.Operations`` does."""

    async def census(self) -> Census:
        """Look at all containers."""
        ...

    async def ask(self, work: Callable[[], int]) -> bytes:
        """Ask the launcher, and return its report."""
        ...


@dataclass(slots=True)
class Patience:
    """When to help a container again that could not be helped: each time after twice as long."""

    _delays: dict[str, float] = field(default_factory=dict)
    _due: dict[str, float] = field(default_factory=dict)

    def choose(self, found: Iterable[Container], now: float) -> list[str]:
        """Return the containers to help now."""
        needy = [each.container_id for each in found if needs_help(each)]
        for healthy in self._due.keys() - set(needy):
            del self._due[healthy], self._delays[healthy]
        chosen = [each for each in needy if self._due.get(each, now) <= now]
        for each in chosen:
            delay = min(self._delays.get(each, INTERVAL / 2) * 2, _LONGEST_DELAY)
            self._delays[each], self._due[each] = delay, now + delay
        return chosen


def needs_help(container: Container) -> bool:
    """Tell whether a container lost its monitor before its time, or kept its networks after it."""
    if container.monitored or container.state not in (RUNNING, EXITED, LOST):
        return False
    ending = container.ending
    return plan_for(state=container.state, monitored=False, ending=ending) != "leave"


@dataclass(slots=True)
class Supervisor:
    """The agent's part in the lives of containers. ``recovered`` is set when it may go to work."""

    work: Work
    helper: Helper
    recovered: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Recover, and then look again and again."""
        await self._ask(self.helper.recover)
        self.recovered.set()
        patience = Patience()
        known: set[str] = set()
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                census = await self.work.census()
            except OSError as error:
                # Too many open files, say. That passes, and containers need us afterwards.
                log.warning("cannot look at the containers: %s", one_line(error))
                continue
            known = _log_new(census.problems, known)
            chosen = patience.choose(census.found, asyncio.get_running_loop().time())
            if chosen:
                await self._ask(lambda names=tuple(chosen): self.helper.tend(names))  # type: ignore[misc]

    async def _ask(self, question: Callable[[], int]) -> None:
        try:
            report = json.loads(await self.work.ask(question) or b"{}")
        except HarnessError as error:
            log.warning("%s", error)
            return
        for line in lines_of(report):
            log.info("%s", line)
        for problem in report.get("problems", ()):
            log.warning("%s", problem)


def lines_of(report: dict[str, Any]) -> list[str]:
    """Return what a recovery did, a line for each container."""
    return [f"{name} {verb}" for key, verb in _VERBS.items() for name in report.get(key, ())]


def _log_new(problems: Iterable[str], known: set[str]) -> set[str]:
    current = set(problems)
    for problem in sorted(current - known):
        log.warning("%s", problem)
    return current
