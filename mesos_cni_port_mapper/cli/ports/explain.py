"""`mesos-cni ports explain`: which rule wins for a new connection, and why."""

from __future__ import annotations

import socket
import sys
from typing import Any

import click

from mesos_cni_port_mapper.cli.flags import Command
from mesos_cni_port_mapper.cli.output import json_flag, print_json
from mesos_cni_port_mapper.cli.state_dir import state_dir_flag
from mesos_cni_port_mapper.cni.address import canonical, family_of
from mesos_cni_port_mapper.explain.observation import held_signals, observe
from mesos_cni_port_mapper.explain.packet import HOST, OUTSIDE, Packet, Surroundings
from mesos_cni_port_mapper.explain.report import encode_explanation, render_explanation
from mesos_cni_port_mapper.explain.verdict import explain
from mesos_cni_port_mapper.harness.errors import HarnessError, UsageError, one_line
from mesos_cni_port_mapper.linux import sockets
from mesos_cni_port_mapper.portmap.mapping import HIGHEST_PORT, PROTOCOLS


@click.command(
    "explain",
    cls=Command,
    epilog="Example: mesos-cni ports explain tcp 192.0.2.1:8080 --from eth0",
)
@json_flag
@click.option(
    "--from",
    "origin",
    metavar="ADDRESS|DEVICE",
    help="Who connects; by default somebody beyond the device that has the address.",
)
@state_dir_flag
@click.argument("protocol", metavar="PROTOCOL")
@click.argument("target", metavar="ADDRESS:PORT")
def command(as_json: bool, origin: str | None, state_dir: str, protocol: str, target: str) -> None:
    """Explain where a new connection goes: which rule wins, whose it is, and why.

    PROTOCOL is tcp, udp or sctp; an IPv6 address is written [2001:db8::1]:8080. What depends on
    something that rules do not tell is said with an "if". Nothing is sent and nothing changed.
    """
    if protocol.lower() not in PROTOCOLS:
        raise UsageError(f"PROTOCOL: must be one of {', '.join(PROTOCOLS)}, not {protocol!r}")
    address, port = _parse_target(target)
    _check_origin(origin, address)
    try:
        with held_signals():
            seen = observe(state_dir, protocol.lower(), family_of(address))
            packet, where = _packet(protocol.lower(), address, port, origin, seen.surroundings)
            explanation = explain(seen, packet, where)
    except OSError as error:
        raise HarnessError(f"cannot look at this host: {one_line(error)}") from error
    holders = sockets.find_holders({each.inode for each in explanation.listeners})
    if as_json:
        print_json(encode_explanation(explanation, holders))
    else:
        sys.stdout.writelines(f"{line}\n" for line in render_explanation(explanation, holders))


def _parse_target(text: str) -> tuple[str, int]:
    if text.startswith("["):
        address, _, port = text[1:].partition("]:")
    else:
        address, _, port = text.rpartition(":")
    if not family_of(address) or (text.startswith("[") != (":" in address)):
        raise UsageError(
            f"ADDRESS:PORT: must be like 192.0.2.1:8080 or [2001:db8::1]:8080, not {text!r}"
        )
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= HIGHEST_PORT):
        raise UsageError(f"ADDRESS:PORT: {port!r} is no port from 1 to {HIGHEST_PORT}")
    return canonical(address), int(port)


def _check_origin(origin: str | None, address: str) -> None:
    if origin is None:
        return
    family = family_of(origin)
    if not family:
        _check_device(origin)
    if family and family != family_of(address):
        raise UsageError(f"--from: {origin} and {address} are of different families")


def _check_device(origin: str) -> None:
    try:
        socket.if_nametoindex(origin)
    except (OSError, ValueError):
        raise UsageError(f"--from: {origin!r} is neither an address nor a device here") from None


def _packet(
    protocol: str, address: str, port: int, origin: str | None, host: Surroundings
) -> tuple[Packet, str]:
    """Return the first packet, and whether it begins on the host itself."""
    kept: dict[str, Any] = {"protocol": protocol, "destination": address, "port": port}
    if origin is None and not _is_loopback(address):
        device = host.device_of(address) if host.is_local(address) else ""
        return Packet(**kept, in_device=device or _uplink(host, address)), OUTSIDE
    if origin is None or origin == "lo":
        return Packet(**kept, source=_own(host, address)), HOST
    if not family_of(origin):
        return Packet(**kept, in_device=origin), OUTSIDE
    source = canonical(origin)
    if host.is_local(source):
        return Packet(**kept, source=source), HOST
    device = host.route(source)
    if not device:
        raise UsageError(f"--from: there is no route to {origin}")
    return Packet(**kept, source=source, in_device=device), OUTSIDE


def _is_loopback(address: str) -> bool:
    """Tell whether only the host itself can ask for an address."""
    return address.startswith("127.") or address == "::1"


def _own(host: Surroundings, address: str) -> str:
    """Return the address from which the host speaks to one: to its own, from the same."""
    if host.is_local(address):
        return address
    return host.address_of(host.route(address), family_of(address))


def _uplink(host: Surroundings, address: str) -> str:
    device = host.route(address)
    return "" if device == "lo" else device
