"""`mesos-cni recover`: put in order what was left by monitors that were killed, or by a reboot."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from mesos_cni_port_mapper.cli.flags import Command, Flags
from mesos_cni_port_mapper.cli.output import json_flag, print_json, print_problems
from mesos_cni_port_mapper.cli.progress import progress
from mesos_cni_port_mapper.harness.recovery import recover


@click.command("recover", cls=Command, epilog="Example: mesos-cni recover")
@json_flag
@click.pass_obj
def command(flags: Flags, as_json: bool) -> int:
    """Watch over running containers again, detach ended ones, and detach what nobody knows."""
    with progress("recovering"):
        report = recover(flags.options())
    if as_json:
        print_json(asdict(report))
    else:
        for verb, names in (
            ("monitored again", report.monitored),
            ("detached", report.finished),
            ("detached, known to nobody", report.detached),
        ):
            sys.stdout.writelines(f"{name}: {verb}\n" for name in names)
    print_problems(report.problems)
    return 1 if report.problems else 0
