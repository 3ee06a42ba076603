"""Put in order what monitors left that were killed, and what nobody knows any more."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mesos_cni_port_mapper.harness import containers, state
from mesos_cni_port_mapper.harness.containers import EXITED, RUNNING, Container, Ending
from mesos_cni_port_mapper.harness.ending import FAILURES, finish_lost
from mesos_cni_port_mapper.harness.errors import HarnessError, one_line
from mesos_cni_port_mapper.harness.identity import has_ended, open_running
from mesos_cni_port_mapper.harness.isolation import (
    Options,
    decode_options,
    open_isolator,
    request_of,
)
from mesos_cni_port_mapper.harness.launch import succeed
from mesos_cni_port_mapper.harness.state import Directory

Action = Literal["leave", "monitor", "finish"]


@dataclass(slots=True)
class Recovered:
    """What a recovery did, by container ID, and what it could not do.

    ``detached`` are those that only the isolator knew.
    """

    monitored: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    detached: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class _Known(Set[str]):
    """The containers that have a directory at the moment one is asked for.

    The isolator lists its own root first and asks then, so that a container launched meanwhile is
    never taken for one that nobody knows.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and os.path.lexists(self._root / name)

    def __iter__(self) -> Iterator[str]:
        return iter(os.listdir(self._root) if self._root.exists() else [])

    def __len__(self) -> int:
        return len(list(iter(self)))


def plan_for(*, state: str, monitored: bool, ending: Ending | None) -> Action:
    """Decide what a container needs."""
    if monitored or (state == EXITED and ending and ending.detached):
        return "leave"
    return "monitor" if state == RUNNING else "finish"


def recover(options: Options) -> Recovered:
    """Give running containers a monitor, finish ended ones, and detach what belongs to none."""
    report = Recovered()
    for directory in state.abandoned(options.runtime_dir):
        directory.remove()
    found, problems = containers.list_containers(options.runtime_dir)
    report.problems += problems
    report.problems += [
        f"{path}: it is no container's directory" for path in state.strays(options.runtime_dir)
    ]
    for container in found:
        try:
            _recover_one(container, options, report)
        except HarnessError as error:
            report.problems.append(f"{container.container_id}: {error}")
    _detach_unknown(found, options, report)
    return report


def _recover_one(container: Container, options: Options, report: Recovered) -> None:
    action = plan_for(state=container.state, monitored=container.monitored, ending=container.ending)
    if action == "leave":
        return
    directory = state.directory_of(options.runtime_dir, container.container_id)
    own = decode_options(container.settings, options)
    if action == "finish":
        if finish(directory, own):
            report.finished.append(container.container_id)
        return
    started = succeed(directory, own)
    if started:
        try:
            started.result()
        finally:
            started.close()
        report.monitored.append(container.container_id)


def finish(directory: Directory, options: Options) -> bool:
    """Detach a container that has no monitor and does not run; tell whether it needed that."""
    lock = state.take_over(directory)
    if lock is None:
        return False
    try:
        container = containers.look_at(directory)
        action = plan_for(state=container.state, monitored=False, ending=container.ending)
        if action != "finish":
            return False
        _end_init(container)
        error = finish_lost(directory, container.spec, options)
    finally:
        os.close(lock)
    if error:
        raise HarnessError(f"cannot detach it: {error}")
    return True


def _end_init(container: Container) -> None:
    """End an init whose monitor died before it could tell it to go on."""
    pidfd = open_running(container.init) if container.init else None
    if pidfd is None:
        return
    try:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        has_ended(pidfd, 10)
    finally:
        os.close(pidfd)


def _detach_unknown(found: list[Container], options: Options, report: Recovered) -> None:
    live = {}
    for container in found:
        # Of any other the isolator may rightly have nothing by now.
        if container.state == RUNNING and container.spec.docker is None:
            try:
                live[container.container_id] = request_of(container.spec)
            except HarnessError as error:
                report.problems.append(f"{container.container_id}: {error}")
    try:
        isolator = open_isolator(options)
        known = _Known(state.containers_root(options.runtime_dir))
        outcome = asyncio.run(isolator.recover(live, known))
    except FAILURES as error:
        report.problems.append(one_line(error))
        return
    report.detached += outcome.cleaned
    report.problems += [str(each) for each in (*outcome.failures, *outcome.problems)]
    report.problems += [
        f"{name}: it runs, and nothing is known of its networks any more"
        for name in outcome.lost
        if _runs(options.runtime_dir, name)
    ]


def _runs(runtime_dir: str, container_id: str) -> bool:
    with contextlib.suppress(HarnessError):
        directory = state.directory_of(runtime_dir, container_id)
        return containers.glance_at(directory).state == RUNNING
    return False
