"""`mesos-cni ports repair`: have the kernel hold what is on record, and the record who is there."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

import click

from mesos_cni_port_mapper.cli.flags import Command
from mesos_cni_port_mapper.cli.output import json_flag, print_json
from mesos_cni_port_mapper.cli.ports.batches import encode_batches, print_batches
from mesos_cni_port_mapper.cli.ports.setting import (
    Setting,
    encode_attachment,
    open_rehearsal,
    open_setting,
    told,
    wait_for_busy,
)
from mesos_cni_port_mapper.cli.state_dir import state_dir_flag
from mesos_cni_port_mapper.harness.errors import HarnessError, UsageError
from mesos_cni_port_mapper.netfilter import upkeep
from mesos_cni_port_mapper.netfilter.inventory import Holding
from mesos_cni_port_mapper.netfilter.rehearsal import Batch
from mesos_cni_port_mapper.netfilter.upkeep import Restored


@dataclass(frozen=True)
class Repair:
    """What was done, or would be: who came back, who went, and marks without a record."""

    restored: Restored
    stale: tuple[Holding, ...]
    strays: tuple[str, ...]
    batches: tuple[Batch, ...] = ()


@click.command(
    "repair",
    cls=Command,
    epilog="Example: mesos-cni ports repair --forget web-1 --yes",
)
@click.option("--dry-run", "--dry_run", "dry_run", is_flag=True, help="Print the batches only.")
@click.option(
    "--forget", metavar="CONTAINER", help="Take a container off the record; no rule goes."
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask whether to forget.")
@json_flag
@state_dir_flag
def command(dry_run: bool, forget: str | None, yes: bool, as_json: bool, state_dir: str) -> int:
    """Bring back what is missing, and remove what is nobody's, in one batch for each table.

    Rules of containers that are gone are removed with their records, and so are rules of ours that
    are on no record. Their addresses stay with their delegates; `gc` frees those too.

    --forget is for a DEL that fails because the tool is gone that its rules were made with: it
    forgets them, and leaves what there may be in the kernel.
    """
    if forget is not None and dry_run:
        raise UsageError("--forget: cannot be given together with --dry-run")
    if forget is not None:
        with told():
            return _forget(open_setting(state_dir), forget, sure=yes, as_json=as_json)
    with told():
        if dry_run:
            with open_rehearsal(state_dir) as setting:
                done = _repair(setting)
        else:
            setting = open_setting(state_dir)
            wait_for_busy(setting)
            done = _repair(setting)
    _report(done, dry_run=dry_run, as_json=as_json)
    problems = [" ".join(each.split()) for each in done.restored.problems]
    sys.stderr.writelines(f"mesos-cni: {problem}\n" for problem in problems)
    return 1 if problems else 0


def _repair(setting: Setting) -> Repair:
    forwarder, gate = setting.forwarder(), setting.gate()
    if not setting.has_state():
        if upkeep.find_strays(forwarder, ()):
            # All of it would be on no record. Rather is it the wrong directory.
            raise HarnessError(
                f"--state_dir: there are rules, and {setting.state_dir} has no state of this "
                "network namespace"
            )
        return Repair(restored=Restored(records=()), stale=(), strays=())
    file = forwarder.lock()
    try:
        holdings = setting.holdings()
        stale = [each for each in holdings if each.reason and not each.is_busy]
        gone = [each.record for each in stale]
        kept = [each.record.attachment for each in holdings if each not in stale]
        marks = upkeep.find_strays(forwarder, kept)
        lost = upkeep.without_owners(forwarder, marks, gone)
        upkeep.shut_behind(forwarder, gate, gone, lost)
        records = [each.record for each in holdings if not (each.reason or each.is_busy)]
        restored = upkeep.restore(forwarder, records, gate, marks)
        if not restored.problems:
            for record in gone:
                upkeep.strike_off(setting.ledger, record)
            setting.ledger.forget_unknown()
    finally:
        os.close(file)
    return Repair(
        restored=restored,
        stale=tuple(stale),
        strays=tuple([mark for each in lost.values() for mark in each]),
        batches=tuple(setting.tape()),
    )


def _report(done: Repair, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        document = {
            "dry_run": dry_run,
            "restored": [encode_attachment(each.attachment) for each in done.restored.records],
            "removed": [
                {**encode_attachment(each.record.attachment), "reason": each.reason}
                for each in done.stale
            ],
            "strays": list(done.strays),
        }
        print_json({**document, "batches": encode_batches(done.batches)} if dry_run else document)
        return
    lines = [f"{each.attachment}: restored" for each in done.restored.records]
    lines += [f"{each.record.attachment}: removed, {each.reason}" for each in done.stale]
    lines += [f"on no record: removed, {mark}" for mark in done.strays]
    sys.stdout.writelines(f"{'# ' if dry_run else ''}{line}\n" for line in lines)
    if dry_run:
        print_batches(done.batches)
    if not (lines or done.restored.problems):
        sys.stdout.write("nothing to do\n")


def _forget(setting: Setting, container_id: str, *, sure: bool, as_json: bool) -> int:
    records = [
        each.record
        for each in setting.holdings()
        if each.record.attachment.container_id == container_id
    ]
    if not records:
        raise HarnessError(f"there is no container {container_id!r} on record")
    if not sure and sys.stdin.isatty():
        names = ", ".join(str(record.attachment) for record in records)
        click.confirm(f"Forget {names}, whatever rules it has?", abort=True, err=True)
    elif not sure:
        raise UsageError("--forget: needs --yes where nobody can be asked")
    file = setting.forwarder().lock()
    try:
        for record in records:
            upkeep.strike_off(setting.ledger, record)
    finally:
        os.close(file)
    if as_json:
        print_json({"forgotten": [encode_attachment(record.attachment) for record in records]})
    else:
        sys.stdout.writelines(f"{record.attachment}: forgotten\n" for record in records)
    return 0
