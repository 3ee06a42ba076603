"""Which containers an agent helps, and how often it tries."""

import asyncio
import json
from collections.abc import Callable, Sequence

import pytest

from mesos_cni_port_mapper.harness.agent import supervision
from mesos_cni_port_mapper.harness.agent.census import Census
from mesos_cni_port_mapper.harness.agent.supervision import (
    Patience,
    Supervisor,
    lines_of,
    needs_help,
)
from mesos_cni_port_mapper.harness.containers import LOST, STARTING, STOPPING, Ending
from tests.unit.agent.containers import container, ended

UNWATCHED = container("a", monitored=False)


def test_who_lost_a_monitor_needs_help() -> None:
    assert needs_help(UNWATCHED)
    assert needs_help(container(state=LOST, monitored=False))
    assert not needs_help(container())
    assert not needs_help(ended())
    for state in (STARTING, STOPPING):
        assert not needs_help(container(state=state))
        # Whoever makes it is not its monitor yet.
        assert not needs_help(container(state=state, monitored=False))


def test_who_could_not_be_detached_needs_help_once_its_monitor_has_given_up() -> None:
    ending = Ending(status=0, finished=102.0, detached=False, error="no")

    assert needs_help(ended(ending=ending))
    assert not needs_help(ended(ending=ending, monitored=True))


def test_who_cannot_be_helped_is_tried_less_and_less_often() -> None:
    patience = Patience()
    tried = [second for second in range(200) if patience.choose([UNWATCHED], second)]

    assert tried == [0, 1, 3, 7, 15, 31, 63, 123, 183]


def test_who_was_helped_is_helped_at_once_the_next_time() -> None:
    patience = Patience()
    patience.choose([UNWATCHED], 0)
    patience.choose([UNWATCHED], 1)

    assert patience.choose([UNWATCHED], 2) == []
    assert patience.choose([container("a")], 2) == []
    assert patience.choose([UNWATCHED], 2) == ["a"]


def test_a_report_has_a_line_for_each_container() -> None:
    report = {"monitored": ["a"], "finished": ["b"], "detached": ["c"], "problems": ["x"]}

    assert lines_of(report) == [
        "a is monitored again",
        "b is detached",
        "c was known to nobody and is detached",
    ]


class Helper:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def recover(self) -> int:
        self.asked.append("everything")
        return 0

    def tend(self, container_ids: Sequence[str]) -> int:
        self.asked.append(list(container_ids))
        return 0


class Work:
    """Cannot look the first time."""

    def __init__(self, seen: asyncio.Event) -> None:
        self._seen = seen
        self._looks = 0

    async def census(self) -> Census:
        self._looks += 1
        if self._looks == 1:
            raise OSError(24, "Too many open files")
        return Census(moment=1.0, found=[UNWATCHED], problems=["bad"], counters={})

    async def ask(self, work: Callable[[], int]) -> bytes:
        work()
        if self._looks > 1:
            self._seen.set()
        return json.dumps({"monitored": ["a"], "problems": ["x"]}).encode()


def test_who_cannot_look_now_looks_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervision, "INTERVAL", 0.01)
    helper = Helper()

    async def supervise() -> bool:
        seen = asyncio.Event()
        supervisor = Supervisor(Work(seen), helper)
        task = asyncio.create_task(supervisor.run())
        await asyncio.wait_for(seen.wait(), 5)
        task.cancel()
        return supervisor.recovered.is_set()

    assert asyncio.run(supervise())
    assert helper.asked == ["everything", ["a"]]
    assert "Too many open files" in caplog.text
