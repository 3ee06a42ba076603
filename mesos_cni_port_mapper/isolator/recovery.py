"""What to do about each entry of the state root after a restart. Nothing here touches the system.

A container's configuration is checkpointed before ADD and its result after it, so that nobody knows
whether a network without a result is attached. That never stops a recovery: DEL does no harm where
there is nothing to delete.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from mesos_cni_port_mapper.isolator.configurations import Problem
from mesos_cni_port_mapper.isolator.names import container_id_fault
from mesos_cni_port_mapper.isolator.records import ContainerRequest, Record, record_of


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the state root: what it is called, whether a directory, and what is read of it.

    ``faults`` are its files that cannot be used.
    """

    path: str
    name: str
    is_directory: bool
    record: Record | None = None
    faults: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Keep:
    """The container lives: leave it as it is, but for a lost record, to be written again."""

    container_id: str
    rewrite: Record | None = None


@dataclass(frozen=True, slots=True)
class Leave:
    """The container will be cleaned up by whoever listed it."""

    container_id: str


@dataclass(frozen=True, slots=True)
class Detach:
    """Nobody knows the container: clean up after it now."""

    container_id: str


@dataclass(frozen=True, slots=True)
class StepOver:
    """The entry is none of ours."""

    problem: Problem


Action = Keep | Leave | Detach | StepOver


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """What a recovery did: containers kept, left to the caller and cleaned up, and what is amiss.

    ``failures`` are containers whose cleanup has to be tried again. ``lost`` are those of the live
    ones of whose networks nothing is known, unless they have ended since and are detached.
    """

    kept: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    cleaned: tuple[str, ...] = ()
    failures: tuple[Problem, ...] = ()
    lost: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def plan_recovery(
    entries: Iterable[Entry], live: Mapping[str, ContainerRequest], orphans: Set[str]
) -> list[Action]:
    """Return one action for each entry."""
    return [_action(entry, live, orphans) for entry in entries]


def find_lost(entries: Iterable[Entry], live: Mapping[str, ContainerRequest]) -> list[str]:
    """Return the live containers that asked for networks and of which nothing is known."""
    known = {entry.name for entry in entries if entry.is_directory}
    return sorted(
        container_id
        for container_id, request in live.items()
        if request.named and not request.debug and container_id not in known
    )


def _action(entry: Entry, live: Mapping[str, ContainerRequest], orphans: Set[str]) -> Action:
    if not entry.is_directory:
        return StepOver(Problem(entry.path, "it is no container's directory"))
    fault = container_id_fault(entry.name)
    if fault:
        return StepOver(Problem(entry.path, f"as a container ID it {fault}"))
    if entry.name in live:
        request = live[entry.name]
        lost = entry.record is None and bool(request.named)
        return Keep(entry.name, record_of(request) if lost else None)
    return Leave(entry.name) if entry.name in orphans else Detach(entry.name)
