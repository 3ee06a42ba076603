"""`mesos-cni ports`: what is forwarded on this host, and how to put it in order.

One module a command, each imported when it is asked for.
"""

from __future__ import annotations

import importlib

import click

from mesos_cni_port_mapper.cli.flags import global_flags

SUBCOMMANDS = {
    "check": "check",
    "explain": "explain",
    "gc": "gc",
    "ls": "ls",
    "plan": "plan",
    "repair": "repair",
    "restore": "restore",
}
"""Which module of this package a command is in, as its ``command``."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(SUBCOMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        module = SUBCOMMANDS.get(cmd_name)
        if module is None:
            return None
        found: click.Command = importlib.import_module(
            f"mesos_cni_port_mapper.cli.ports.{module}"
        ).command
        return found


command = _Commands(
    "ports",
    params=list(global_flags(hidden=True)),
    help="See the port mappings of this host, and put them in order.",
    epilog="Example: mesos-cni ports ls",
)
