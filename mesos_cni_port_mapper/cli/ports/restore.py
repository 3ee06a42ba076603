"""`mesos-cni ports restore`: everything comes back after a flush."""

from __future__ import annotations

import os
import sys

import click

from mesos_cni_port_mapper.cli.flags import Command
from mesos_cni_port_mapper.cli.output import json_flag, print_json, print_problems
from mesos_cni_port_mapper.cli.ports.setting import (
    Setting,
    encode_attachment,
    open_setting,
    told,
    wait_for_busy,
)
from mesos_cni_port_mapper.cli.state_dir import state_dir_flag
from mesos_cni_port_mapper.netfilter import upkeep
from mesos_cni_port_mapper.netfilter.inventory import Holding
from mesos_cni_port_mapper.netfilter.upkeep import Restored


@click.command(
    "restore", cls=Command, epilog="Example: systemctl reload firewalld && mesos-cni ports restore"
)
@json_flag
@state_dir_flag
def command(as_json: bool, state_dir: str) -> int:
    """Bring back the rules of every container on record that is there still.

    For when somebody flushed the tables or reloaded a firewall. It is one batch for each table,
    however many containers there are, and nothing at all where nothing is missing. Rules of
    containers that are gone do not come back; `repair` takes them off the record.
    """
    with told():
        setting = open_setting(state_dir)
        wait_for_busy(setting)
        done, holdings = _restore(setting)
    stale = [each for each in holdings if each.reason]
    busy = [each for each in holdings if each.is_busy and not each.reason]
    problems = [" ".join(each.split()) for each in done.problems]
    problems += [f"{each.record.attachment} is being worked on" for each in busy]
    if as_json:
        print_json(
            {
                "restored": [encode_attachment(each.attachment) for each in done.records],
                "stale": [
                    {**encode_attachment(each.record.attachment), "reason": each.reason}
                    for each in stale
                ],
                "problems": problems,
            }
        )
    else:
        sys.stdout.writelines(f"{each.attachment}: restored\n" for each in done.records)
        if not (done.records or problems):
            sys.stdout.write("nothing to do\n")
        print_problems(f"{each.record.attachment}: not restored, {each.reason}" for each in stale)
    print_problems(problems)
    return 1 if problems else 0


def _restore(setting: Setting) -> tuple[Restored, list[Holding]]:
    forwarder = setting.forwarder()
    if not setting.has_state():
        return Restored(records=()), []
    file = forwarder.lock()
    try:
        holdings = setting.holdings()
        records = [each.record for each in holdings if not (each.reason or each.is_busy)]
        return upkeep.restore(forwarder, records, setting.gate()), holdings
    finally:
        os.close(file)
