"""Decide how plugins come into a directory of plugins and leave it. Nothing is touched here.

    .mesos-cni-port-mapper-v0.1.0-1c0ffee1c0de/     the plugins of one version, as they were built
    .mesos-cni-port-mapper -> .mesos-cni-port-mapper-v0.1.0-1c0ffee1c0de
    mesos-cni-port-mapper  -> .mesos-cni-port-mapper/mesos-cni-port-mapper
    bridge                 -> .mesos-cni-port-mapper/.mesos-cni-delegates/bridge

A frozen program finds its library beside its real executable, so that a version which is being
copied is seen by nobody, and one rename of the link in the middle changes all plugins at once.
A plugin that runs goes on in the version that it was started from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mesos_cni_port_mapper.cni.executable import BUILTIN_DIRECTORY
from mesos_cni_port_mapper.harness.errors import HarnessError

PLUGIN = "mesos-cni-port-mapper"
CURRENT = f".{PLUGIN}"
"""The link to the version in force."""

SCRATCH = f".{PLUGIN}.new"
"""What a version is called while it is copied."""

WASTE = f".{PLUGIN}.old"
"""What a version is called while it is removed, so that half of one is never taken for a whole."""

SCRATCH_LINK = f".{PLUGIN}.link"
"""What a link is called before it takes the place of another."""

_VERSION = re.compile(rf"\.{PLUGIN}-v[0-9][0-9A-Za-z.+]*-[0-9a-f]{{12}}")

LINK, DIRECTORY, OTHER = "link", "directory", "other"


class ConflictError(HarnessError):
    """Something that is not ours has a name that we need."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What has a name in a directory: a link with its text, a directory, something else."""

    kind: str
    target: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """What there is to install: the version's name, and the names of the delegates in it."""

    version: str
    delegates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Copy:
    """Copy the offered plugins to a directory of this name, in place of a damaged one."""

    version: str


@dataclass(frozen=True, slots=True)
class Link:
    """Have a link of this text; ``replace`` one of ours that leads elsewhere."""

    name: str
    target: str
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Unlink:
    """Remove a link of ours."""

    name: str


@dataclass(frozen=True, slots=True)
class RemoveVersion:
    """Remove the directory of a version, unless something still runs from it."""

    version: str


@dataclass(frozen=True, slots=True)
class Clear:
    """Remove what an installation that was killed left unfinished."""

    name: str


Step = Copy | Link | Unlink | RemoveVersion | Clear


def version_name(version: str, digest: str) -> str:
    """Return the name of a version's directory, which tells its content too."""
    return f"{CURRENT}-v{version}-{digest[:12]}"


def plan_install(
    found: Mapping[str, Entry], offer: Offer, *, delegates: bool, intact: bool
) -> tuple[Step, ...]:
    """Return the steps that install the offer into a directory with these entries, in order.

    ``intact`` says that the version, if it is found, is whole. Links to delegates that are there
    stay, so that an upgrade upgrades them too. Raises ``ConflictError`` naming what is in the way.
    """
    offered = {name: f"{CURRENT}/{BUILTIN_DIRECTORY}/{name}" for name in offer.delegates}
    wanted = {PLUGIN: f"{CURRENT}/{PLUGIN}", **(offered if delegates else {})}
    kept = {name: target for name, target in offered.items() if _is_ours(found.get(name))}
    _refuse(found, offer, wanted)
    before = found[CURRENT].target if CURRENT in found else None
    steps: list[Step] = [*_clearing(found)]
    if offer.version not in found or not intact:
        steps.append(Copy(offer.version))
    steps += [
        Unlink(name)
        for name, entry in sorted(found.items())
        if _is_ours(entry) and name not in {**wanted, **kept}
    ]
    links = {CURRENT: offer.version, **kept, **wanted}
    steps += [
        Link(name, target, replace=name in found)
        for name, target in links.items()
        if found.get(name) != Entry(LINK, target)
    ]
    if before != offer.version:
        # The version that was in force stays until the next one comes: where the programs of the
        # host are not to be seen, in a container, it may be running.
        steps += [
            RemoveVersion(name) for name in _versions(found) if name not in (before, offer.version)
        ]
    return tuple(steps)


def plan_uninstall(found: Mapping[str, Entry]) -> tuple[Step, ...]:
    """Return the steps that remove whatever is ours, the plugins before what they lead to."""
    ours = [name for name, entry in sorted(found.items()) if _is_ours(entry)]
    current = [CURRENT] if _is_current(found.get(CURRENT)) else []
    return (
        *(Unlink(name) for name in [*ours, *current]),
        *_clearing(found),
        *(RemoveVersion(name) for name in _versions(found)),
    )


def _refuse(found: Mapping[str, Entry], offer: Offer, wanted: Mapping[str, str]) -> None:
    taken = [name for name in wanted if name in found and not _is_ours(found[name])]
    if CURRENT in found and not _is_current(found[CURRENT]):
        taken.append(CURRENT)
    if offer.version in found and found[offer.version].kind != DIRECTORY:
        taken.append(offer.version)
    if taken:
        be = "is" if len(taken) == 1 else "are"
        raise ConflictError(
            f"{', '.join(sorted(taken))} {be} in the way, and not of this command's making; "
            "nothing was changed"
        )


def _is_ours(entry: Entry | None) -> bool:
    """Tell whether an entry is a link to a plugin of the version in force."""
    return entry is not None and entry.kind == LINK and entry.target.startswith(f"{CURRENT}/")


def _is_current(entry: Entry | None) -> bool:
    return entry is not None and entry.kind == LINK and _VERSION.fullmatch(entry.target) is not None


def _versions(found: Mapping[str, Entry]) -> list[str]:
    return [
        name
        for name, entry in sorted(found.items())
        if entry.kind == DIRECTORY and _VERSION.fullmatch(name)
    ]


def _clearing(found: Mapping[str, Entry]) -> list[Clear]:
    kinds = {SCRATCH: DIRECTORY, WASTE: DIRECTORY, SCRATCH_LINK: LINK}
    return [
        Clear(name) for name, kind in kinds.items() if name in found and found[name].kind == kind
    ]
