"""Looking at the state root: what is there, and which of its files cannot be used."""

from __future__ import annotations

from mesos_cni_port_mapper.cni.errors import os_reason
from mesos_cni_port_mapper.isolator.attachments import load_attached
from mesos_cni_port_mapper.isolator.checkpoints import Checkpoints, CorruptError
from mesos_cni_port_mapper.isolator.configurations import Problem
from mesos_cni_port_mapper.isolator.names import container_id_fault
from mesos_cni_port_mapper.isolator.records import Record, record_from_directories
from mesos_cni_port_mapper.isolator.recovery import Entry


def survey(checkpoints: Checkpoints) -> list[Entry]:
    """Return every entry of the state root; raises ``OSError`` only for the root itself."""
    others = [Entry(_path(checkpoints, name), name, False) for name in checkpoints.others()]
    return [*(_container(checkpoints, name) for name in checkpoints.containers()), *others]


def find_record(checkpoints: Checkpoints, container_id: str) -> Record | None:
    """Return a container's record, as far as it can be known; nothing without a directory."""
    try:
        record = checkpoints.read_record(container_id)
    except CorruptError:
        record = None
    if record is not None:
        return record
    try:
        networks = checkpoints.networks(container_id)
    except OSError:
        return None
    return record_from_directories(container_id, {each.name: each.ifnames for each in networks})


def _container(checkpoints: Checkpoints, name: str) -> Entry:
    if container_id_fault(name):
        return Entry(_path(checkpoints, name), name, True)
    record, faults = None, []
    try:
        record = checkpoints.read_record(name)
    except CorruptError as error:
        faults.append(_problem(error))
    try:
        networks = checkpoints.networks(name)
    except OSError as error:
        faults.append(Problem(_path(checkpoints, name), os_reason(error)))
        networks = []
    known = record or record_from_directories(name, {each.name: each.ifnames for each in networks})
    for network in networks:
        try:
            checkpoints.read_configuration(name, network.name)
        except CorruptError as error:
            faults.append(_problem(error))
    for attachment in known.attachments:
        try:
            load_attached(checkpoints, name, attachment)
        except CorruptError as error:
            faults.append(_problem(error))
    return Entry(_path(checkpoints, name), name, True, record, tuple(faults))


def _path(checkpoints: Checkpoints, name: str) -> str:
    return str(checkpoints.root / name)


def _problem(error: CorruptError) -> Problem:
    return Problem(error.path, error.reason)
