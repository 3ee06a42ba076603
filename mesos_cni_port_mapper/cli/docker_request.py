"""Decide from the flags of `run --containerizer docker` which container is meant.

What such a container cannot have is refused, as it would otherwise be missed without a word.
"""

from __future__ import annotations

from mesos_cni_port_mapper.cli.request import (
    Request,
    made_up_name,
    parse_command,
    parse_environment,
    parse_hostname,
    parse_networks,
    parse_port,
    parse_volume,
    refuse_empty,
)
from mesos_cni_port_mapper.harness.docker_plan import (
    plan_hostname,
    plan_image,
    plan_mode,
    plan_networks,
)
from mesos_cni_port_mapper.harness.errors import UsageError
from mesos_cni_port_mapper.harness.spec import Docker, Spec, check_container_id, check_path

DOCKER_SOCKET = "/var/run/docker.sock"

_REASONS = {
    "rootfs": "an image is the root, which --docker_image names",
    "task": "tasks are of the other containerizer",
    "task_group": "tasks are of the other containerizer",
    "labels": "labels are for CNI plugins, and Docker's networks have none",
    "tty": "Docker's containers get no terminal here",
}


def plan_docker_run(request: Request, socket: str | None) -> Spec:
    """Return the container that is meant; raises ``UsageError`` naming the flag."""
    refuse_empty(**request.texts())
    for name, reason in _REASONS.items():
        if getattr(request, name):
            flag = name.removesuffix("s") if name == "labels" else name
            raise UsageError(f"--{flag}: has no meaning with --containerizer docker: {reason}")
    names = [network["name"] for network in parse_networks(request.networks)]
    image = plan_image(request.docker_image)
    mode = plan_mode(request.network, names)
    program, argv = _command(request)
    return Spec(
        container_id=_container_id(request),
        name=request.name or "",
        program=program,
        argv=argv,
        environment=parse_environment(request.env),
        networks=plan_networks(mode, names, [parse_port(text) for text in request.ports]),
        hostname=plan_hostname(mode, parse_hostname(request)),
        volumes=tuple(parse_volume(text) for text in request.volumes),
        user=request.user,
        working_directory=check_path(request.workdir, "--workdir") if request.workdir else None,
        docker=Docker(image=image, network=mode, socket=_socket(socket)),
    )


def _container_id(request: Request) -> str:
    name = made_up_name() if request.name is None else request.name
    if "." in name:
        raise UsageError("--name: a container of Docker's is nested in none, so that it has no dot")
    return check_container_id(name, "--name")


def _command(request: Request) -> tuple[str | None, tuple[str, ...]]:
    """Return what is to run; what the image says, if nothing is."""
    if request.command_line is None and not request.arguments:
        return None, ()
    return parse_command(request)


def _socket(path: str | None) -> str:
    return DOCKER_SOCKET if path is None else check_path(path, "--docker_socket")
