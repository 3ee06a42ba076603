"""`mesos-cni ports`: the ports of this host that lead to containers."""

from __future__ import annotations

from mesos_cni_port_mapper.cli.flags import Command
from mesos_cni_port_mapper.cli.lazy import Group

COMMANDS = ("check", "explain", "gc", "ls", "plan", "repair", "restore")
"""Which there are, each in the module of its name, as its ``command``."""


class _Commands(Command, Group):
    """Commands that share the global flags."""


command = _Commands(
    "ports",
    modules={name: f"{__name__}.{name}" for name in COMMANDS},
    help="Look after the ports of this host that lead to containers.",
    epilog="Example: mesos-cni ports ls",
)
