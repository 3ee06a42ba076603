import asyncio
import contextlib
import time

from mesos_cni_port_mapper.isolator.concurrency import Turns


class Work:
    """Work of some length that counts how much of it is done at once."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._now = 0
        self.most = 0
        self.begun = 0

    async def do(self, seconds: float, *, fail: bool = False) -> None:
        async with self._turns.take():
            self.begun += 1
            self._now += 1
            self.most = max(self.most, self._now)
            await asyncio.sleep(seconds)
            self._now -= 1
            if fail:
                raise OSError


def test_a_few_at_a_time_take_their_turns_and_all_come_to_theirs() -> None:
    async def run() -> Work:
        work = Work(Turns(3, 60))
        await asyncio.gather(
            *(work.do(0.01, fail=number % 2 == 0) for number in range(20)), return_exceptions=True
        )
        return work

    work = asyncio.run(asyncio.wait_for(run(), 10))
    assert (work.most, work.begun) == (3, 20)


def test_what_hangs_keeps_nobody_waiting_for_longer_than_a_turn() -> None:
    async def run() -> float:
        work = Work(Turns(2, 0.1))
        hanging = [asyncio.ensure_future(work.do(60)) for _ in range(2)]
        await asyncio.sleep(0)
        began = time.monotonic()
        await work.do(0)
        waited = time.monotonic() - began
        for each in hanging:
            each.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        # Turns that were over are not given back a second time.
        after = Work(work._turns)
        await asyncio.gather(*(after.do(0.01) for _ in range(8)))
        assert after.most == 2
        return waited

    assert 0.09 <= asyncio.run(asyncio.wait_for(run(), 10)) < 5


def test_who_gives_up_waiting_takes_no_turn_from_others() -> None:
    async def run() -> int:
        work = Work(Turns(1, 60))
        first = asyncio.ensure_future(work.do(0.05))
        await asyncio.sleep(0)
        waiting = asyncio.ensure_future(work.do(0))
        await asyncio.sleep(0)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        await first
        await work.do(0)
        return work.begun

    assert asyncio.run(asyncio.wait_for(run(), 10)) == 2
