"""`mesos-cni ports check`: in what the kernel differs from what is on record."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click

from mesos_cni_port_mapper.cli.flags import Command
from mesos_cni_port_mapper.cli.output import json_flag, print_json
from mesos_cni_port_mapper.cli.ports.setting import (
    Setting,
    encode_attachment,
    open_setting,
    told,
)
from mesos_cni_port_mapper.cli.state_dir import state_dir_flag
from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.netfilter.inventory import Holding
from mesos_cni_port_mapper.netfilter.listeners import report_listeners
from mesos_cni_port_mapper.netfilter.rehearsal import RehearsedBackEnds
from mesos_cni_port_mapper.netfilter.restoration import without_rivals

Findings = list[tuple[Holding, list[str]]]


@click.command(
    "check", cls=Command, epilog="Example: mesos-cni ports check || mesos-cni ports repair"
)
@json_flag
@state_dir_flag
def command(as_json: bool, state_dir: str) -> int:
    """Compare the kernel with what is on record, and end with 1 if anything differs.

    Every rule of every container that is there still is looked for, with its target, its place
    among others and the jumps that lead to it. Programs that listen in vain on a forwarded port are
    told of on standard error.
    """
    with told():
        # Tables are listed once, however many containers there are.
        setting = open_setting(state_dir, RehearsedBackEnds)
        live = [each for each in setting.holdings() if not each.reason and each.record.mappings]
        findings = _differences(setting, live)
        for each in live:
            report_listeners(each.record.wish())
    if as_json:
        print_json(
            [
                {**encode_attachment(each.record.attachment), "differences": differences}
                for each, differences in findings
            ]
        )
    else:
        for each, differences in findings:
            sys.stdout.writelines(f"{each.record.attachment}: {line}\n" for line in differences)
        if not any(differences for _, differences in findings):
            sys.stdout.write(f"{len(findings)} checked, all as on record\n")
    return 1 if any(differences for _, differences in findings) else 0


def _differences(setting: Setting, live: Iterable[Holding]) -> Findings:
    holdings = list(live)
    forwarder = setting.forwarder()
    findings: Findings = []
    # A takeover that was cut short leaves a port with two records, and one of them has it.
    for holding, record in zip(
        holdings, without_rivals([each.record for each in holdings]), strict=True
    ):
        try:
            findings.append((holding, forwarder.differences(record)))
        except CniError as error:
            findings.append((holding, [" ".join(str(error).split())]))
    return findings
