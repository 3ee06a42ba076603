"""`mesos-cni ports ls`: everything that is forwarded."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import click

from mesos_cni_port_mapper.cli.flags import Command
from mesos_cni_port_mapper.cli.output import json_flag, print_json, print_table
from mesos_cni_port_mapper.cli.ports.setting import (
    encode_attachment,
    open_setting,
    told,
)
from mesos_cni_port_mapper.cli.state_dir import state_dir_flag
from mesos_cni_port_mapper.netfilter.inventory import Holding
from mesos_cni_port_mapper.netfilter.usage import Use, read_use
from mesos_cni_port_mapper.portmap.mapping import ANY, PortRun

_COLUMNS = (
    *("CONTAINER", "NETWORK", "INTERFACE", "HOST-ADDRESS", "PORT", "PROTOCOL", "TARGET"),
    *("BACKEND", "PACKETS", "BYTES", "STATE"),
)


@click.command(
    "ls",
    cls=Command,
    epilog="Example: mesos-cni ports ls --json | jq '.[] | select(.state == \"stale\")'",
)
@json_flag
@state_dir_flag
def command(as_json: bool, state_dir: str) -> int:
    """List port mappings: whose, from where to where, and whether the container is there still.

    A row is a port, or a run of ports, in one family. PACKETS and BYTES are of the packets that
    began a connection: the kernel looks at no other for a mapping. A mapping is stale when its
    container's network namespace is gone, or was of an earlier boot.
    """
    with told():
        setting = open_setting(state_dir)
        holdings = setting.holdings()
        used, problems = read_use(setting.backends, [each.record for each in holdings])
    rows = _in_order(used)
    of = {each.record.attachment: each for each in holdings}
    if as_json:
        print_json([encode_use(use, of[use.record.attachment]) for use in rows])
    else:
        print_table(_COLUMNS, [_row(use, of[use.record.attachment]) for use in rows])
    sys.stderr.writelines(f"mesos-cni: {' '.join(problem.split())}\n" for problem in problems)
    return 1 if problems else 0


def encode_use(use: Use, holding: Holding) -> dict[str, Any]:
    """Return a row as JSON; docs/ports.md says what is in it."""
    run = use.run
    packets, size = use.counted or (None, None)
    return {
        **encode_attachment(use.record.attachment),
        "family": use.family,
        "host_address": run.host_address or ANY[use.family],
        "first_port": run.host_port,
        "last_port": run.host_port + run.count - 1,
        "protocol": run.protocol,
        "target_address": use.address,
        "target_port": run.container_port,
        "backend": use.record.backend,
        "packets": packets,
        "bytes": size,
        "state": holding.state,
        "reason": holding.reason,
    }


def _in_order(used: Iterable[Use]) -> list[Use]:
    return sorted(used, key=lambda use: (use.run.host_port, use.run.protocol, use.family))


def _row(use: Use, holding: Holding) -> tuple[object, ...]:
    attachment, run = use.record.attachment, use.run
    address = f"[{use.address}]" if use.family == 6 else use.address
    packets, size = use.counted or ("", "")
    return (
        attachment.container_id,
        attachment.network,
        attachment.ifname,
        run.host_address or ANY[use.family],
        ports(run.host_port, run),
        run.protocol,
        f"{address}:{ports(run.container_port, run)}",
        use.record.backend,
        str(packets),
        str(size),
        holding.state,
    )


def ports(first: int, run: PortRun) -> str:
    """Return a run's ports, from the first one on: "8080" or "8080-8089"."""
    return str(first) if run.count == 1 else f"{first}-{first + run.count - 1}"
