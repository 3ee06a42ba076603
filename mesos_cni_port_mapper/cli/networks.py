"""`mesos-cni networks`: what is configured, and whether it would work."""

from __future__ import annotations

import click

from mesos_cni_port_mapper.cli.flags import Command, Flags
from mesos_cni_port_mapper.cli.output import json_flag, print_json, print_problems, print_table
from mesos_cni_port_mapper.harness.errors import HarnessError
from mesos_cni_port_mapper.harness.isolation import open_isolator
from mesos_cni_port_mapper.isolator.errors import IsolatorError


@click.command(
    "networks",
    cls=Command,
    epilog="Example: mesos-cni networks --network_cni_config_dir /etc/cni/net.d",
)
@json_flag
@click.pass_obj
def command(flags: Flags, as_json: bool) -> int:
    """List the networks that are configured, with the plugins that are missing for them."""
    try:
        catalogue = open_isolator(flags.options()).networks()
    except IsolatorError as error:
        raise HarnessError(str(error)) from error
    if as_json:
        print_json(
            {
                "networks": [
                    {
                        "name": network.name,
                        "plugins": list(network.configuration.types),
                        "missing": list(network.missing),
                        "file": str(network.file),
                    }
                    for network in catalogue.networks
                ],
                "problems": [
                    {"path": problem.path, "reason": problem.reason}
                    for problem in catalogue.problems
                ],
            }
        )
    else:
        print_table(
            ("NAME", "PLUGINS", "MISSING", "FILE"),
            [
                (
                    network.name,
                    ", ".join(network.configuration.types),
                    ", ".join(network.missing),
                    network.file,
                )
                for network in catalogue.networks
            ],
        )
        print_problems(catalogue.problems)
    return 1 if catalogue.problems or any(each.missing for each in catalogue.networks) else 0
