"""`mesos-cni logs`: a container's output."""

from __future__ import annotations

import click

from mesos_cni_port_mapper.cli.flags import Command, Flags
from mesos_cni_port_mapper.harness import signalling, state
from mesos_cni_port_mapper.harness.errors import HarnessError
from mesos_cni_port_mapper.harness.output import INTERVAL, Follower
from mesos_cni_port_mapper.harness.spec import check_container_id


@click.command("logs", cls=Command, epilog="Example: mesos-cni logs --follow web-1")
@click.option("--follow", "-f", is_flag=True, help="Go on until the container ends.")
@click.argument("container_id")
@click.pass_obj
def command(flags: Flags, follow: bool, container_id: str) -> int:
    """Print a container's stdout and stderr, each on our own."""
    checked = check_container_id(container_id, "CONTAINER_ID")
    directory = state.directory_of(flags.runtime_dir, checked)
    follower = Follower(directory, 1, 2)
    try:
        follower.copy()
        while follow and not _ended(directory):
            follower.copy()
        follower.copy()
    except KeyboardInterrupt:
        return 130
    finally:
        follower.close()
    return 0


def _ended(directory: state.Directory) -> bool:
    try:
        signalling.wait(directory, INTERVAL)
    except TimeoutError:
        return False
    except HarnessError:
        return True  # Cleaned up, or lost: nothing more will come.
    return True
