"""The flags that every command has, under the names they have for a Mesos agent.

They are taken before and after the command's name, with hyphens as well as underscores, and from
the environment as ``MESOS_`` and the name in capitals.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from mesos_cni_port_mapper.cni.executable import BUILTIN_DIRECTORY, own_directory
from mesos_cni_port_mapper.cni.fields import shown
from mesos_cni_port_mapper.harness.documents import decode_document
from mesos_cni_port_mapper.harness.errors import UsageError
from mesos_cni_port_mapper.harness.isolation import (
    DEFAULT_PLUGIN_TIMEOUT,
    DEFAULT_RUNTIME_DIR,
    Options,
)

_F = TypeVar("_F", bound=Callable[..., Any])

_BOOLEANS = ("network_cni_metrics", "network_cni_root_dir_persist")


class Flags:
    """The global flags of one call, as they were given."""

    def __init__(self) -> None:
        self._given: dict[str, Any] = {}
        self._said: list[str] = []

    def take(self, name: str, value: object, *, said: bool = True) -> None:
        """Remember a flag, said or of the environment; one that stands later counts."""
        self._given[name] = value
        if said:
            self._said.append(name)

    def said(self) -> Sequence[str]:
        """Return the names of the flags on the command line."""
        return tuple(self._said)

    @property
    def runtime_dir(self) -> str:
        """Return the directory of everything that does not survive a reboot."""
        return os.path.abspath(self._given.get("runtime_dir") or DEFAULT_RUNTIME_DIR)

    def options(self) -> Options:
        """Return the isolator's options; raises ``UsageError`` naming the flag."""
        given = self._given
        plugins_dir = _absolute_each(given.get("network_cni_plugins_dir"))
        dns = given.get("default_container_dns")
        return Options(
            runtime_dir=self.runtime_dir,
            work_dir=_absolute(given.get("work_dir")),
            root_dir_persist=bool(given.get("network_cni_root_dir_persist")),
            config_dir=_absolute(given.get("network_cni_config_dir")),
            plugins_dir=plugins_dir,
            builtin_plugins_dir=find_builtin(plugins_dir or "", own_directory()),
            default_container_dns=_dns(dns) if dns else None,
            plugin_timeout=given.get("plugin_timeout") or DEFAULT_PLUGIN_TIMEOUT,
            metrics=given.get("network_cni_metrics") is not False,
        )


class Seconds(click.FloatRange):
    """A number of seconds."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number; to click NaN is in every range, because it is beyond no end of it."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


class OneSpelling(click.Option):
    """A flag that may be spelt with hyphens as well, and is shown as Mesos spells it."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the flag as the help shows it, and what it says."""
        record = super().get_help_record(ctx)
        if record is None:
            return None
        shown, text = record
        for spelling in (*self.opts, *self.secondary_opts):
            if "-" in spelling.removeprefix("--no-").removeprefix("--"):
                shown = shown.replace(f", {spelling}", "")
        return shown, text


def global_flags(*, hidden: bool = False) -> list[click.Option]:
    """Return the global flags; the hidden ones are those of a command, without an environment."""
    seconds = Seconds(min=0, min_open=True, max=86400)
    table: tuple[tuple[str, Any, str], ...] = (
        ("network_cni_config_dir", str, "Directory of network configurations."),
        ("network_cni_plugins_dir", str, "Where plugins are, as A:B:C."),
        ("network_cni_root_dir_persist", bool, "Keep the isolator's state below --work_dir."),
        ("network_cni_metrics", bool, "Count packets (the default)."),
        ("runtime_dir", str, f"State until a reboot; {DEFAULT_RUNTIME_DIR}."),
        ("work_dir", str, "State that survives a reboot."),
        ("default_container_dns", str, "DNS if plugins tell none; JSON or file."),
        ("plugin_timeout", seconds, f"Seconds a plugin may take; {DEFAULT_PLUGIN_TIMEOUT:g}."),
    )
    return [_global_flag(name, kind, text, hidden=hidden) for name, kind, text in table]


def _global_flag(name: str, kind: Any, text: str, *, hidden: bool) -> click.Option:
    hyphened = name.replace("_", "-")
    names = [f"--{name}", *([f"--{hyphened}"] if hyphened != name else [])]
    if kind is bool:
        names = [f"--{name}/--no-{name}", f"--{hyphened}/--no-{hyphened}"]

    def remember(ctx: click.Context, _parameter: click.Parameter, value: object) -> None:
        if value == "":
            raise UsageError(f"--{name}: is empty")
        if value is not None:
            source = ctx.get_parameter_source(name)
            said = source is not click.core.ParameterSource.ENVIRONMENT
            ctx.ensure_object(Flags).take(name, value, said=said)

    return OneSpelling(
        [*names, name],
        type=kind,
        default=None,
        envvar=None if hidden else f"MESOS_{name.upper()}",
        expose_value=False,
        callback=remember,
        help=text,
        hidden=hidden,
    )


class Command(click.Command):
    """A command that takes the global flags as well."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.params += global_flags(hidden=True)


def rewrite_booleans(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with ``--flag=true`` and ``=false``, as Mesos has them, as click's."""
    rewritten: list[str] = []
    for index, argument in enumerate(arguments):
        if argument == "--":
            return [*rewritten, *arguments[index:]]
        name, equals, value = argument.partition("=")
        plain = name.removeprefix("--").replace("-", "_")
        if not equals or not name.startswith("--") or plain not in _BOOLEANS:
            rewritten.append(argument)
        elif value in ("true", "false"):
            rewritten.append(name if value == "true" else f"--no-{name[2:]}")
        else:
            raise UsageError(f"{name}: must be true or false, not {value!r}")
    return rewritten


def json_or_file(text: str, flag: str) -> object:
    """Return the document that a flag gives, itself or as the name of a file."""
    if not text.lstrip().startswith(("{", "[")):
        path = text.removeprefix("file://")
        try:
            data = Path(path).read_bytes()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UsageError(f"{flag}: {path}: {reason}") from error
    else:
        data = os.fsencode(text)
    try:
        return decode_document(data)
    except ValueError as error:
        raise UsageError(f"{flag}: not JSON: {error}") from error
    except UsageError as error:
        raise UsageError(f"{flag}: {error}") from error


def _dns(text: str) -> dict[str, Any]:
    from mesos_cni_port_mapper.cni.errors import CniError
    from mesos_cni_port_mapper.isolator.dns import parse_default_container_dns

    document = json_or_file(text, "--default_container_dns")
    if not isinstance(document, dict):
        raise UsageError(f"--default_container_dns: must be an object, not {shown(document)}")
    try:
        parse_default_container_dns(document)
    except CniError as error:
        raise UsageError(f"--{error.msg}") from error
    return document


def _absolute(path: str | None) -> str | None:
    return os.path.abspath(path) if path else None


def _absolute_each(search_path: str | None) -> str | None:
    """Return a search path that holds wherever detaching is asked for; absolute parts stay."""
    parts = (search_path or "").split(os.pathsep)
    return os.pathsep.join(part and os.path.join(os.getcwd(), part) for part in parts) or None


def find_builtin(plugins_dir: str, own: str) -> str | None:
    """Return the directory of the built-in delegates: beside our program, or a port mapper's."""
    beside = [part for part in plugins_dir.split(os.pathsep) if part]
    for path in (own, os.path.join(own, "../plugins"), *beside):
        found = os.path.normpath(os.path.join(path, BUILTIN_DIRECTORY))
        if os.path.isdir(found):
            return found
    return None
