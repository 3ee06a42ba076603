"""`mesos-cni cleanup`: forget containers that have ended."""

from __future__ import annotations

import click

from mesos_cni_port_mapper.cli.flags import Command, Flags
from mesos_cni_port_mapper.cli.progress import progress
from mesos_cni_port_mapper.harness import containers, signalling, state
from mesos_cni_port_mapper.harness.containers import EXITED, RUNNING
from mesos_cni_port_mapper.harness.errors import HarnessError, UsageError
from mesos_cni_port_mapper.harness.isolation import decode_options
from mesos_cni_port_mapper.harness.spec import check_container_id


@click.command("cleanup", cls=Command, epilog="Example: mesos-cni cleanup web-1")
@click.option("--all", "everything", is_flag=True, help="All containers that have ended.")
@click.argument("container_ids", metavar="[CONTAINER_ID]...", nargs=-1)
@click.pass_obj
def command(flags: Flags, everything: bool, container_ids: tuple[str, ...]) -> None:
    """Remove the output and exit status of ended containers, detaching first what still is not."""
    if everything == bool(container_ids):
        raise UsageError("CONTAINER_ID: give container IDs or --all, and not both")
    checked = [check_container_id(each, "CONTAINER_ID") for each in container_ids]
    failures = []
    for container_id in checked or _ended(flags.runtime_dir):
        try:
            with progress(f"cleaning up {container_id}"):
                _clean(flags, container_id)
        except HarnessError as error:
            failures.append(str(error))
    if failures:
        raise HarnessError("; ".join(failures))


def _ended(runtime_dir: str) -> list[str]:
    found, _ = containers.list_containers(runtime_dir)
    return [each.container_id for each in found if each.state == EXITED]


def _clean(flags: Flags, container_id: str) -> None:
    directory = state.directory_of(flags.runtime_dir, container_id)
    container = containers.look_at(directory)
    if container.state == RUNNING or (container.monitored and container.state != EXITED):
        raise HarnessError(f"container {container_id!r} has not ended; `kill` ends it")
    if not container.ending or not container.ending.detached:
        from mesos_cni_port_mapper.harness.recovery import finish

        finish(directory, decode_options(container.settings, flags.options()))
    signalling.forget(directory)
