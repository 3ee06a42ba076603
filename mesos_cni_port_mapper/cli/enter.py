"""`mesos-cni exec`: another command in a container that runs."""

from __future__ import annotations

import os

import click

from mesos_cni_port_mapper.cli.flags import Command, Flags
from mesos_cni_port_mapper.cli.request import parse_environment, refuse_empty
from mesos_cni_port_mapper.harness.containers import inspect
from mesos_cni_port_mapper.harness.docker_plan import name_of
from mesos_cni_port_mapper.harness.enter import run_inside
from mesos_cni_port_mapper.harness.errors import HarnessError, UsageError
from mesos_cni_port_mapper.harness.spec import Spec, check_container_id, check_path


@click.command(
    "exec",
    cls=Command,
    epilog="Example: mesos-cni exec web-1 ip address",
    context_settings={"allow_interspersed_args": False},
)
@click.option("--env", help="More of an environment; a JSON object, or a file of one.")
@click.option("--user", help="A user of the container, by name or ID; with :GROUP another group.")
@click.option("--workdir", help="The command's working directory.")
@click.option("--tty", "-t", is_flag=True, help="Give it a terminal.")
@click.argument("container_id")
@click.argument("arguments", nargs=-1, required=True)
@click.pass_obj
def command(
    flags: Flags,
    env: str | None,
    user: str | None,
    workdir: str | None,
    tty: bool,
    container_id: str,
    arguments: tuple[str, ...],
) -> int:
    """Run a command in all namespaces of a container, and end with its exit status."""
    if arguments[0] == "--":
        arguments = arguments[1:]
    if not arguments:
        raise UsageError("ARGUMENTS: there is nothing to run")
    refuse_empty(env=env, user=user, workdir=workdir)
    container = inspect(flags.runtime_dir, check_container_id(container_id, "CONTAINER_ID"))
    if container.spec.docker:
        # Ours would have none of the limits that the engine puts on what runs there.
        command = f"`docker exec {name_of(container_id)}` does that"
        raise HarnessError(f"container {container_id!r} is Docker's; {command}")
    if tty and not os.isatty(0):
        raise UsageError("--tty: our standard input is no terminal")
    spec = Spec(
        container_id=container_id,
        program=arguments[0],
        argv=arguments,
        environment=parse_environment(env),
        user=user or container.spec.user,
        working_directory=(
            check_path(workdir, "--workdir") if workdir else container.spec.working_directory
        ),
        tty=tty,
    )
    return run_inside(container, spec)
