"""Everything of an agent put together, from the first fork to the last word to systemd."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import signal
import socket
import stat
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from mesos_cni_port_mapper import __version__
from mesos_cni_port_mapper.harness import state
from mesos_cni_port_mapper.harness.agent.access import Listen
from mesos_cni_port_mapper.harness.agent.connections import INTERVAL, Connections
from mesos_cni_port_mapper.harness.agent.launcher import Launcher, start_launcher
from mesos_cni_port_mapper.harness.agent.notify import notify, watchdog_interval
from mesos_cni_port_mapper.harness.agent.operations import Operations
from mesos_cni_port_mapper.harness.agent.state import AgentInfo
from mesos_cni_port_mapper.harness.agent.supervision import Supervisor, watch_configurations
from mesos_cni_port_mapper.harness.errors import HarnessError, one_line
from mesos_cni_port_mapper.harness.isolation import (
    Isolator,
    Options,
    configuration_problems,
    open_isolator,
)
from mesos_cni_port_mapper.isolator.waiting import readable
from mesos_cni_port_mapper.linux import files

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.web_protocol import RequestHandler

log = logging.getLogger(__name__)

_GRACE = 2.0
_BACKLOG = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What an agent is started with; ``flags`` are for others to read."""

    options: Options
    listen: Listen
    token: bytes | None
    flags: Mapping[str, str]


def run_agent(post: Post) -> int:
    """Be the agent until somebody asks it to end, and return the exit status."""
    logging.basicConfig(format="mesos-cni agent: %(message)s", level=logging.INFO)
    # Whatever is wrong with the isolator's flags is said now, and its modules are there to fork.
    isolator = open_isolator(post.options)
    launcher = start_launcher(post.options)
    try:
        with _alone(post.options.runtime_dir), _bound(post.listen) as listener:
            return asyncio.run(_serve(post, isolator, launcher, listener))
    finally:
        launcher.close()


async def _serve(
    post: Post, isolator: Isolator, launcher: Launcher, listener: socket.socket
) -> int:
    # They take half the time of the start, which the launcher and its monitors do without.
    from mesos_cni_port_mapper.harness.agent.http import Door, Endpoints
    from mesos_cni_port_mapper.harness.agent.metrics import Metrics

    metrics = Metrics()
    operations = Operations(post.options.runtime_dir, launcher, metrics)
    supervisor = Supervisor(operations, launcher)
    endpoints = Endpoints(
        info=_info(post, listener),
        operations=operations,
        metrics=metrics,
        door=Door(token=post.token, ip=None if post.listen.socket else post.listen.ip),
        recovered=supervisor.recovered,
    )
    runner = endpoints.runner(_GRACE)
    await _listen(runner, listener)
    sys.stdout.write(f"listening on {_address(post.listen, listener)}\n")
    sys.stdout.flush()
    tasks = [
        asyncio.create_task(supervisor.run()),
        asyncio.create_task(readable(launcher.pidfd)),
        asyncio.create_task(_asked_to_end()),
        asyncio.create_task(_tell_systemd(supervisor.recovered)),
        asyncio.create_task(_sweep(runner, endpoints.connections)),
        asyncio.create_task(
            watch_configurations(operations.read, partial(configuration_problems, isolator))
        ),
    ]
    try:
        ended, _ = await asyncio.wait(tasks[:3], return_when=asyncio.FIRST_COMPLETED)
        return _last_word(ended, tasks[0], tasks[2])
    finally:
        notify(os.environ, "STOPPING=1")
        for task in tasks:
            task.cancel()
        await runner.cleanup()
        operations.close()


def _last_word(
    ended: set[asyncio.Task[None]], supervision: asyncio.Task[None], asked: asyncio.Task[None]
) -> int:
    if asked in ended:
        log.info("leaving; containers keep running")
        return 0
    if supervision in ended:
        supervision.result()  # Which raises: it never ends by itself.
    log.error("the launcher ended, and nothing can be launched without it")
    return 1


async def _listen(runner: web.AppRunner, listener: socket.socket) -> None:
    from aiohttp import web

    await runner.setup()
    await web.SockSite(runner, listener, backlog=_BACKLOG).start()


async def _sweep(runner: web.AppRunner, connections: Connections[RequestHandler]) -> None:
    while True:
        await asyncio.sleep(INTERVAL)
        if runner.server is not None:
            connections.sweep(runner.server.connections, asyncio.get_running_loop().time())


async def _asked_to_end() -> None:
    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    await asked.wait()


async def _tell_systemd(recovered: asyncio.Event) -> None:
    await recovered.wait()
    notify(os.environ, "READY=1", "STATUS=recovered, and serving")
    interval = watchdog_interval(os.environ)
    while interval is not None:
        notify(os.environ, "WATCHDOG=1")
        await asyncio.sleep(interval)


@contextlib.contextmanager
def _alone(runtime_dir: str) -> Iterator[None]:
    """Be the only agent of a runtime directory, which is itself what is locked."""
    try:
        os.makedirs(runtime_dir, mode=0o755, exist_ok=True)
        lock = os.open(runtime_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise HarnessError(one_line(error)) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HarnessError(f"another agent looks after {runtime_dir}") from error
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def _bound(listen: Listen) -> Iterator[socket.socket]:
    """Have a socket bound to where the agent listens, and no file of it afterwards."""
    path = listen.socket
    family = socket.AF_UNIX if path else socket.AF_INET6 if ":" in listen.ip else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as listener:
        mask = os.umask(0o177)
        try:
            if path:
                _remove_stale(path)
                listener.bind(path)
            else:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((listen.ip, listen.port))
        except OSError as error:
            where = path or f"{listen.ip} port {listen.port}"
            raise HarnessError(f"cannot listen on {where}: {error.strerror}") from error
        finally:
            os.umask(mask)
        try:
            yield listener
        finally:
            if path:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)


def _remove_stale(path: str) -> None:
    """Remove a socket that nobody listens on any more; anything else is not ours to remove."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        if probe.connect_ex(path) == errno.ECONNREFUSED:
            os.unlink(path)


def _address(listen: Listen, listener: socket.socket) -> str:
    if listen.socket:
        return f"unix:{listen.socket}"
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _info(post: Post, listener: socket.socket) -> AgentInfo:
    hostname = socket.gethostname()
    where = post.listen.socket or "{}:{}".format(*listener.getsockname()[:2])
    page = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return AgentInfo(
        agent_id=agent_id_for(_machine() or hostname, post.options.runtime_dir),
        hostname=hostname,
        version=__version__,
        pid=f"slave(1)@{where}",
        start_time=time.time(),
        directory=str(state.containers_root(post.options.runtime_dir)),
        flags=post.flags,
        resources={
            "cpus": float(os.cpu_count() or 0),
            "disk": 0.0,
            "gpus": 0.0,
            "mem": float(page // (1 << 20)),
        },
    )


def agent_id_for(machine: str, runtime_dir: str) -> str:
    """Return an agent's ID: the same after every restart, another on every machine."""
    return f"{uuid.uuid5(uuid.NAMESPACE_OID, f'{machine} {runtime_dir}')}-S0"


def _machine() -> str:
    try:
        return (files.read("/etc/machine-id") or b"").decode(errors="replace").strip()
    except OSError:
        return ""
