"""What a container is asked to be: a value, and its form in ``spec.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from mesos_cni_port_mapper.cni.fields import Section, refuse, shown
from mesos_cni_port_mapper.cni.names import is_name
from mesos_cni_port_mapper.harness.errors import UsageError
from mesos_cni_port_mapper.harness.orders import Command
from mesos_cni_port_mapper.isolator.names import (
    LONGEST_COMPONENT,
    LONGEST_LEVEL,
    hostname_fault,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A file or directory of the host that the container sees at a path of its own."""

    host_path: str
    container_path: str
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Docker:
    """What only a container of Docker's has: its image, its network mode, its engine's socket."""

    image: str
    network: str
    socket: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One container.

    ``program`` is executed with ``argv``, whose first element is the name it is called by; without
    a program the container only holds its namespaces, for nested ones to join, or if it is Docker's
    runs what its image says. ``networks`` are NetworkInfos as Mesos writes them, which only the
    isolator reads further.
    """

    container_id: str
    program: str | None = None
    argv: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    networks: Sequence[Mapping[str, Any]] = ()
    hostname: str | None = None
    rootfs: str | None = None
    volumes: Sequence[Volume] = ()
    user: str | None = None
    working_directory: str | None = None
    tty: bool = False
    name: str = ""
    docker: Docker | None = None

    @property
    def command(self) -> Command:
        """Return what is to be run in it."""
        return Command(
            program=self.program,
            argv=self.argv,
            environment=self.environment,
            user=self.user,
            working_directory=self.working_directory,
            tty=self.tty,
        )

    @property
    def parent(self) -> str | None:
        """Return the ID of the container that this one is nested in."""
        return self.container_id.rpartition(".")[0] or None


def shell(command: str) -> tuple[str, tuple[str, ...]]:
    """Return program and arguments that run a line of shell."""
    return "/bin/sh", ("sh", "-c", command)


def check_container_id(text: str, path: str) -> str:
    """Return an ID that may become a path, a rule's tag and a CNI_CONTAINERID; refuse any other.

    Dots separate the levels of a nested container.
    """
    levels = text.split(".")
    if not all(is_name(level) for level in levels):
        complaint = "may have letters, digits, '_' and '-', and begins with a letter or digit"
        raise UsageError(f"{path}: a container's ID {complaint}, not {shown(text)}")
    if len(text) > LONGEST_COMPONENT or max(map(len, levels)) > LONGEST_LEVEL:
        raise UsageError(f"{path}: a container's ID has at most {LONGEST_LEVEL} characters")
    return text


def check_hostname(text: str, path: str) -> str:
    """Return a name that the kernel takes as a host's."""
    fault = hostname_fault(text)
    if fault:
        raise UsageError(f"{path}: {shown(text)} {fault}")
    return text


def check_path(text: str, path: str) -> str:
    """Return an absolute path without ``..``; refuse any other."""
    if not text.startswith("/") or "\0" in text or ".." in text.split("/"):
        raise UsageError(f"{path}: must be an absolute path without '..', not {shown(text)}")
    return text


def check_variable(name: str, value: str, path: str) -> None:
    """Refuse a variable that no environment can hold."""
    if not name or "=" in name or "\0" in name + value:
        raise UsageError(f"{path}: {shown(name)} cannot be a variable of the environment")


def encode_spec(spec: Spec) -> dict[str, Any]:
    """Return the specification as a JSON object."""
    # Not by ``asdict``, which copies every value: this is done several times for each container.
    document = {each.name: getattr(spec, each.name) for each in fields(Spec)}
    return {
        **document,
        "volumes": [asdict(volume) for volume in spec.volumes],
        "docker": asdict(spec.docker) if spec.docker else None,
    }


def decode_spec(document: dict[str, Any]) -> Spec:
    """Read what ``encode_spec`` wrote; raises ``CniError`` naming the field that is wrong."""
    section = Section(document)
    return Spec(
        container_id=section.string("container_id"),
        program=section.string("program") if section.has("program") else None,
        argv=section.strings("argv"),
        environment=strings_of(section.optional_section("environment")),
        networks=tuple(objects_of(section, "networks")),
        hostname=section.string("hostname") if section.has("hostname") else None,
        rootfs=section.string("rootfs") if section.has("rootfs") else None,
        volumes=tuple(
            _decode_volume(Section(item, f"volumes[{index}]"))
            for index, item in enumerate(objects_of(section, "volumes"))
        ),
        user=section.string("user") if section.has("user") else None,
        working_directory=(
            section.string("working_directory") if section.has("working_directory") else None
        ),
        tty=section.document.get("tty") is True,
        name=section.string("name", ""),
        docker=_decode_docker(section.section("docker")) if section.has("docker") else None,
    )


def objects_of(section: Section, key: str) -> list[dict[str, Any]]:
    """Return an array of objects, empty when there is none."""
    items = section.array(key)
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            refuse(f"{section.path_of(key)}[{index}]", f"must be an object, not {shown(item)}")
    return items


def strings_of(section: Section) -> dict[str, str]:
    """Return an object whose values are all strings."""
    return {key: section.string(key) for key in section.document}


def _decode_docker(section: Section) -> Docker:
    return Docker(
        image=section.string("image"),
        network=section.string("network"),
        socket=section.string("socket"),
    )


def _decode_volume(section: Section) -> Volume:
    return Volume(
        host_path=section.string("host_path"),
        container_path=section.string("container_path"),
        read_only=section.document.get("read_only") is True,
    )
