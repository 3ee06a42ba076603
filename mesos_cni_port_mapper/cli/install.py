"""`mesos-cni install`: put the plugins into a directory of plugins, all at once."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from mesos_cni_port_mapper import __version__
from mesos_cni_port_mapper.cli import plugins_directory
from mesos_cni_port_mapper.cli.flags import Command
from mesos_cni_port_mapper.cli.installation import (
    DIRECTORY,
    PLUGIN,
    Copy,
    Link,
    Offer,
    RemoveVersion,
    Step,
    Unlink,
    plan_install,
    version_name,
)
from mesos_cni_port_mapper.cli.output import json_flag, print_json
from mesos_cni_port_mapper.cni.executable import BUILTIN_DIRECTORY, own_directory
from mesos_cni_port_mapper.harness.errors import HarnessError, UsageError

_F = TypeVar("_F", bound=Callable[..., Any])


def plugins_dir_flag(function: _F) -> _F:
    """Add the flag that names the directory of plugins."""
    return click.option(
        "--plugins-dir",
        "--plugins_dir",
        "plugins_dir",
        metavar="DIR",
        required=True,
        help="Where the runtime looks for plugins.",
    )(function)


@click.command(
    "install",
    cls=Command,
    epilog="Example: mesos-cni install --plugins-dir /opt/cni/bin --delegates",
)
@plugins_dir_flag
@click.option("--delegates", is_flag=True, help="Link bridge, loopback, host-local, ... as well.")
@click.option("--from", "source", metavar="DIR", help="The plugins to install; ours.")
@json_flag
def command(plugins_dir: str, delegates: bool, source: str | None, as_json: bool) -> None:
    """Install the port mapper, or upgrade it, without a moment in which it would not work.

    What other programs have in the directory is never replaced. Plugins that run meanwhile go on in
    their version.
    """
    origin = _source(source)
    offer = _offer(origin)
    target = Path(os.path.abspath(plugins_dir))
    with privileges_named():
        _have_directory(target)
        with plugins_directory.locked(target):
            found = plugins_directory.look_at(target)
            steps = plan_install(
                found, offer, delegates=delegates, intact=_is_intact(target, offer, found)
            )
            done, kept = plugins_directory.apply(target, origin, steps)
    print_done(target, offer.version, done, kept, as_json=as_json)


@contextlib.contextmanager
def privileges_named() -> Iterator[None]:
    """Say what is needed where the kernel refuses something."""
    try:
        yield
    except PermissionError as error:
        raise HarnessError(
            f"{error.filename}: {error.strerror}; it takes root, or whoever owns the directory"
        ) from error


def print_done(
    target: Path,
    version: str | None,
    done: list[Step],
    kept: dict[str, list[int]],
    *,
    as_json: bool,
) -> None:
    """Print what was changed in the directory."""
    linked = [
        step.name for step in done if isinstance(step, Link) and not step.name.startswith(".")
    ]
    unlinked = [
        step.name for step in done if isinstance(step, Unlink) and not step.name.startswith(".")
    ]
    copied = [step.version for step in done if isinstance(step, Copy)]
    removed = [step.version for step in done if isinstance(step, RemoveVersion)]
    if as_json:
        print_json(
            {
                "plugins_dir": str(target),
                "version": version,
                "changed": bool(done),
                "linked": linked,
                "unlinked": unlinked,
                "copied": copied,
                "removed": removed,
                "kept": [{"version": name, "pids": pids} for name, pids in kept.items()],
            }
        )
        return
    for verb, names in (
        ("copied", copied),
        ("linked", linked),
        ("unlinked", unlinked),
        ("removed", removed),
    ):
        sys.stdout.writelines(f"{target / name}: {verb}\n" for name in names)
    if not done and not kept:
        sys.stdout.write(f"{target}: nothing to do\n")


def _source(given: str | None) -> Path:
    origin = Path(os.path.abspath(given or os.path.join(own_directory(), "../plugins")))
    if (origin / PLUGIN).is_file():
        return origin
    if given is not None:
        raise UsageError(f"--from: {given}: there is no {PLUGIN} in it")
    raise HarnessError(
        f"{origin}: no frozen plugins beside this program; --from names a directory of them"
    )


def _offer(origin: Path) -> Offer:
    builtin = origin / BUILTIN_DIRECTORY
    delegates = sorted(path.name for path in builtin.glob("*") if path.is_symlink())
    return Offer(version_name(__version__, plugins_directory.digest_of(origin)), tuple(delegates))


def _have_directory(target: Path) -> None:
    try:
        target.mkdir(0o755, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"--plugins-dir: {target}: not a directory") from error


def _is_intact(target: Path, offer: Offer, found: dict[str, Any]) -> bool:
    entry = found.get(offer.version)
    return (
        entry is not None
        and entry.kind == DIRECTORY
        and version_name(__version__, plugins_directory.digest_of(target / offer.version))
        == offer.version
    )
