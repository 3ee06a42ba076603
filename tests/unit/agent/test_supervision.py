"""Which containers an agent helps, and how often it tries."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence

import pytest

from mesos_cni_port_mapper.harness.agent import supervision
from mesos_cni_port_mapper.harness.agent.census import Census
from mesos_cni_port_mapper.harness.agent.supervision import (
    AT_ONCE,
    Patience,
    Supervisor,
    lines_of,
    needs_help,
)
from mesos_cni_port_mapper.harness.containers import LOST, STARTING, STOPPING, Container, Ending
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
    assert patience.choose([UNWATCHED], 2) == [UNWATCHED]


def test_who_is_being_helped_is_neither_helped_again_nor_taken_for_healthy() -> None:
    patience = Patience()
    patience.choose([UNWATCHED], 0)
    patience.choose([UNWATCHED], 1)

    assert patience.choose([UNWATCHED], 5, {"a"}) == []
    # Whoever helps it has its lock, and looks like its monitor.
    assert patience.choose([container("a")], 6, {"a"}) == []
    patience.postpone("a", 6)
    assert patience.choose([UNWATCHED], 7) == []
    assert patience.choose([UNWATCHED], 8) == [UNWATCHED]


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
        self.asked: list[str] = []

    def recover(self) -> int:
        self.asked.append("everything")
        return 0

    def tend(self, container_id: str) -> int:
        self.asked.append(container_id)
        return 0


class Work:
    """Sees what it is told to see, and waits for ever for those whose plugins hang."""

    def __init__(
        self, helper: Helper, seen: Sequence[Container], hanging: Sequence[str] = ()
    ) -> None:
        self._helper = helper
        self._seen = seen
        self._hanging = hanging
        self.failures: list[Exception] = []

    async def census(self) -> Census:
        if self.failures:
            raise self.failures.pop(0)
        return Census(moment=1.0, found=self._seen, problems=["bad"], counters={})

    async def ask(self, work: Callable[[], int]) -> bytes:
        work()
        if self._helper.asked[-1] in self._hanging:
            await asyncio.Event().wait()
        return json.dumps({"monitored": ["a"], "problems": ["x"]}).encode()


def supervise(work: Work, helper: Helper, enough: Callable[[], bool]) -> Supervisor:
    """Have somebody supervise for as long as it takes, and a little longer."""

    async def look_on() -> Supervisor:
        supervisor = Supervisor(work, helper)
        task = asyncio.create_task(supervisor.run())
        async with asyncio.timeout(5):
            while not enough() and not task.done():
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        assert not task.done()
        task.cancel()
        return supervisor

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supervision, "INTERVAL", 0.01)
        return asyncio.run(look_on())


def test_who_cannot_look_now_looks_again(caplog: pytest.LogCaptureFixture) -> None:
    helper = Helper()
    work = Work(helper, [UNWATCHED])
    work.failures.append(OSError(24, "Too many open files"))

    supervisor = supervise(work, helper, lambda: "a" in helper.asked)

    assert supervisor.recovered.is_set()
    assert helper.asked[:2] == ["everything", "a"]
    assert "Too many open files" in caplog.text


def test_a_bug_in_looking_is_logged_once_and_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    helper = Helper()
    work = Work(helper, [UNWATCHED])
    work.failures += [TypeError("a bug of ours")] * 3

    supervise(work, helper, lambda: "a" in helper.asked)

    (record,) = [each for each in caplog.records if each.exc_info]
    assert "a bug of ours" in str(record.exc_info)


def test_a_helper_that_stammers_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Stammering(Work):
        async def ask(self, work: Callable[[], int]) -> bytes:
            await super().ask(work)
            return b'{"monit'

    helper = Helper()
    supervisor = supervise(
        Stammering(helper, [UNWATCHED]), helper, lambda: helper.asked.count("a") > 1
    )

    assert supervisor.recovered.is_set()
    assert "cannot help" in caplog.text


def test_who_takes_long_to_help_keeps_nobody_waiting_and_is_not_helped_twice() -> None:
    helper = Helper()
    lost = container("lost", LOST, monitored=False)
    work = Work(helper, [lost, UNWATCHED], hanging=["lost"])

    supervise(work, helper, lambda: helper.asked.count("a") > 2)

    assert helper.asked.count("lost") == 1


def test_plugins_that_hang_are_not_waited_for_by_all_at_once_nor_by_who_needs_none() -> None:
    helper = Helper()
    names = [f"lost{number}" for number in range(3 * AT_ONCE)]
    lost = [container(name, LOST, monitored=False) for name in names]
    work = Work(helper, [*lost, container("running", monitored=False)], hanging=names)

    supervise(work, helper, lambda: helper.asked.count("running") > 2)

    assert len([name for name in helper.asked if name in names]) == AT_ONCE


def test_who_takes_long_to_help_is_left_alone_for_as_long_as_anybody_else() -> None:
    ends: list[float] = []
    pauses: list[float] = []

    class Slow(Work):
        async def ask(self, work: Callable[[], int]) -> bytes:
            if helper.asked[-1:] == ["a"]:
                pauses.append(time.monotonic() - ends[-1])
            await asyncio.sleep(0.1)
            ends.append(time.monotonic())
            return await super().ask(work)

    helper = Helper()
    supervise(Slow(helper, [UNWATCHED]), helper, lambda: len(pauses) > 3)

    assert pauses[3] > 0.07


def test_a_recovery_that_takes_long_keeps_nobody_from_help() -> None:
    helper = Helper()
    work = Work(helper, [UNWATCHED], hanging=["everything"])

    supervisor = supervise(work, helper, lambda: "a" in helper.asked)

    assert not supervisor.recovered.is_set()


def test_what_is_wrong_with_configurations_is_said_once_and_when_it_changes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervision, "_LOOK_AT_CONFIGURATIONS", 0)
    found = [["a: bad"], ["a: bad"], ["a: bad", "b: worse"], [], ["a: bad"]]

    async def read(problems: Callable[[], list[str]]) -> list[str]:
        return problems()

    async def watch() -> None:
        await supervision.watch_configurations(read, lambda: found.pop(0))

    with pytest.raises(IndexError):
        asyncio.run(watch())
    assert [record.getMessage() for record in caplog.records] == ["a: bad", "b: worse", "a: bad"]
