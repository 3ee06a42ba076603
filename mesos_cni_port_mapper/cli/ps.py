"""`mesos-cni ps`: all containers."""

from __future__ import annotations

import shlex
import sys

import click

from mesos_cni_port_mapper.cli.flags import Command, Flags
from mesos_cni_port_mapper.cli.output import (
    addresses_of,
    json_flag,
    print_json,
    print_problems,
    print_table,
    since,
)
from mesos_cni_port_mapper.cli.status import encode_container
from mesos_cni_port_mapper.harness.containers import Container, list_containers


@click.command("ps", cls=Command, epilog="Example: mesos-cni ps --json")
@json_flag
@click.option("--quiet", "-q", is_flag=True, help="Print IDs alone.")
@click.pass_obj
def command(flags: Flags, as_json: bool, quiet: bool) -> int:
    """List containers, ended ones too until they are cleaned up."""
    found, problems = list_containers(flags.runtime_dir)
    if quiet:
        sys.stdout.writelines(f"{container.container_id}\n" for container in found)
    elif as_json:
        print_json([encode_container(container) for container in found])
    else:
        print_table(
            ("ID", "STATE", "PID", "NETWORKS", "ADDRESSES", "AGE", "COMMAND"),
            [_row(container) for container in found],
        )
    print_problems(problems)
    return 1 if problems else 0


def describe_state(container: Container) -> str:
    """Return a container's state with what is remarkable about it."""
    ending = container.ending
    if ending:
        status = "?" if ending.status is None else ending.status
        return f"exited ({status})" + ("" if ending.detached else ", not detached")
    unwatched = not container.monitored and container.state == "running"
    return container.state + (", no monitor" if unwatched else "")


def _row(container: Container) -> tuple[object, ...]:
    spec = container.spec
    return (
        spec.container_id,
        describe_state(container),
        container.pid,
        ", ".join(network["name"] for network in spec.networks if network.get("name")) or "host",
        addresses_of(container.network_infos) if not container.ending else "",
        since(container.created),
        shlex.join(spec.argv),
    )
