"""`mesos-cni doctor`: whether this host can forward ports to containers."""

from __future__ import annotations

import sys
from collections import Counter

import click

from mesos_cni_port_mapper.cli.flags import Command, Flags
from mesos_cni_port_mapper.cli.output import json_flag, print_json, print_table
from mesos_cni_port_mapper.cli.state_dir import state_dir_flag
from mesos_cni_port_mapper.doctor.collect import collect
from mesos_cni_port_mapper.doctor.judgement import LEVELS, PROBLEM, Finding, judge
from mesos_cni_port_mapper.explain.observation import held_signals


@click.command(
    "doctor",
    cls=Command,
    epilog="Example: mesos-cni doctor --network_cni_config_dir /etc/cni/net.d",
)
@json_flag
@state_dir_flag
@click.pass_obj
def command(flags: Flags, as_json: bool, state_dir: str) -> int:
    """Look at what forwarding ports takes, and say what is wrong and what to do about it.

    That is tools, tables, kernel parameters, locks, state and configurations. Nothing is changed.
    The exit status is 1 if there is a problem. Most of it can be seen without root.
    """
    with held_signals():
        findings = judge(collect(flags.options(), state_dir))
    problems = [each for each in findings if each.level == PROBLEM]
    if as_json:
        print_json({"findings": [_encode(each) for each in findings], "healthy": not problems})
    else:
        print_table(
            ("LEVEL", "SUBJECT", "FINDING", "REMEDY"),
            [(each.level, each.subject, each.text, each.remedy) for each in findings],
        )
        counts = Counter(each.level for each in findings)
        said = ", ".join(f"{counts[level]} {level}" for level in LEVELS if counts[level])
        sys.stdout.write(f"{said}\n")
    return 1 if problems else 0


def _encode(finding: Finding) -> dict[str, str | None]:
    return {
        "level": finding.level,
        "subject": finding.subject,
        "text": finding.text,
        "remedy": finding.remedy or None,
    }
