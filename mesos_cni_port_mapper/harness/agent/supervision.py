"""Put in order what was left at the start, then help containers that nobody else looks after.

That are those whose monitor was killed, and those that have ended and could not be detached.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Set
from dataclasses import dataclass, field
from typing import Any, Protocol

from mesos_cni_port_mapper.harness.agent.census import Census
from mesos_cni_port_mapper.harness.containers import EXITED, LOST, RUNNING, Container
from mesos_cni_port_mapper.harness.errors import HarnessError, one_line
from mesos_cni_port_mapper.harness.recovery import plan_for

log = logging.getLogger(__name__)

INTERVAL = 1.0
AT_ONCE = 8
"""Helpers at a time, each a process: for containers that run, and as many for those that do not."""

_LONGEST_DELAY = 60.0
_LOOK_AT_CONFIGURATIONS = 5.0
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

    def tend(self, container_id: str) -> int:
        """Start to help a container."""
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

    def choose(
        self, found: Iterable[Container], now: float, helped: Set[str] = frozenset()
    ) -> list[Container]:
        """Return the containers to help now; ``helped`` are those that somebody helps already."""
        needy = {each.container_id: each for each in found if needs_help(each)}
        for healthy in self._due.keys() - needy.keys() - helped:
            del self._due[healthy], self._delays[healthy]
        chosen = [name for name in needy.keys() - helped if self._due.get(name, now) <= now]
        for name in chosen:
            self._delays[name] = min(self._delays.get(name, INTERVAL / 2) * 2, _LONGEST_DELAY)
            self.postpone(name, now)
        return [needy[name] for name in sorted(chosen)]

    def postpone(self, container_id: str, now: float) -> None:
        """Have a container that was just tried wait: trying may have taken longer than waiting."""
        self._due[container_id] = now + self._delays[container_id]


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
    _patience: Patience = field(default_factory=Patience)
    _helped: set[str] = field(default_factory=set)
    _known: set[str] = field(default_factory=set)
    _bug: str = ""
    # Apart, because a detach takes as long as its plugins do, and a monitor is there in no time.
    _for_running: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    _for_others: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def run(self) -> None:
        """Recover, and look again and again: not only afterwards, as that too waits for plugins."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._recover())
            while True:
                await asyncio.sleep(INTERVAL)
                for container in await self._choose():
                    self._helped.add(container.container_id)
                    tasks.create_task(self._help(container))

    async def _recover(self) -> None:
        await self._ask(self.helper.recover)
        self.recovered.set()

    async def _choose(self) -> list[Container]:
        """Look at the containers and return those to help now."""
        try:
            census = await self.work.census()
        except (HarnessError, OSError) as error:
            # Too many open files, say. That passes, and containers need us afterwards.
            log.warning("cannot look at the containers: %s", one_line(error))
            return []
        except Exception as bug:
            # It is seen each second, and said once.
            if repr(bug) != self._bug:
                log.exception("cannot look at the containers")
            self._bug = repr(bug)
            return []
        self._bug = ""
        self._known = _log_new(census.problems, self._known)
        return self._patience.choose(census.found, _now(), self._helped)

    async def _help(self, container: Container) -> None:
        name = container.container_id
        room = self._for_running if container.state == RUNNING else self._for_others
        try:
            async with room:
                await self._ask(lambda: self.helper.tend(name))
        finally:
            self._helped.remove(name)
            self._patience.postpone(name, _now())

    async def _ask(self, question: Callable[[], int]) -> None:
        try:
            report = json.loads(await self.work.ask(question) or b"{}")
        except (HarnessError, OSError) as error:
            log.warning("%s", one_line(error))
            return
        except Exception:
            # Whatever became of one question, others will be asked.
            log.exception("cannot help")
            return
        for line in lines_of(report):
            log.info("%s", line)
        for problem in report.get("problems", ()):
            log.warning("%s", problem)


async def watch_configurations(
    read: Callable[[Callable[[], list[str]]], Awaitable[list[str]]],
    problems: Callable[[], list[str]],
) -> None:
    """Log what is wrong with network configurations, at the start and whenever that changes.

    Who launches on a network that is fine hears nothing of the files that are not. ``read`` calls
    what it is given without keeping the event loop.
    """
    known: set[str] = set()
    while True:
        known = _log_new(await read(problems), known)
        await asyncio.sleep(_LOOK_AT_CONFIGURATIONS)


def lines_of(report: dict[str, Any]) -> list[str]:
    """Return what a recovery did, a line for each container."""
    return [f"{name} {verb}" for key, verb in _VERBS.items() for name in report.get(key, ())]


def _now() -> float:
    return asyncio.get_running_loop().time()


def _log_new(problems: Iterable[str], known: set[str]) -> set[str]:
    current = set(problems)
    for problem in sorted(current - known):
        log.warning("%s", problem)
    return current
