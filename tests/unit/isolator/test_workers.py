"""Plugins served by real processes that stay: who answers, who does not, and what is left."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from mesos_cni_port_mapper.isolator import workers as module
from mesos_cni_port_mapper.isolator.errors import IsolatorError
from mesos_cni_port_mapper.isolator.plugins import Invocation, run
from mesos_cni_port_mapper.isolator.workers import Workers
from tests.support.waiting import eventually, members_of, runs
from tests.support.worker_parent import Parent

Told = dict[str, Any]
Call = Callable[..., Coroutine[None, None, Told]]


@pytest.fixture
def parent() -> Iterator[Parent]:
    parent = Parent()
    yield parent
    parent.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    program = tmp_path / "told"
    program.write_text('#!/bin/sh\necho \'{"told": {"program": true}}\'\n')
    program.chmod(0o755)
    return tmp_path


@pytest.fixture
def call(parent: Parent, directory: Path) -> Iterator[Call]:
    workers = Workers(directory, parent.channel)

    async def ask(*steps: str, seconds: float = 10, note: Path | None = None) -> Told:
        netconf = {"cniVersion": "1.0.0", "name": "net", "type": "told", "steps": steps}
        if note:
            netconf["note"] = str(note)
        plugin = Invocation(f"{directory}/told", "ADD", "web", "net", "eth0", "/a", Path("/ns"))
        answer = await run(plugin, json.dumps(netconf).encode(), seconds, workers)
        told: Told = json.loads(answer)["told"]
        return told

    yield ask

    # They would have ended with this process, as those of a keeper do.
    for worker in workers._idle:
        worker.close()


async def failure_of(work: Awaitable[object]) -> str:
    with pytest.raises(IsolatorError) as failure:
        await work
    return str(failure.value)


def test_one_process_answers_one_request_after_another(call: Call) -> None:
    async def twice() -> list[Told]:
        return [await call("complain"), await call("ignore signals"), await call()]

    first, second, third = asyncio.run(twice())

    assert first["name"] == "told"
    assert first["environment"] == {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": "web",
        "CNI_IFNAME": "eth0",
        "CNI_NETNS": "/ns",
        "CNI_PATH": "/a",
        "PATH": os.environ["PATH"],
    }
    # Nor does what one has done to its signals reach the next.
    assert first == second == third
    assert (third["blocked"], third["terminates"]) == ([], True)


def test_requests_at_the_same_time_have_processes_of_their_own(call: Call) -> None:
    async def at_once() -> list[Told]:
        return list(await asyncio.gather(*(call() for _ in range(8))))

    assert len({told["pid"] for told in asyncio.run(at_once())}) == 8


@pytest.mark.parametrize("step", ["fail", "keep a file"])
def test_whoever_failed_or_kept_something_answers_no_more(call: Call, step: str) -> None:
    async def calls() -> tuple[int, int]:
        first = (await call())["pid"]
        try:
            assert (await call(step))["pid"] == first
        except IsolatorError as failure:
            assert "(exit status 1)" in str(failure)
            assert "as it was told" in str(failure)
        assert eventually(lambda: runs(first), False) is False
        return first, (await call())["pid"]

    first, second = asyncio.run(calls())

    assert first != second


def test_whoever_dies_fails_one_request(call: Call) -> None:
    async def calls() -> tuple[str, Told]:
        return await failure_of(call("complain", "die")), await call()

    failure, told = asyncio.run(calls())

    assert failure.startswith("plugin told on ADD of network 'net' for container web failed")
    assert "(its process is gone): noise" in failure
    assert told["name"] == "told"


def test_whoever_is_late_is_killed_with_its_children(call: Call, tmp_path: Path) -> None:
    note = tmp_path / "pid"

    async def calls() -> tuple[str, Told]:
        return await failure_of(call("spawn", "hang", seconds=0.5, note=note)), await call()

    failure, told = asyncio.run(calls())

    pid = int(note.read_text())
    assert "did not finish in 0.5 s and was killed" in failure
    assert told["pid"] != pid
    assert eventually(lambda: members_of(pid), []) == []


def test_nobody_goes_on_for_a_caller_who_has_given_up(call: Call, tmp_path: Path) -> None:
    note = tmp_path / "pid"

    async def cancel() -> None:
        task = asyncio.create_task(call("hang", note=note))
        while not (note.exists() and note.read_text()):
            await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancel())

    pid = int(note.read_text())
    assert eventually(lambda: runs(pid), False) is False


def test_nobody_goes_on_for_a_caller_who_was_killed(
    parent: Parent, call: Call, tmp_path: Path
) -> None:
    note = tmp_path / "pid"
    caller = os.fork()
    if caller == 0:
        try:
            asyncio.run(call("spawn", "hang", note=note))
        finally:
            os._exit(1)
    assert eventually(lambda: note.exists() and note.read_text() != "", True) is True

    os.kill(caller, signal.SIGKILL)
    os.waitpid(caller, 0)

    pid = int(note.read_text())
    assert eventually(lambda: members_of(pid), []) == []
    assert runs(parent.pid)


def test_one_that_was_killed_while_it_had_nothing_to_do_is_not_missed(call: Call) -> None:
    async def calls() -> tuple[Told, Told]:
        first = await call()
        os.kill(first["pid"], signal.SIGKILL)
        assert eventually(lambda: runs(first["pid"]), False) is False
        return first, await call()

    first, second = asyncio.run(calls())

    assert second["name"] == "told"
    assert first["pid"] != second["pid"]


def test_whoever_has_nothing_to_do_leaves(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_IDLE", 0.05)

    async def calls() -> tuple[Told, Told]:
        first = await call()
        second = await call()
        await asyncio.sleep(0.2)
        return first, second

    first, second = asyncio.run(calls())

    assert first["pid"] == second["pid"]
    assert not runs(first["pid"])


def test_without_a_parent_a_plugin_is_a_program(parent: Parent, call: Call) -> None:
    async def beside_one_that_lives_on() -> Told:
        task = asyncio.create_task(call("nap"))
        await asyncio.sleep(0.1)
        parent.kill()
        told = await call(seconds=1)
        assert "pid" in await task
        return told

    assert asyncio.run(beside_one_that_lives_on()) == {"program": True}


def test_a_request_that_nobody_has_read_goes_to_a_program(parent: Parent, call: Call) -> None:
    os.kill(parent.pid, signal.SIGSTOP)

    async def kill_it_meanwhile() -> Told:
        task = asyncio.create_task(call())
        await asyncio.sleep(0.1)
        parent.kill()
        return await task

    assert asyncio.run(kill_it_meanwhile()) == {"program": True}


def test_a_parent_that_is_stopped_keeps_nobody_waiting_for_ever(
    parent: Parent, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_KILL_SECONDS", 0.05)
    note = tmp_path / "pid"
    os.kill(parent.pid, signal.SIGSTOP)

    async def late() -> list[str]:
        calls = (failure_of(call(seconds=0.2, note=note)) for _ in range(3))
        return list(await asyncio.gather(*calls))

    assert all("did not finish in 0.2 s" in failure for failure in asyncio.run(late()))
    os.kill(parent.pid, signal.SIGCONT)
    assert asyncio.run(call())["name"] == "told"
    # What was asked before, nobody wants any more.
    assert not note.exists()


def test_a_parent_that_takes_no_more_is_not_waited_for(parent: Parent, call: Call) -> None:
    parent.channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    os.kill(parent.pid, signal.SIGSTOP)

    async def many() -> list[Told]:
        tasks = [asyncio.create_task(call()) for _ in range(30)]
        while not any(task.done() for task in tasks):
            await asyncio.sleep(0.01)
        os.kill(parent.pid, signal.SIGCONT)
        return list(await asyncio.gather(*tasks))

    answers = asyncio.run(many())

    assert {"program" in told for told in answers} == {True, False}


def test_whoever_has_ended_is_collected(parent: Parent, call: Call) -> None:
    async def calls() -> None:
        await failure_of(call("fail"))
        await failure_of(call("die"))

    asyncio.run(calls())

    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    assert eventually(children.read_text, "") == ""


def test_whoever_is_asked_again_is_not_dismissed_meanwhile(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_IDLE", 0.1)
    amiss: list[object] = []

    async def calls() -> tuple[Told, Told]:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: amiss.append(context))
        return await call(), await call("nap")

    first, second = asyncio.run(calls())

    assert first["pid"] == second["pid"]
    assert amiss == []


def test_a_program_of_another_directory_is_run(parent: Parent, directory: Path) -> None:
    workers = Workers(directory, parent.channel)

    assert workers.know(f"{directory}/told")
    assert not workers.know("/opt/cni/bin/told")


def test_no_descriptor_is_left(call: Call) -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async def many() -> tuple[int, int]:
        await call()
        before = count()
        for step in ((), ("fail",), ("die",), ("keep a file",), ()):
            try:
                await call(*step)
            except IsolatorError:
                continue
        return before, count()

    before, after = asyncio.run(many())

    assert before == after
