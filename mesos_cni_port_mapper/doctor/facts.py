"""What was found on a host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Tool:
    """A program: where it is, "" for nowhere, what it is of, and its version as it says it."""

    name: str
    path: str = ""
    variant: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of one world: their names, how many rules of nat, how many of those are ours."""

    names: tuple[str, ...] = ()
    rules: int = 0
    own: int = 0


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock: how long it took to get, nothing if it was not got, and who has it then."""

    path: str
    seconds: float | None
    holder: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """The directory of what is on record.

    ``with_ports`` is how many of the ``records`` have ports. ``fault`` says why it cannot be used,
    ``gone`` are attachments whose containers are, ``garbage``
    files that are no records.
    """

    directory: str
    exists: bool = True
    fault: str = ""
    filesystem: str = "tmpfs"
    records: int = 0
    with_ports: int = 0
    gone: tuple[str, ...] = ()
    garbage: tuple[str, ...] = ()
    local_interfaces: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Network:
    """A configuration of ours: what would fail, and what is merely odd about it."""

    name: str
    file: str
    faults: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that was looked at.

    ``trials`` are what the tools say to an empty change, "" for nothing. ``settings`` are kernel
    parameters, ``modules`` those that are loaded as modules. ``flushers`` are programs that replace
    everybody's rules. ``configurations`` is the directory that was read, "" for none, and
    ``problems`` are the files in it that cannot be used. ``unseen`` is what one may not look at.
    """

    privileged: bool = True
    tools: Mapping[str, Tool] = field(default_factory=dict)
    trials: Mapping[str, str] = field(default_factory=dict)
    modules: frozenset[str] = frozenset()
    tables: Mapping[str, Tables] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    open_interfaces: tuple[str, ...] = ()
    flushers: tuple[str, ...] = ()
    locks: tuple[Lock, ...] = ()
    state: State = State("/run/mesos-cni-port-mapper")
    configurations: str = ""
    networks: tuple[Network, ...] = ()
    problems: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
