"""What is known of each container, read from its directory: no monitor or agent is asked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.cni.fields import Section, refuse, shown
from mesos_cni_port_mapper.harness import state
from mesos_cni_port_mapper.harness.errors import HarnessError, UnknownContainerError
from mesos_cni_port_mapper.harness.identity import Identity, decode_identity, is_running
from mesos_cni_port_mapper.harness.spec import Spec, decode_spec, objects_of, strings_of
from mesos_cni_port_mapper.harness.state import Directory

STARTING = "starting"
RUNNING = "running"
STOPPING = "stopping"
EXITED = "exited"
LOST = "lost"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended: its status as a shell counts it, and the signal if it was one."""

    status: int
    signal: int | None = None


def outcome_of(returncode: int) -> Outcome:
    """Return how a command ended, of its exit status or minus the signal that ended it."""
    return Outcome(returncode) if returncode >= 0 else Outcome(128 - returncode, -returncode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a container ended: ``status`` as a shell counts it, or unknown when nobody saw it.

    ``signal`` tells the status of a signal from the same one that a command chose to exit with.
    ``error`` is why it could not be detached, or started; it is empty for one that could.
    """

    status: int | None
    finished: float
    signal: int | None = None
    detached: bool = True
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What a container does at one moment, which is all that somebody needs who ends it.

    ``state`` is one of: starting; running; stopping, that is ended and being detached; exited; and
    lost, when there is neither a monitor to tell how it ended nor a record of it: `recover` helps.
    """

    container_id: str
    state: str
    monitored: bool
    init: Identity | None
    ending: Ending | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Container(Glance):
    """All that a container's directory shows of it at one moment."""

    spec: Spec
    created: float
    settings: Mapping[str, Any]
    monitor: Identity | None
    started: float | None
    network_infos: Sequence[Mapping[str, Any]]
    environment: Mapping[str, str]

    @property
    def pid(self) -> int | None:
        """Return the host's PID of init, while there is one."""
        return self.init.pid if self.init and self.state in (STARTING, RUNNING) else None


def state_of(*, monitored: bool, init_runs: bool, attached: bool, ended: bool) -> str:
    """Decide what a container is doing."""
    if ended:
        return EXITED
    if init_runs and attached:
        return RUNNING
    if monitored:
        return STOPPING if attached else STARTING
    return LOST


def inspect(runtime_dir: str, container_id: str) -> Container:
    """Look at one container."""
    return look_at(state.directory_of(runtime_dir, container_id))


def list_containers(runtime_dir: str) -> tuple[list[Container], list[str]]:
    """Look at all containers; return also what is wrong with those that cannot be read."""
    found, problems = [], []
    for directory in state.directories(runtime_dir):
        try:
            found.append(look_at(directory))
        except UnknownContainerError:
            continue  # Removed since.
        except HarnessError as error:
            problems.append(str(error))
    return found, problems


def glance_at(directory: Directory) -> Glance:
    """See what a container does, without its specification and its networks."""
    # The lock before the records: what a monitor writes last is there when it is gone.
    monitored = state.is_locked(directory)
    init = _identity(directory, state.INIT)
    init_runs = init is not None and is_running(init)
    attached = directory.has(state.ATTACHED)
    ending = _ending(directory)
    if not ending:
        monitored = monitored or state.is_locked(directory)  # Taken over since?
        if not directory.path.exists():
            raise UnknownContainerError(directory.container_id)
    return Glance(
        container_id=directory.container_id,
        state=state_of(
            monitored=monitored, init_runs=init_runs, attached=attached, ended=ending is not None
        ),
        monitored=monitored,
        init=init,
        ending=ending,
    )


def look_at(directory: Directory) -> Container:
    """Read a container's directory."""
    seen = glance_at(directory)
    document = directory.read(state.SPEC)
    if document is None:
        if not directory.path.exists():
            raise UnknownContainerError(directory.container_id)
        raise HarnessError(f"{directory.file(state.SPEC)} is missing")
    # One that was being attached when we glanced has no networks so far.
    attached = (directory.read(state.ATTACHED) if seen.state != STARTING else None) or {}
    with _naming(directory, state.SPEC):
        asked = Section(document)
        spec = _spec(asked, directory.container_id)
        created, settings = _moment(asked, "created"), asked.optional_section("settings").document
    with _naming(directory, state.ATTACHED):
        has = Section(attached)
        infos = objects_of(has, "network_infos")
        for info in infos:
            objects_of(Section(info, "network_infos"), "ip_addresses")
        environment = strings_of(has.optional_section("environment"))
        started = _moment(has, "started") if has.has("started") else None
    return Container(
        container_id=seen.container_id,
        state=seen.state,
        monitored=seen.monitored,
        init=seen.init,
        ending=seen.ending,
        spec=spec,
        created=created,
        settings=settings,
        monitor=_identity(directory, state.MONITOR),
        started=started,
        network_infos=infos,
        environment=environment,
    )


def monitor_of(directory: Directory) -> Identity | None:
    """Return which process the monitor is, or was."""
    return _identity(directory, state.MONITOR)


def init_outcome(directory: Directory) -> Outcome | None:
    """Return what init saw the command end with, or nothing when it did not live to see it."""
    text = (directory.read_bytes(state.INIT_STATUS) or b"").strip()
    return outcome_of(int(text)) if text.removeprefix(b"-").isdigit() else None


@contextlib.contextmanager
def _naming(directory: Directory, name: str) -> Iterator[None]:
    """Have complaints about a record say which file it is."""
    try:
        yield
    except CniError as error:
        raise HarnessError(f"{directory.file(name)}: {error.msg}") from error


def _spec(section: Section, container_id: str) -> Spec:
    spec = decode_spec(section.optional_section("spec").document)
    if spec.container_id != container_id:
        refuse("spec.container_id", f"is of another container, {spec.container_id!r}")
    return spec


def _moment(section: Section, key: str) -> float:
    """Return a number of seconds since the epoch, 0 for none."""
    value = section.document[key] if section.has(key) else 0.0
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        refuse(section.path_of(key), f"must be a number, not {shown(value)}")
    return float(value)


def _identity(directory: Directory, name: str) -> Identity | None:
    document = directory.read(name)
    if document is None:
        return None
    with _naming(directory, name):
        return decode_identity(document)


def _ending(directory: Directory) -> Ending | None:
    document = directory.read(state.EXIT)
    if document is None:
        return None
    section = Section(document)
    with _naming(directory, state.EXIT):
        return Ending(
            status=section.integer("status", 0, 255) if section.has("status") else None,
            finished=_moment(section, "finished"),
            signal=section.integer("signal", 1, 127) if section.has("signal") else None,
            detached=document.get("detached") is not False,
            error=section.string("error", ""),
        )
