"""`mesos-cni ports plan`: what a configuration would have done, without doing it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from mesos_cni_port_mapper.cli.flags import Command
from mesos_cni_port_mapper.cli.output import json_flag, print_json
from mesos_cni_port_mapper.cli.ports.batches import encode_batches, print_batches
from mesos_cni_port_mapper.cli.ports.setting import copied, need_privilege, told
from mesos_cni_port_mapper.cni import request as requests
from mesos_cni_port_mapper.cni.address import split_prefix
from mesos_cni_port_mapper.cni.errors import (
    INCOMPATIBLE_VERSION,
    INVALID_CONFIGURATION,
    INVALID_ENVIRONMENT,
    STDIN_UNREADABLE,
    UNDECODABLE,
    UNSUPPORTED_VALUE,
)
from mesos_cni_port_mapper.cni.request import Request
from mesos_cni_port_mapper.cni.result import Result
from mesos_cni_port_mapper.harness.errors import UsageError
from mesos_cni_port_mapper.linux import process, signals
from mesos_cni_port_mapper.netfilter.rehearsal import (
    Batch,
    RehearsedBackEnds,
    RehearsedForwarder,
)
from mesos_cni_port_mapper.port_mapper.work import Work
from mesos_cni_port_mapper.portmap.configuration import parse_forwarding

_WRONG_INPUT = (
    *(INCOMPATIBLE_VERSION, UNSUPPORTED_VALUE, INVALID_ENVIRONMENT, UNDECODABLE),
    *(INVALID_CONFIGURATION, STDIN_UNREADABLE),
)
"""The errors of a request that cannot be meant."""

_SOME_NAMESPACE = "/proc/self/ns/net"


@click.command(
    "plan",
    cls=Command,
    epilog="Example: mesos-cni ports plan --container web --address 10.1.0.2/24 <net.conf",
)
@click.option(
    "--command",
    "verb",
    type=click.Choice(["ADD", "DEL", "CHECK"]),
    default="ADD",
    help="What the runtime would ask for; ADD.",
)
@click.option("--container", "container_id", required=True, help="The container's ID.")
@click.option("--ifname", default="eth0", help="Its interface; eth0.")
@click.option("--netns", default=_SOME_NAMESPACE, help="The path of its network namespace.")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    help="What a delegate would answer, 10.1.0.2/24; instead of a prevResult.",
)
@json_flag
def command(as_json: bool, verb: str, addresses: tuple[str, ...], **attachment: str) -> int:
    """Print the batches that a configuration on standard input would have applied.

    Everything is looked at as it is, and decided as the plugin decides it; tools are asked whether
    they would take a batch, and nothing is changed. No delegate is run: the container's addresses
    are those of prevResult in the configuration, or of --address.
    """
    need_privilege()
    with told(*_WRONG_INPUT):
        batches = _rehearse(_request(verb, addresses, attachment))
    if as_json:
        print_json({"command": verb, "batches": encode_batches(batches)})
    else:
        print_batches(batches)
        if not any(not batch.is_refused for batch in batches):
            sys.stdout.write(f"# {verb} changes nothing\n")
    return 0


def _request(verb: str, addresses: Sequence[str], attachment: dict[str, str]) -> Request:
    """Return the request that a runtime would make."""
    environ = {
        **process.original_environment(os.environ),
        "CNI_COMMAND": verb,
        "CNI_CONTAINERID": attachment["container_id"],
        "CNI_IFNAME": attachment["ifname"],
        "CNI_NETNS": attachment["netns"],
        # No delegate is looked for.
        "CNI_PATH": "/",
    }
    requests.parse_environment(verb, environ)
    netconf = requests.read_netconf(sys.stdin.fileno())
    version = requests.parse_version(verb, netconf)
    if addresses:
        netconf["prevResult"] = _result(addresses, attachment)
    return requests.make_request(verb, environ, netconf, version)


def _result(addresses: Sequence[str], attachment: dict[str, str]) -> dict[str, Any]:
    for address in addresses:
        try:
            split_prefix(address)
        except ValueError as error:
            raise UsageError(f"--address: {error}") from error
    return {
        "cniVersion": "1.0.0",
        "interfaces": [{"name": attachment["ifname"], "sandbox": attachment["netns"]}],
        "ips": [{"address": address, "interface": 0} for address in addresses],
    }


def _rehearse(request: Request) -> list[Batch]:
    signals.hold()
    work = Work(request)
    with copied(work.ledger) as ledger:
        timeouts = work.configuration.timeouts
        backends = RehearsedBackEnds(request.environ, timeouts.tools)
        work.ledger, work.backends = ledger, backends
        work.forwarder = RehearsedForwarder(ledger, backends, timeouts.lock)
        try:
            _STEPS[request.command](work)
        finally:
            work.forwarder.close()
        return backends.tape


def _add(work: Work) -> None:
    wanted = parse_forwarding(work.request.netconf, work.backend)
    if wanted.mappings:
        work.forwarder.preflight(work.backend)
    work.register(wanted)
    work.forward(wanted, _result_of(work))


def _delete(work: Work) -> None:
    work.forwarder.resume(work.attachment)
    work.forwarder.withdraw(work.attachment, work.configuration.chain)


def _check(work: Work) -> None:
    wanted = parse_forwarding(work.request.netconf, work.backend)
    if wanted.mappings:
        work.compare(wanted, _result_of(work))


def _result_of(work: Work) -> Result:
    result = work.previous_result()
    if result is None:
        raise UsageError("--address: is missing, and the configuration has no prevResult")
    return result


_STEPS = {"ADD": _add, "DEL": _delete, "CHECK": _check}
