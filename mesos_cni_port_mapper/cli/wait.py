"""`mesos-cni wait`: until a container has ended."""

from __future__ import annotations

import sys

import click

from mesos_cni_port_mapper.cli.flags import Command, Flags, Seconds
from mesos_cni_port_mapper.cli.output import json_flag, print_json
from mesos_cni_port_mapper.cli.progress import progress
from mesos_cni_port_mapper.harness import signalling, state
from mesos_cni_port_mapper.harness.errors import HarnessError
from mesos_cni_port_mapper.harness.spec import check_container_id


@click.command("wait", cls=Command, epilog="Example: mesos-cni wait --timeout 60 web-1")
@json_flag
@click.option("--timeout", type=Seconds(min=0), help="Give up after so many seconds.")
@click.argument("container_id")
@click.pass_obj
def command(flags: Flags, as_json: bool, timeout: float | None, container_id: str) -> None:
    """Wait until a container has ended and is detached, and print its exit status."""
    checked = check_container_id(container_id, "CONTAINER_ID")
    directory = state.directory_of(flags.runtime_dir, checked)
    try:
        with progress(f"waiting for {checked}"):
            ending = signalling.wait(directory, timeout).ending
    except TimeoutError as error:
        raise HarnessError(f"container {container_id!r} has not ended") from error
    except KeyboardInterrupt as error:
        raise HarnessError("interrupted", 130) from error
    if ending is None:
        raise HarnessError(f"container {container_id!r} has no exit status")
    if as_json:
        print_json({"status": ending.status, "detached": ending.detached, "error": ending.error})
    else:
        sys.stdout.write(f"{'?' if ending.status is None else ending.status}\n")
    if not ending.detached:
        raise HarnessError(f"detaching container {container_id!r} failed: {ending.error}")
