"""`mesos-cni usage`: what a container has sent and received."""

from __future__ import annotations

import click

from mesos_cni_port_mapper.cli.flags import Command, Flags
from mesos_cni_port_mapper.cli.output import json_flag, print_fields, print_json
from mesos_cni_port_mapper.harness.containers import RUNNING, inspect
from mesos_cni_port_mapper.harness.docker_plan import name_of
from mesos_cni_port_mapper.harness.errors import HarnessError
from mesos_cni_port_mapper.harness.isolation import decode_options, open_isolator
from mesos_cni_port_mapper.harness.spec import check_container_id
from mesos_cni_port_mapper.isolator.errors import IsolatorError


@click.command("usage", cls=Command, epilog="Example: mesos-cni usage web-1")
@json_flag
@click.argument("container_id")
@click.pass_obj
def command(flags: Flags, as_json: bool, container_id: str) -> None:
    """Show the counters of a container's interfaces; on the host's network there are none."""
    container = inspect(flags.runtime_dir, check_container_id(container_id, "CONTAINER_ID"))
    if container.state != RUNNING:
        raise HarnessError(f"container {container_id!r} does not run")
    if container.spec.docker:
        command = f"`docker stats {name_of(container_id)}` has the counters"
        raise HarnessError(f"container {container_id!r} is Docker's; {command}")
    options = decode_options(container.settings, flags.options())
    try:
        usage = open_isolator(options).usage(container_id)
    except IsolatorError as error:
        raise HarnessError(str(error)) from error
    if as_json:
        print_json(usage)
    elif usage:
        print_fields((name, str(count)) for name, count in usage.items())
