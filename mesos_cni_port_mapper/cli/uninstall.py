"""`mesos-cni uninstall`: take out of a directory of plugins what `install` put there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from mesos_cni_port_mapper.cli import plugins_directory
from mesos_cni_port_mapper.cli.flags import Command
from mesos_cni_port_mapper.cli.install import plugins_dir_flag, print_done, privileges_named
from mesos_cni_port_mapper.cli.installation import plan_uninstall
from mesos_cni_port_mapper.cli.output import json_flag
from mesos_cni_port_mapper.harness.errors import UsageError


@click.command(
    "uninstall", cls=Command, epilog="Example: mesos-cni uninstall --plugins-dir /opt/cni/bin"
)
@plugins_dir_flag
@json_flag
def command(plugins_dir: str, as_json: bool) -> int:
    """Remove the plugins that `install` put into a directory, and nothing else.

    Containers that are attached need their plugins once more, to be detached: see to that first.
    """
    target = Path(os.path.abspath(plugins_dir))
    if not target.is_dir():
        raise UsageError(f"--plugins-dir: {target}: not a directory")
    with privileges_named(), plugins_directory.locked(target):
        steps = plan_uninstall(plugins_directory.look_at(target))
        done, kept = plugins_directory.apply(target, target, steps)
    print_done(target, None, done, kept, as_json=as_json)
    for version, pids in kept.items():
        running = ", ".join(map(str, pids))
        sys.stderr.write(
            f"mesos-cni: {target / version}: kept, as pid {running} runs from it; repeat it later\n"
        )
    return 1 if kept else 0
