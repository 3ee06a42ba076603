"""`mesos-cni ports`: the ports of this host that lead to containers."""

from __future__ import annotations

import importlib

import click

from mesos_cni_port_mapper.cli.flags import Command

COMMANDS = ("check", "explain", "gc", "ls", "plan", "repair", "restore")
"""Which there are, each in the module of its name, as its ``command``."""


class _Commands(Command, click.Group):
    """The commands, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = importlib.import_module(f"{__name__}.{cmd_name}").command
        return found


command = _Commands(
    "ports",
    help="Look after the ports of this host that lead to containers.",
    epilog="Example: mesos-cni ports ls",
)
