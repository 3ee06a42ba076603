"""The flag of every command that reads the port mapper's state, which is not the runtime's."""

from __future__ import annotations

import click

from mesos_cni_port_mapper.cli.flags import OneSpelling
from mesos_cni_port_mapper.cni.fields import shown
from mesos_cni_port_mapper.harness.errors import UsageError
from mesos_cni_port_mapper.portmap.configuration import DEFAULT_STATE_DIRECTORY


def _check(_ctx: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not value.startswith("/") or not value.isprintable():
        raise UsageError(f"--state_dir: must be an absolute path, not {shown(value)}")
    return value.rstrip("/")


state_dir_flag = click.option(
    "--state_dir",
    "--state-dir",
    "state_dir",
    cls=OneSpelling,
    envvar="MESOS_STATE_DIR",
    default=DEFAULT_STATE_DIRECTORY,
    metavar="DIR",
    callback=_check,
    help=f"The port mapper's stateDir; {DEFAULT_STATE_DIRECTORY}.",
)
