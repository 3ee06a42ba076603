"""The endpoints' manners: limits, and no word of ours that is not for callers."""

import asyncio
import contextlib
import gzip
import io
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from mesos_cni_port_mapper.harness.agent import http
from mesos_cni_port_mapper.harness.agent.census import Census
from mesos_cni_port_mapper.harness.agent.http import LARGEST_BODY, Door, Endpoints
from mesos_cni_port_mapper.harness.agent.metrics import Metrics
from mesos_cni_port_mapper.harness.agent.operations import Operations
from mesos_cni_port_mapper.harness.containers import Ending
from mesos_cni_port_mapper.harness.spec import Spec
from tests.unit.agent.containers import AGENT, container

TOKEN = b"0123456789abcdef"
JSON = {"Content-Type": "application/json"}


class Broken(Operations):
    """Cannot even look."""

    async def census(self, *, counting: bool = False) -> Census:
        raise RuntimeError("a secret of ours")


class Known(Operations):
    """Knows one container."""

    async def census(self, *, counting: bool = False) -> Census:
        return Census(moment=1.0, found=[container()], problems=[], counters={})


class Patient(Known):
    """Is waited for without end, and takes a while to launch, kill and remove."""

    waiting = 0
    done: list[str]

    async def wait(self, container_id: str) -> Ending:
        Patient.waiting += 1
        try:
            await asyncio.Event().wait()
        finally:
            Patient.waiting -= 1
        raise AssertionError

    async def launch(self, spec: Spec) -> bool:
        await self._take_a_while("launched")
        return True

    async def kill(self, container_id: str, number: int) -> None:
        await self._take_a_while("killed")

    async def remove(self, container_id: str) -> None:
        await self._take_a_while("removed")

    async def _take_a_while(self, what: str) -> None:
        await asyncio.sleep(0.2)
        self.done.append(what)


Work = Callable[[aiohttp.ClientSession], Coroutine[Any, Any, Any]]


def ask(
    path: Path,
    operations: type[Operations],
    work: Work,
    door: Door | None = None,
    *,
    is_recovered: bool = False,
) -> Any:
    """Serve at a Unix socket for as long as some work takes, and return what came of it."""

    async def serve() -> Any:
        metrics = Metrics()
        recovered = asyncio.Event()
        if is_recovered:
            recovered.set()
        endpoints = Endpoints(
            info=AGENT,
            operations=operations("/nowhere", None, metrics),  # type: ignore[arg-type]
            metrics=metrics,
            door=door or Door(token=None, ip=None),
            recovered=recovered,
        )
        runner = endpoints.runner(grace=0.1)
        await runner.setup()
        socket = str(path / "socket")
        await web.UnixSite(runner, socket).start()
        try:
            async with aiohttp.ClientSession(
                "http://localhost", connector=aiohttp.UnixConnector(socket)
            ) as session:
                return await work(session)
        finally:
            await runner.cleanup()

    return asyncio.run(serve())


async def said(response: aiohttp.ClientResponse) -> tuple[int, str]:
    return response.status, await response.text()


def test_a_bug_is_in_the_log_and_not_in_the_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(session: aiohttp.ClientSession) -> object:
        return [await said(await session.get(path)) for path in ("/state", "/metrics")]

    with caplog.at_level(logging.ERROR):
        answers = ask(tmp_path, Broken, work)

    assert answers == [(500, "internal error; the agent's log has more\n")] * 2
    assert "a secret of ours" in caplog.text


def test_a_body_has_a_largest_size(tmp_path: Path) -> None:
    async def work(session: aiohttp.ClientSession) -> object:
        largest = b" " * (LARGEST_BODY - 2) + b"{}"
        return [
            await said(await session.post("/api/v1", data=io.BytesIO(body), headers=JSON))
            for body in (largest, b" " + largest)
        ]

    fits, too_large = ask(tmp_path, Known, work)

    assert fits == (400, "type: is missing; it must be a string\n")
    assert (too_large[0], too_large[1].count("\n")) == (413, 1)


def test_a_body_has_a_longest_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "SLOWEST_BODY", 0.2)

    async def trickle() -> Any:
        yield b"{"
        await asyncio.sleep(1)
        yield b"}"

    async def work(session: aiohttp.ClientSession) -> object:
        return await said(await session.post("/api/v1", data=trickle(), headers=JSON))

    assert ask(tmp_path, Known, work) == (408, "the body did not come within 0.2 seconds\n")


def test_a_body_is_said_to_be_json(tmp_path: Path) -> None:
    async def work(session: aiohttp.ClientSession) -> object:
        body = b'{"type": "GET_STATE"}'
        kinds = ("text/plain", "application/x-protobuf", "application/json; charset=utf-8")
        return [
            (await session.post("/api/v1", data=body, headers={"Content-Type": kind})).status
            for kind in kinds
        ]

    assert ask(tmp_path, Known, work) == [415, 415, 200]


def test_a_body_is_encoded_as_it_is_said_to_be(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    body = b'{"type": "GET_STATE"}'
    headers = {**JSON, "Content-Encoding": "gzip"}

    async def work(session: aiohttp.ClientSession) -> object:
        good = await session.post("/api/v1", data=gzip.compress(body), headers=headers)
        bad = await session.post("/api/v1", data=body, headers=headers)
        elsewhere = await session.post("/nowhere", data=body, headers=headers)
        return good.status, await said(bad), elsewhere.status

    refusal = (400, "the body is not encoded as the headers say\n")
    assert ask(tmp_path, Known, work) == (200, refusal, 404)
    # It is the caller's business, and there may be many of them.
    assert [record for record in caplog.records if record.exc_info] == []


async def abandon(session: aiohttp.ClientSession, kind: str, **more: object) -> None:
    """Make a call, and go as soon as it must have been heard."""
    document = {"type": kind, kind.lower(): {"container_id": {"value": "a"}, **more}}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            await session.post("/api/v1", json=document)


def test_waiting_ends_with_who_waits(tmp_path: Path) -> None:
    async def work(session: aiohttp.ClientSession) -> object:
        seen = []
        for _ in range(3):
            waiter = asyncio.create_task(abandon(session, "WAIT_CONTAINER"))
            await asyncio.sleep(0.05)
            seen.append(Patient.waiting)
            await waiter
            await asyncio.sleep(0.05)
            seen.append(Patient.waiting)
        return seen

    assert ask(tmp_path, Patient, work) == [1, 0] * 3


def test_what_was_asked_for_is_done_though_nobody_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Patient, "done", [], raising=False)

    async def work(session: aiohttp.ClientSession) -> object:
        await abandon(session, "LAUNCH_CONTAINER", command={"value": "true"})
        await abandon(session, "KILL_CONTAINER")
        await abandon(session, "REMOVE_CONTAINER")
        before = list(Patient.done)
        await asyncio.sleep(0.3)
        return before, Patient.done

    before, after = ask(tmp_path, Patient, work, is_recovered=True)

    assert "removed" not in before
    assert after == ["launched", "killed", "removed"]


def test_other_paths_and_methods_are_refused_in_a_line(tmp_path: Path) -> None:
    async def work(session: aiohttp.ClientSession) -> object:
        missing = await session.get("/nowhere")
        wrong = await session.put("/state")
        return await said(missing), await said(wrong), wrong.headers["Allow"]

    assert ask(tmp_path, Known, work) == (
        (404, "Not Found\n"),
        (405, "Method Not Allowed\n"),
        "GET,HEAD",
    )


def test_nothing_is_launched_before_the_recovery_is_over(tmp_path: Path) -> None:
    launch = b"""{"type": "LAUNCH_CONTAINER", "launch_container":
        {"container_id": {"value": "a"}, "command": {"value": "true"}}}"""

    async def work(session: aiohttp.ClientSession) -> object:
        answer = await session.post("/api/v1", data=launch, headers=JSON)
        return (await session.get("/health")).status, answer.status

    assert ask(tmp_path, Known, work) == (503, 503)


def test_a_token_is_asked_for_before_anything_else(tmp_path: Path) -> None:
    async def work(session: aiohttp.ClientSession) -> object:
        good = {"Authorization": f"Bearer {TOKEN.decode()}"}
        paths = ("/state", "/containers", "/metrics", "/nowhere", "/slave(1)/state")
        refused = [(await session.get(path)).status for path in paths]
        posted = await session.post("/api/v1", data=b"{", headers=JSON)
        return {*refused, posted.status}, (await session.get("/state", headers=good)).status

    door = Door(token=TOKEN, ip="192.0.2.1")
    assert ask(tmp_path, Known, work, door) == ({401}, 200)


def test_answers_do_not_say_what_they_are_made_with(tmp_path: Path) -> None:
    async def work(session: aiohttp.ClientSession) -> object:
        return {(await session.get(path)).headers["Server"] for path in ("/state", "/nowhere")}

    assert ask(tmp_path, Known, work) == {"mesos-cni"}
