"""`mesos-cni agent`: containers over HTTP."""

from __future__ import annotations

from collections.abc import Mapping

import click
from click.core import ParameterSource

from mesos_cni_port_mapper.cli.flags import Command, Flags
from mesos_cni_port_mapper.harness.agent.access import (
    Listen,
    check_listen,
    check_socket_path,
    read_token,
)
from mesos_cni_port_mapper.harness.errors import UsageError
from mesos_cni_port_mapper.harness.isolation import Options

_IP, _PORT = "127.0.0.1", 5051


@click.command(
    "agent", cls=Command, epilog="Example: mesos-cni agent --network_cni_config_dir /etc/cni/net.d"
)
@click.option("--ip", default=_IP, show_default=True, help="The address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=_PORT,
    show_default=True,
    help="The port to listen at; 0 for any.",
)
@click.option("--socket", help="A Unix socket to listen at instead.")
@click.option(
    "--token_file", "--token-file", help="A file of mode 0600 with a token that callers must have."
)
@click.pass_context
def command(
    ctx: click.Context, ip: str, port: int, socket: str | None, token_file: str | None
) -> int:
    """Launch, list and end containers for HTTP callers, and look after all that run.

    It stays in the foreground. Containers do not depend on it: they keep running without it, and
    it finds them again when it is started.

    Whoever can reach it can run anything as root; at loopback these are all users of the host, and
    containers on the host's network, unless there is a token. At a Unix socket it is root alone.
    """
    flags = ctx.ensure_object(Flags)
    listen = Listen(ip=ip, port=port, socket=socket)
    if socket is not None:
        for name in ("ip", "port"):
            if ctx.get_parameter_source(name) != ParameterSource.DEFAULT:
                raise UsageError(f"--{name}: cannot be given together with --socket")
        check_socket_path(socket)
    token = None if token_file is None else read_token(token_file)
    check_listen(listen, has_token=token is not None)
    options = flags.options()
    from mesos_cni_port_mapper.harness.agent.server import Post, run_agent

    shown = encode_flags(options, listen, token_file)
    return run_agent(Post(options=options, listen=listen, token=token, flags=shown))


def encode_flags(options: Options, listen: Listen, token_file: str | None) -> Mapping[str, str]:
    """Return the flags that count, under Mesos' names, each as a string as in its ``state``."""
    flags: dict[str, object] = {
        "network_cni_config_dir": options.config_dir,
        "network_cni_plugins_dir": options.plugins_dir,
        "network_cni_root_dir_persist": options.root_dir_persist,
        "network_cni_metrics": options.metrics,
        "runtime_dir": options.runtime_dir,
        "work_dir": options.work_dir,
        "plugin_timeout": f"{options.plugin_timeout:g}",
        "isolation": "network/cni",
        "socket": listen.socket,
        "ip": None if listen.socket else listen.ip,
        "port": None if listen.socket else listen.port,
        "token_file": token_file,
    }
    booleans = {True: "true", False: "false"}
    return {
        name: booleans[value] if isinstance(value, bool) else str(value)
        for name, value in flags.items()
        if value is not None
    }
