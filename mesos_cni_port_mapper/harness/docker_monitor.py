"""The process that looks after one container of Docker's: as a monitor's, its records say it all.

The engine runs the container and this process keeps the same files about it as for one of our own,
so that whoever reads those (`ps`, `status`, `logs`, `wait`, `kill`, the agent) needs no engine.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from mesos_cni_port_mapper.harness import containers, signalling, state
from mesos_cni_port_mapper.harness.containers import Outcome
from mesos_cni_port_mapper.harness.docker_plan import (
    HOST,
    name_of,
    parse_network_infos,
    parse_owner,
    parse_pid,
    parse_status,
    plan_creation,
)
from mesos_cni_port_mapper.harness.ending import FAILURES, record_ending
from mesos_cni_port_mapper.harness.errors import HarnessError, one_line
from mesos_cni_port_mapper.harness.identity import encode_identity, identify
from mesos_cni_port_mapper.harness.isolation import host_status
from mesos_cni_port_mapper.harness.monitor import Post, encode_failure, run_to_end, say, settle_for
from mesos_cni_port_mapper.harness.spec import Docker, Spec
from mesos_cni_port_mapper.harness.state import Directory
from mesos_cni_port_mapper.linux import files, signals

if TYPE_CHECKING:
    from mesos_cni_port_mapper.harness.docker import Engine

_Pieces = Iterator[tuple[bytes | None, bytes | None]]


def become_docker_monitor(post: Post) -> NoReturn:
    """Be the monitor of a container that Docker is to run; in a process forked for it."""
    settle_for(post)
    post.directory.write(state.MONITOR, encode_identity(identify(os.getpid())))
    run_to_end(DockerMonitor(post).run)


def finish_docker(directory: Directory, spec: Spec) -> str:
    """Remove a container that ended without a monitor; return what went wrong, or nothing."""
    status, error = None, ""
    try:
        engine = _open_engine(spec)
        document = engine.find(name_of(spec.container_id))
        # The name may be that of a container below another runtime directory.
        if document and parse_owner(document) == str(directory.path):
            status = parse_status(document)
            # Its own monitor may have died before it had copied everything.
            with contextlib.suppress(HarnessError):
                _rewrite(directory, *engine.output(document["Id"]))
            engine.remove(document["Id"])
    except FAILURES as failure:
        error = one_line(failure)
    record_ending(directory, _outcome(status), error)
    return error


class DockerMonitor:
    """One container's monitor; ``run`` it in a process of its own."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._directory = post.directory
        self._spec = post.spec
        self._started = False
        self._waits = False
        self._interrupted = False
        self._engine: Engine | None = None
        self._container = ""
        # They are there before anybody is told of the container and looks for its output.
        self._output = [post.directory.append(name) for name in (state.STDOUT, state.STDERR)]

    def run(self) -> None:
        """Have the container run, wait for its end, and remove it."""
        signal.signal(signal.SIGTERM, self._terminate)
        try:
            engine, pieces = self._launch()
        except Exception as error:  # noqa: BLE001 - a bug must leave no container behind either
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if not isinstance(error, FAILURES):
                traceback.print_exc()
            self._abandon(error)
            return
        say(self._post.report, {"started": True})
        record_ending(self._directory, *self._watch(engine, pieces))

    def _launch(self) -> tuple[Engine, _Pieces]:
        engine = self._engine = _open_engine(self._spec)
        self._provide(engine)
        name = name_of(self._spec.container_id)
        self._container = engine.create(name, plan_creation(self._spec, str(self._directory.path)))
        pieces = engine.attach(self._container)
        self._check()
        engine.start(self._container)
        self._record(engine.inspect(self._container))
        self._started = True
        self._check()
        return engine, pieces

    def _provide(self, engine: Engine) -> None:
        """Have the image, which alone may take so long that a signal must not wait for it."""
        self._waits = True
        self._check()
        engine.provide(_docker_of(self._spec).image)
        self._waits = False
        self._check()

    def _check(self) -> None:
        if self._interrupted:
            raise HarnessError("interrupted while it was being launched")

    def _record(self, document: dict[str, Any]) -> None:
        pid = parse_pid(document)
        # One that has ended by now never is seen to run, which is what happened.
        with contextlib.suppress(OSError, ValueError, IndexError):
            if pid:
                self._directory.write(state.INIT, encode_identity(identify(pid)))
        host = _docker_of(self._spec).network == HOST
        attached = {
            "started": time.time(),
            "network_infos": host_status() if host else parse_network_infos(document),
            "environment": {},
        }
        self._directory.write(state.ATTACHED, attached)

    def _watch(self, engine: Engine, pieces: _Pieces) -> tuple[Outcome | None, str]:
        """Copy what the container says until it ends; return how it did, and what went wrong."""
        outcome = None
        try:
            self._copy(pieces)
            outcome = _outcome(engine.wait(self._container))
            engine.remove(self._container)
        except FAILURES as failure:
            return outcome, one_line(failure)
        return outcome, ""

    def _copy(self, pieces: _Pieces) -> None:
        for pair in pieces:
            for target, piece in zip(self._output, pair, strict=True):
                if piece:
                    files.write_all(target, piece)

    def _abandon(self, failure: BaseException) -> None:
        """Undo a launch that failed, and say why. What cannot be undone stays, for `cleanup`."""
        document = encode_failure(failure)
        try:
            if self._engine and self._container:
                self._engine.remove(self._container)
            self._directory.remove()
        except FAILURES as error:
            document["error"] += f"; and removing it failed: {one_line(error)}"
            record_ending(self._directory, None, one_line(error))
        say(self._post.report, document)

    def _terminate(self, number: int, _frame: FrameType | None) -> None:
        """Pass a signal that was meant for the container on to it, or do not start it at all."""
        if not self._started:
            self._interrupted = True
            if self._waits:
                self._check()
            return
        with contextlib.suppress(HarnessError):
            signalling.send(containers.glance_at(self._directory), number)


def _outcome(status: int | None) -> Outcome | None:
    """Return how a command ended, of a status in which the engine does not tell signals apart."""
    if status is None:
        return None
    number = status - 128
    return Outcome(status, number if number in signals.ALL else None)


def _open_engine(spec: Spec) -> Engine:
    # Its library takes longer to import than a monitor may take to be reached by a signal.
    from mesos_cni_port_mapper.harness.docker import Engine

    return Engine(_docker_of(spec).socket)


def _docker_of(spec: Spec) -> Docker:
    if spec.docker is None:
        raise HarnessError(f"container {spec.container_id!r} is not Docker's")
    return spec.docker


def _rewrite(directory: Directory, *outputs: bytes) -> None:
    """Write output that begins with what is there already, under the eyes of who follows it."""
    for name, output in zip((state.STDOUT, state.STDERR), outputs, strict=True):
        target = directory.append(name)
        try:
            files.write_all(target, output[os.fstat(target).st_size :])
        finally:
            os.close(target)
