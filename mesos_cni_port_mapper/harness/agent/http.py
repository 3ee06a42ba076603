"""The agent's endpoints: requests become values, values become documents, errors become lines."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from mesos_cni_port_mapper.harness.agent import calls
from mesos_cni_port_mapper.harness.agent.access import is_authorised, is_own_host
from mesos_cni_port_mapper.harness.agent.census import Census
from mesos_cni_port_mapper.harness.agent.connections import Connections
from mesos_cni_port_mapper.harness.agent.errors import CallError
from mesos_cni_port_mapper.harness.agent.listing import encode_containers, encode_get_containers
from mesos_cni_port_mapper.harness.agent.metrics import CONTENT_TYPE, Metrics
from mesos_cni_port_mapper.harness.agent.operations import Operations
from mesos_cni_port_mapper.harness.agent.state import AgentInfo, encode_get_state, encode_state
from mesos_cni_port_mapper.harness.agent.tasks import wait_status
from mesos_cni_port_mapper.harness.containers import Ending
from mesos_cni_port_mapper.harness.errors import HarnessError, one_line, visible

log = logging.getLogger(__name__)
_aiohttp_log = logging.getLogger(f"{__name__}.aiohttp")

LARGEST_BODY = 1 << 20
SLOWEST_BODY = 30.0
USAGE = 2
"""The exit status of a ``UsageError``."""

_PREFIXES = ("", "/slave(1)")
"""A Mesos agent has everything under its process' name too, and some tools ask there."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Whom to let in: those with the token, or where there is none those of this host.

    ``ip`` is where we listen, or nothing at a Unix socket, whose mode says who may.
    """

    token: bytes | None
    ip: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Answers requests about the containers of an agent."""

    info: AgentInfo
    operations: Operations
    metrics: Metrics
    door: Door
    recovered: asyncio.Event
    connections: Connections[RequestHandler] = field(default_factory=Connections)

    def runner(self, grace: float) -> web.AppRunner:
        """Return what serves the application, and has a while to finish when it is to end."""
        return web.AppRunner(
            self.application(),
            access_log=None,
            logger=_aiohttp_log,
            shutdown_timeout=grace,
            # When a caller has gone; ``_call`` sees to what must not be left half done.
            handler_cancellation=True,
        )

    def application(self) -> web.Application:
        """Return the application that aiohttp serves."""
        application = web.Application(
            client_max_size=LARGEST_BODY, middlewares=[self._answer_errors, self._check_caller]
        )
        application.on_response_prepare.append(_sign)
        for prefix in _PREFIXES:
            application.router.add_get(f"{prefix}/state", self._state)
            application.router.add_get(f"{prefix}/state.json", self._state)
            application.router.add_get(f"{prefix}/containers", self._containers)
            application.router.add_get(f"{prefix}/health", self._health)
            application.router.add_post(f"{prefix}/api/v1", self._call)
        application.router.add_get("/metrics", self._metrics)
        return application

    async def _state(self, _request: web.Request) -> web.Response:
        return web.json_response(encode_state(self.info, (await self._census()).found))

    async def _containers(self, request: web.Request) -> web.Response:
        census = await self._census(counting=True)
        nested = request.query.get("show_nested") == "true"
        listed = encode_containers(census.found, census.counters, census.moment, nested=nested)
        wanted = request.query.get("container_id")
        if wanted is not None:
            listed = [each for each in listed if each["container_id"] == wanted]
        return web.json_response(listed)

    async def _metrics(self, _request: web.Request) -> web.Response:
        census = await self._census(counting=True)
        return web.Response(
            body=self.metrics.render(census), headers={"Content-Type": CONTENT_TYPE}
        )

    async def _health(self, _request: web.Request) -> web.Response:
        if self.recovered.is_set():
            return web.Response(text="ok\n")
        return _line(503, "recovering")

    async def _call(self, request: web.Request) -> web.Response:
        if request.content_type != "application/json":
            # A browser asks before it sends this one across origins, and is not answered.
            return _line(415, "Content-Type: must be application/json")
        try:
            async with asyncio.timeout(SLOWEST_BODY):
                body = await request.read()
        except TimeoutError:
            return _line(408, f"the body did not come within {SLOWEST_BODY:g} seconds")
        call = calls.decode_call(body)
        if isinstance(call, calls.WaitContainer):
            # Nobody waits for those who wait: it ends with its connection.
            return await self._perform(call)
        # What somebody has asked for is done, whether or not they are there to be told.
        return await asyncio.shield(self._perform(call))

    async def _perform(self, call: calls.Call) -> web.Response:
        match call:
            case calls.LaunchContainer(spec):
                if not self.recovered.is_set():
                    return _line(503, "the agent has not finished its recovery")
                is_new = await self.operations.launch(spec)
                return web.Response(status=200 if is_new else 202)
            case calls.KillContainer(container_id, number):
                await self.operations.kill(container_id, number)
                return web.Response()
            case calls.WaitContainer(container_id):
                ended = await self.operations.wait(container_id)
                return _reply("WAIT_CONTAINER", _encode_end(ended))
            case calls.RemoveContainer(container_id):
                await self.operations.remove(container_id)
                return web.Response()
            case calls.GetContainers(nested):
                census = await self._census(counting=True)
                listed = encode_get_containers(
                    census.found, census.counters, census.moment, nested=nested
                )
                return _reply("GET_CONTAINERS", listed)
            case calls.GetState():
                found = (await self._census()).found
                return _reply("GET_STATE", encode_get_state(self.info, found))

    async def _census(self, *, counting: bool = False) -> Census:
        return await self.operations.census(counting=counting)

    @web.middleware
    async def _check_caller(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        if self.door.token is not None:
            # Whether it lives, a load balancer may know without the token.
            given = request.headers.get("Authorization")
            if not request.path.endswith("/health") and not is_authorised(given, self.door.token):
                response = _line(401, "needs the agent's token: Authorization: Bearer ...")
                response.headers["WWW-Authenticate"] = "Bearer"
                return response
        elif self.door.ip is not None and not is_own_host(
            request.headers.get("Host"), self.door.ip
        ):
            return _line(403, "Host: is none of this agent's names")
        return await handler(request)

    @web.middleware
    async def _answer_errors(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        self.connections.begin(request.protocol)
        try:
            response = await self._answer(request, handler)
        finally:
            self.connections.end(request.protocol)
        self.metrics.answered(response.status)
        return response

    async def _answer(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            response = _line(error.status, error.reason)
            if "Allow" in error.headers:
                response.headers["Allow"] = error.headers["Allow"]
            return response
        except CallError as error:
            return _line(error.http_status, str(error))
        except HarnessError as error:
            # What came from another process has kept its exit status, and not its class.
            return _line(400 if error.status == USAGE else 500, str(error))
        except web.RequestPayloadError:
            response = _line(400, "the body is not encoded as the headers say")
            # Nor does aiohttp look for another request behind such a body.
            response.force_close()
            return response
        except OSError as error:
            return _line(500, one_line(error))
        except Exception:
            # A bug is for whoever reads the log, and no business of the caller's.
            log.exception("%s %s failed", request.method, request.path)
            return _line(500, "internal error; the agent's log has more")


def _is_no_callers(record: logging.LogRecord) -> bool:
    """Tell what went wrong here from what callers send, who are answered, and fill no log."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or not issubclass(kind, (HttpProcessingError, web.RequestPayloadError))


_aiohttp_log.addFilter(_is_no_callers)


def _encode_end(ending: Ending) -> dict[str, object]:
    if ending.status is None:
        return {"message": "nobody saw how the container ended"}
    document: dict[str, object] = {"exit_status": wait_status(ending.status, ending.signal)}
    if not ending.detached:
        document["message"] = f"detaching the container failed: {ending.error}"
    return document


async def _sign(_request: web.Request, response: web.StreamResponse) -> None:
    # Which versions of what we are made of is nobody's business.
    response.headers["Server"] = "mesos-cni"


def _reply(kind: str, document: object) -> web.Response:
    return web.json_response({"type": kind, kind.lower(): document})


def _line(status: int, words: str) -> web.Response:
    return web.Response(status=status, text=visible(" ".join(words.split())) + "\n")
