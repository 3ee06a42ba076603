"""What becomes of an operation whose caller has gone."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from mesos_cni_port_mapper.harness.agent import operations
from mesos_cni_port_mapper.harness.agent.operations import Operations
from mesos_cni_port_mapper.harness.containers import Glance
from tests.unit.agent.containers import container


def test_a_wait_that_is_given_up_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "containers" / "web").mkdir(parents=True)
    ours, theirs = os.pipe()
    looking, given_up = threading.Event(), threading.Event()

    def watch(_: object) -> tuple[Glance, int]:
        looking.set()
        given_up.wait(5)
        return container("web"), ours

    async def wait_and_give_up() -> None:
        subject = Operations(str(tmp_path), None, None)  # type: ignore[arg-type]
        waiting = asyncio.create_task(subject.wait("web"))
        await asyncio.to_thread(looking.wait, 5)
        waiting.cancel()
        await asyncio.wait([waiting])
        given_up.set()
        # Behind what the reader was about.
        await subject.read(lambda: None)
        await asyncio.sleep(0.05)
        subject.close()

    monkeypatch.setattr(operations, "_watch", watch)
    asyncio.run(wait_and_give_up())

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(ours)
    os.close(theirs)
