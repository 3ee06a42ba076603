"""Looking at the state root: what is there, and which of its files cannot be used."""

from __future__ import annotations

from collections.abc import Iterable

from mesos_cni_port_mapper.cni.errors import os_reason
from mesos_cni_port_mapper.isolator.attachments import load_attached
from mesos_cni_port_mapper.isolator.checkpoints import (
    Checkpoints,
    ContainerState,
    CorruptError,
    NetworkState,
)
from mesos_cni_port_mapper.isolator.configurations import Problem
from mesos_cni_port_mapper.isolator.names import container_id_fault
from mesos_cni_port_mapper.isolator.records import Record, record_from_directories
from mesos_cni_port_mapper.isolator.recovery import Entry


def survey(checkpoints: Checkpoints) -> list[Entry]:
    """Return every entry of the state root; raises ``OSError`` only for the root itself."""
    others = [Entry(_path(checkpoints, name), name, False) for name in checkpoints.others()]
    found = (_container(checkpoints, name) for name in checkpoints.containers())
    return [*filter(None, found), *others]


def find_record(checkpoints: Checkpoints, container_id: str) -> Record | None:
    """Return a container's record, as far as it can be known; nothing without a directory."""
    try:
        with checkpoints.open(container_id) as state:
            try:
                record = state.read_record()
            except CorruptError:
                record = None
            return record or _rebuild(container_id, state.networks())
    except OSError:
        return None


def _rebuild(container_id: str, networks: Iterable[NetworkState]) -> Record:
    return record_from_directories(container_id, {each.name: each.ifnames for each in networks})


def _container(checkpoints: Checkpoints, name: str) -> Entry | None:
    """Look at one directory; nothing when somebody has detached the container since."""
    path = _path(checkpoints, name)
    if container_id_fault(name):
        return Entry(path, name, True)
    try:
        with checkpoints.open(name) as state:
            record, faults = _examine(state)
    except FileNotFoundError:
        return None
    except OSError as error:
        record, faults = None, [Problem(path, os_reason(error))]
    return Entry(path, name, True, record, tuple(faults))


def _examine(state: ContainerState) -> tuple[Record | None, list[Problem]]:
    """Read everything that is kept of a container; return its record, and what cannot be used."""
    record, faults = None, []
    try:
        record = state.read_record()
    except CorruptError as error:
        faults.append(_problem(error))
    try:
        networks = state.networks()
    except OSError as error:
        faults.append(Problem(state.path, os_reason(error)))
        networks = []
    known = record or _rebuild(state.container_id, networks)
    for network in networks:
        try:
            state.read_configuration(network.name)
        except CorruptError as error:
            faults.append(_problem(error))
    for attachment in known.attachments:
        try:
            load_attached(state, attachment)
        except CorruptError as error:
            faults.append(_problem(error))
    return record, faults


def _path(checkpoints: Checkpoints, name: str) -> str:
    return str(checkpoints.root / name)


def _problem(error: CorruptError) -> Problem:
    return Problem(error.path, error.reason)
