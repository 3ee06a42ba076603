"""`mesos-cni ports gc`: remove what is left of containers that nobody knows any more."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from mesos_cni_port_mapper.cli.flags import Command, Flags
from mesos_cni_port_mapper.cli.output import json_flag, print_json, print_problems
from mesos_cni_port_mapper.cli.ports.setting import (
    Setting,
    encode_attachment,
    open_setting,
    told,
)
from mesos_cni_port_mapper.cli.ports.valid import Valid, named, read_valid
from mesos_cni_port_mapper.cli.state_dir import state_dir_flag
from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.cni.request import make_request
from mesos_cni_port_mapper.cni.version import NEWEST
from mesos_cni_port_mapper.harness.isolation import Options
from mesos_cni_port_mapper.isolator.configurations import Catalogue, read_directory
from mesos_cni_port_mapper.isolator.plugin_path import PluginPath
from mesos_cni_port_mapper.netfilter import upkeep
from mesos_cni_port_mapper.netfilter.record import Record
from mesos_cni_port_mapper.portmap.attachment import Attachment

_OWN_TYPE = "mesos-cni-port-mapper"


@dataclass
class Garbage:
    """What there is to be removed of one network; without a ``netconf`` it is rules only."""

    network: str
    valid: list[Attachment]
    records: list[Record]
    netconf: dict[str, Any] | None
    strays: list[str] = field(default_factory=list)


@click.command("gc", cls=Command, epilog="Example: mesos-cni ports gc --valid-from /var/run/mesos")
@click.option(
    "--valid-from",
    "--valid_from",
    "valid_from",
    required=True,
    metavar="PATH|-",
    help="A Mesos state directory (runtime_dir), a file, or standard input.",
)
@click.option("--dry-run", "--dry_run", "dry_run", is_flag=True, help="Say what would go.")
@json_flag
@state_dir_flag
@click.pass_obj
def command(flags: Flags, valid_from: str, dry_run: bool, as_json: bool, state_dir: str) -> int:
    """Remove the rules and addresses of containers that are not among the valid ones.

    A file has JSON, [{"containerID": "web", "ifname": "eth0"}] or a CNI configuration with
    cni.dev/valid-attachments, or a line "CONTAINER [IFNAME]" for each. Delegates are asked where
    the network's configuration is in --network_cni_config_dir; otherwise it is rules only, and the
    container stays on record until there is one.
    """
    valid = read_valid(valid_from)
    with told():
        setting = open_setting(state_dir)
        options = flags.options()
        found = _find_garbage(setting, valid, _catalogue(options))
        problems = [] if dry_run else _remove(setting, found, _plugin_path(options))
    _report(found, problems, dry_run=dry_run, as_json=as_json)
    return 1 if problems else 0


def _find_garbage(setting: Setting, valid: Iterable[Valid], catalogue: Catalogue) -> list[Garbage]:
    known = [each.record for each in setting.holdings()]
    attachments = [record.attachment for record in known]
    forwarder = setting.forwarder()
    found = []
    for network in dict.fromkeys([each.network for each in attachments]):
        kept = named(valid, network, attachments)
        garbage = Garbage(
            network=network,
            valid=kept,
            records=[
                record
                for record in known
                if record.attachment.network == network and record.attachment not in kept
            ],
            netconf=_netconf(catalogue, network),
        )
        for name in setting.backends.usable():
            garbage.strays += forwarder.backend(name).strays(network, [*kept, *attachments])
        found.append(garbage)
    return found


def _remove(setting: Setting, found: Iterable[Garbage], plugin_path: PluginPath) -> list[str]:
    problems = []
    for garbage in found:
        try:
            if garbage.netconf is None:
                _remove_rules(setting, garbage)
            else:
                _collect(setting, garbage, garbage.netconf, plugin_path)
        except CniError as error:
            problems.append(" ".join(str(error).split()))
    return problems


def _collect(
    setting: Setting, garbage: Garbage, netconf: dict[str, Any], plugin_path: PluginPath
) -> None:
    """Have the port mapper serve a GC, so that delegates are asked."""
    from mesos_cni_port_mapper.port_mapper import PortMapper

    types = [
        each["type"]
        for each in (netconf.get("delegate"), *(netconf.get("delegates") or ()))
        if isinstance(each, dict) and isinstance(each.get("type"), str)
    ]
    environ = {
        **setting.environ,
        "CNI_COMMAND": "GC",
        "CNI_PATH": plugin_path.cni_path(types),
    }
    wanted = {
        **netconf,
        "stateDir": setting.state_dir,
        "cni.dev/valid-attachments": [
            {"containerID": each.container_id, "ifname": each.ifname} for each in garbage.valid
        ],
    }
    version = netconf.get("cniVersion") or NEWEST
    PortMapper().gc(make_request("GC", environ, wanted, version))


def _remove_rules(setting: Setting, garbage: Garbage) -> None:
    for record in garbage.records:
        forwarder = setting.forwarder()
        current = forwarder.resume(record.attachment)
        try:
            if current is not None:
                forwarder.withdraw(current.attachment, current.chain)
        finally:
            forwarder.close()
    upkeep.remove_strays(setting.forwarder(), garbage.network, "", garbage.valid)


def _netconf(catalogue: Catalogue, network: str) -> dict[str, Any] | None:
    configured = catalogue.find(network)
    if configured is None:
        return None
    configuration = configured.configuration
    own = [plugin for plugin in configuration.plugins if plugin.get("type") == _OWN_TYPE]
    if not own:
        return None
    version = {"cniVersion": configuration.version} if configuration.version else {}
    return {**own[0], **version, "name": network}


def _catalogue(options: Options) -> Catalogue:
    if options.config_dir is None:
        return Catalogue()
    return read_directory(Path(options.config_dir), _plugin_path(options))


def _plugin_path(options: Options) -> PluginPath:
    builtin = options.builtin_plugins_dir
    return PluginPath(options.plugins_dir or "", Path(builtin) if builtin else None)


def _report(found: list[Garbage], problems: list[str], *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        networks = [
            {
                "network": garbage.network,
                "delegates_asked": garbage.netconf is not None,
                "removed": [encode_attachment(each.attachment) for each in garbage.records],
                "strays": garbage.strays,
            }
            for garbage in found
        ]
        print_json({"dry_run": dry_run, "networks": networks, "problems": problems})
    else:
        lines = [line for garbage in found for line in _lines(garbage, dry_run=dry_run)]
        sys.stdout.writelines(lines if lines or problems else ["nothing to do\n"])
    print_problems(problems)


def _lines(garbage: Garbage, *, dry_run: bool) -> list[str]:
    done = "would go" if dry_run else "removed"
    rules = "" if garbage.netconf else f"; rules only, {garbage.network} has no configuration here"
    lines = [f"{each.attachment}: {done}{rules}\n" for each in garbage.records]
    return lines + [f"on no record: {done}, {mark}\n" for mark in garbage.strays]
