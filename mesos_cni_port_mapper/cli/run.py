"""`mesos-cni run`: launch a container and be its front, or leave it to itself."""

from __future__ import annotations

import os
import signal
import socket
import sys
from types import FrameType
from typing import Any

import click
from click.core import ParameterSource

from mesos_cni_port_mapper.cli.flags import Command, Flags, OneSpelling
from mesos_cni_port_mapper.cli.output import print_problems
from mesos_cni_port_mapper.cli.progress import progress
from mesos_cni_port_mapper.cli.request import Request, plan_run
from mesos_cni_port_mapper.harness import containers, output, signalling, terminal
from mesos_cni_port_mapper.harness.containers import Glance
from mesos_cni_port_mapper.harness.docker_plan import NETWORK_MODES
from mesos_cni_port_mapper.harness.errors import HarnessError, UnknownContainerError, UsageError
from mesos_cni_port_mapper.harness.isolation import configuration_problems, open_isolator
from mesos_cni_port_mapper.harness.launch import Launch, launch
from mesos_cni_port_mapper.harness.spec import Spec
from mesos_cni_port_mapper.linux import signals

_FORWARDED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


@click.command(
    "run",
    cls=Command,
    epilog="Example: mesos-cni run --networks web --port 8080:80 --command 'httpd -f'",
)
@click.option("--name", help="The container's ID; made up unless given.")
@click.option("--command", "command_line", help="A line of shell, or with --no-shell a program.")
@click.option("--shell/--no-shell", default=True, help="Whether a shell runs --command.")
@click.option("--env", help="The environment; a JSON object or its file.")
@click.option("--networks", help="Names of networks, separated by commas.")
@click.option("--rootfs", help="A directory to be the container's root.")
@click.option("--hostname", help="The host name; the ID unless given.")
@click.option("--task", help="A Mesos TaskInfo; JSON, or a file of it.")
@click.option(
    "--task_group", "--task-group", cls=OneSpelling, help="A TaskGroupInfo; JSON, or a file of it."
)
@click.option("--port", "ports", multiple=True, help="8080:80 or 8080:80/udp, host port first.")
@click.option(
    "--label", "labels", multiple=True, help="KEY=VALUE, for the first network's plugins."
)
@click.option(
    "--volume", "volumes", multiple=True, help="HOST_PATH:CONTAINER_PATH, :ro at its end."
)
@click.option("--user", help="A user in it, name or ID, or USER:GROUP.")
@click.option("--workdir", help="The command's working directory.")
@click.option("--detach", "-d", is_flag=True, help="Leave it to itself once it runs.")
@click.option("--tty", "-t", is_flag=True, help="Give it a terminal; yours, unless detached.")
@click.option("--interactive", "-i", is_flag=True, help="Let it read our standard input.")
@click.option(
    "--containerizer",
    type=click.Choice(("mesos", "docker")),
    metavar="NAME",
    default="mesos",
    help="mesos (CNI), or docker.",
)
@click.option("--docker_image", "--docker-image", cls=OneSpelling, help="Docker's image to run.")
@click.option(
    "--network",
    type=click.Choice(NETWORK_MODES),
    metavar="MODE",
    help=f"Docker's network: {', '.join(NETWORK_MODES)}.",
)
@click.option(
    "--docker_socket",
    "--docker-socket",
    cls=OneSpelling,
    envvar="MESOS_DOCKER_SOCKET",
    help="The engine's socket.",
)
@click.argument("arguments", nargs=-1)
@click.pass_obj
def command(
    flags: Flags,
    /,
    detach: bool,
    interactive: bool,
    containerizer: str,
    docker_socket: str | None,
    **given: Any,
) -> int:
    """Run a container, and end with its exit status."""
    request = Request(**given)
    specs: tuple[Spec, ...]
    if containerizer == "docker":
        specs = (_plan_docker(request, docker_socket, flags, interactive=interactive),)
    else:
        source = click.get_current_context().get_parameter_source("docker_socket")
        if source is ParameterSource.COMMANDLINE:
            raise UsageError("--docker_socket: needs --containerizer docker")
        specs = plan_run(request)
    options = flags.options()
    if any(spec.networks for spec in specs) and containerizer == "mesos":
        print_problems(configuration_problems(open_isolator(options)))
    if len(specs) > 1:
        from mesos_cni_port_mapper.cli.group import run_group

        return run_group(specs, options, detach=detach)
    (spec,) = specs
    attend = spec.tty and not detach
    if attend and not os.isatty(0):
        raise UsageError("--tty: our standard input is no terminal")
    stdin = 0 if interactive and not spec.tty and not detach else None
    # A container has processes of its own before there is anybody here to pass signals on to it.
    mask = signals.block(_FORWARDED)
    try:
        front = _Front(launch(spec, options, stdin=stdin, attend=attend))
    finally:
        signals.set_mask(mask)
    return front.leave(spec) if detach else front.stay()


def _plan_docker(request: Request, socket: str | None, flags: Flags, *, interactive: bool) -> Spec:
    from mesos_cni_port_mapper.cli.docker_request import plan_docker_run

    if interactive:
        raise UsageError("--interactive: a container of Docker's reads nothing here")
    for name in flags.said():
        if name not in ("runtime_dir", "work_dir"):
            raise UsageError(f"--{name}: is about CNI, which --containerizer docker does without")
    return plan_docker_run(request, socket)


class _Front:
    """What the user has of a container: its output, its terminal, its signals."""

    def __init__(self, started: Launch) -> None:
        self._started = started
        self._directory = started.directory
        self._container: Glance | None = None
        self._early: list[int] = []
        forwarded = set(_FORWARDED)
        if started.terminal:
            # It is our terminal that hung up, not the container's.
            forwarded.discard(signal.SIGHUP)
        self._before = {number: signal.signal(number, self._forward) for number in forwarded}

    def leave(self, spec: Spec) -> int:
        """Say which container runs, and let go of it."""
        try:
            self._await()
        finally:
            self._release()
        sys.stdout.write(f"{spec.container_id}\n")
        return 0

    def stay(self) -> int:
        """Be there until the container has ended, and return its exit status."""
        follower = None
        try:
            self._await()
            if self._started.terminal:
                self._attend(self._started.terminal)
            else:
                follower = output.Follower(self._directory, 1, 2)
                self._follow(follower)
        finally:
            if follower:
                follower.close()
            self._release()
        return _last_word(self._started)

    def _await(self) -> None:
        """Wait until it runs, and let it have what came too late to keep it from that."""
        with progress(f"launching {self._directory.container_id}"):
            self._started.result()
        self._container = containers.glance_at(self._directory)
        for number in self._early:
            self._send(number)

    def _attend(self, client: socket.socket) -> None:
        try:
            terminal.attend(client, 0, 1)
        except BrokenPipeError:
            self._send(signal.SIGPIPE)
            # Or a command that goes on would wait for us to take what it says.
            client.close()
        self._started.ended(None)

    def _follow(self, follower: output.Follower) -> None:
        reading = True
        while True:
            ended = self._started.ended(output.INTERVAL)
            try:
                if reading:
                    follower.copy()
            except BrokenPipeError:
                reading = False
                self._send(signal.SIGPIPE)
            if ended:
                return

    def _forward(self, number: int, _frame: FrameType | None) -> None:
        if self._container is None:
            self._early.append(number)
            self._started.interrupt()
        else:
            self._send(number)

    def _send(self, number: int) -> None:
        if self._container is not None:
            try:
                signalling.send(self._container, number)
            except HarnessError:
                return  # It has just ended.

    def _release(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._started.close()


def _last_word(started: Launch) -> int:
    """Return a container's exit status, and forget it if nothing is left to be done."""
    try:
        ended = containers.glance_at(started.directory)
    except UnknownContainerError:
        return 1  # Somebody else has cleaned it up already.
    if ended.ending is None:
        raise HarnessError(
            f"the monitor of {ended.container_id!r} was killed; `recover` puts things in order"
        )
    if not ended.ending.detached:
        raise HarnessError(
            f"container {ended.container_id!r} ended with status {ended.ending.status}, "
            f"but detaching it failed: {ended.ending.error}"
        )
    signalling.forget(started.directory)
    return 1 if ended.ending.status is None else ended.ending.status
