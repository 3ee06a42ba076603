"""`mesos-cni kill`: end a container, or send it a signal."""

from __future__ import annotations

import click

from mesos_cni_port_mapper.cli.flags import Command, Flags, Seconds
from mesos_cni_port_mapper.cli.progress import progress
from mesos_cni_port_mapper.harness import containers, signalling, state
from mesos_cni_port_mapper.harness.errors import HarnessError, UnknownContainerError
from mesos_cni_port_mapper.harness.spec import check_container_id


@click.command("kill", cls=Command, epilog="Example: mesos-cni kill --signal HUP web-1")
@click.option("--signal", "signal_name", help="Send this signal, and do not wait.")
@click.option(
    "--grace",
    type=Seconds(min=0, max=86400),
    default=5,
    show_default=True,
    help="Seconds between TERM and KILL.",
)
@click.argument("container_id")
@click.pass_obj
def command(flags: Flags, signal_name: str | None, grace: float, container_id: str) -> None:
    """End a container and wait until it is detached; its output and status stay until cleanup.

    It is sent TERM, and KILL if it has not ended after the grace period. With --signal it is sent
    that signal alone.
    """
    checked = check_container_id(container_id, "CONTAINER_ID")
    number = signalling.parse_signal(signal_name, "--signal") if signal_name is not None else 0
    directory = state.directory_of(flags.runtime_dir, checked)
    if number:
        signalling.send(containers.glance_at(directory), number)
        return
    try:
        with progress(f"ending {checked}"):
            ending = signalling.stop(directory, grace).ending
    except UnknownContainerError:
        return  # It had not been launched yet, and now never will be.
    if ending and not ending.detached:
        raise HarnessError(f"detaching container {container_id!r} failed: {ending.error}")
