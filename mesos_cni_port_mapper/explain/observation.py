"""Look at a host: its tables, its addresses and settings, what is on record, and who listens."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.explain.explanation import Observation
from mesos_cni_port_mapper.explain.iptables import parse_tables
from mesos_cni_port_mapper.explain.model import LEGACY, NFT, Table
from mesos_cni_port_mapper.explain.nft import orders_of, parse_ruleset
from mesos_cni_port_mapper.explain.owners import Known
from mesos_cni_port_mapper.explain.packet import Surroundings
from mesos_cni_port_mapper.harness.errors import HarnessError, one_line
from mesos_cni_port_mapper.isolator import children
from mesos_cni_port_mapper.linux import files, netlink, process, signals, sockets, syscalls
from mesos_cni_port_mapper.linux.host import Host, this_host
from mesos_cni_port_mapper.linux.interfaces import interface_addresses
from mesos_cni_port_mapper.netfilter.conflicts import is_namespace, is_stale
from mesos_cni_port_mapper.netfilter.ledger import Ledger
from mesos_cni_port_mapper.netfilter.listeners import Listener, parse_sockets
from mesos_cni_port_mapper.netfilter.nft import Nft
from mesos_cni_port_mapper.netfilter.record import Record

_SECONDS = 30.0
_LEGACY_NAMES = {4: "/proc/net/ip_tables_names", 6: "/proc/net/ip6_tables_names"}


@contextlib.contextmanager
def held_signals() -> Iterator[None]:
    """Run tools with signals held, as waiting for them needs (``linux.signals``)."""
    mask = signals.block(())
    signals.hold()
    try:
        yield
    except signals.Interrupted as error:
        raise HarnessError("interrupted", 128 + error.number) from error
    finally:
        signals.set_mask(mask)


def observe(state_directory: str, protocol: str, family: int) -> Observation:
    """Look at everything that may decide about connections of a protocol; nothing is changed.

    Raises ``HarnessError`` where rules cannot be listed for want of privilege.
    """
    environ = process.original_environment(os.environ)
    unseen: list[str] = []
    host = this_host()
    ledger = Ledger(directory=f"{state_directory}/{host.network_namespace}")
    try:
        known = [known_on(record, host) for record in ledger.records()]
    except OSError as error:
        known = []
        unseen.append(f"{ledger.directory}: {one_line(error)}")
    return Observation(
        tables=observe_tables(environ, family, unseen),
        surroundings=observe_surroundings(),
        known=known,
        listeners=_listeners(protocol, sockets.read_tables(protocol)),
        listeners_in=_listeners_in,
        unseen=unseen,
    )


def observe_surroundings() -> Surroundings:
    """Look at the host's addresses; routes and settings are looked up when they are asked for."""
    interfaces: dict[str, list[str]] = {}
    for family in (4, 6):
        for device, address in interface_addresses(family):
            interfaces.setdefault(device, []).append(address)
    return Surroundings(
        interfaces={device: tuple(held) for device, held in interfaces.items()},
        route=netlink.route_interface,
        setting=read_setting,
    )


def read_setting(path: str) -> str:
    """Return a kernel parameter, "" where there is none."""
    try:
        return (files.read(f"/proc/sys/{path}") or b"").decode().strip()
    except OSError:
        return ""


def observe_tables(environ: Mapping[str, str], family: int, unseen: list[str]) -> list[Table]:
    """List the tables of both worlds; legacy ones only if there are any, for looking makes them."""
    ruleset = _ruleset(environ, unseen)
    orders = orders_of(ruleset)
    program = "iptables" if family == 4 else "ip6tables"
    tables: list[Table] = []
    saved = _save(environ, program, NFT, unseen)
    if saved:
        tables += parse_tables(saved, NFT, family, orders)
    if (files.read(_LEGACY_NAMES[family]) or b"").strip():
        saved = _save(environ, program, LEGACY, unseen)
        tables += parse_tables(saved, LEGACY, family, {})
    listed = [(table.family, table.name) for table in tables if table.world == NFT]
    try:
        others = parse_ruleset(ruleset, but=listed)
    except ValueError as error:
        unseen.append(f"nft: {error}")
        return tables
    unseen += [
        f"{table.place}: it holds rules of nft too, so that iptables-save does not print it, and "
        "nft does not say what rules of iptables match"
        for table in others
        if table.opaque and table.serves(family)
    ]
    return tables + others


def _ruleset(environ: Mapping[str, str], unseen: list[str]) -> Any:
    nft = Nft(program=process.find_tool("nft", environ), environ=environ, seconds=_SECONDS)
    if not nft.program:
        unseen.append("nf_tables: nft is not installed")
        return {"nftables": []}
    try:
        return nft.ruleset()
    except CniError as error:
        if os.geteuid():
            raise HarnessError("needs root to list rules (CAP_NET_ADMIN)") from error
        unseen.append(f"nf_tables: {error.msg}")
        return {"nftables": []}


def _save(environ: Mapping[str, str], program: str, world: str, unseen: list[str]) -> bytes:
    """Return what one variant of iptables-save prints, nothing where it is not installed."""
    word = "legacy" if world == LEGACY else "nft"
    path = process.find_tool(f"{program}-{word}-save", environ)
    if not path:
        path = process.find_tool(f"{program}-save", environ)
        if not path or variant_of(path, environ) != word:
            unseen.append(f"{world} by {program}: {program}-{word}-save is not installed")
            return b""
    try:
        done = process.run([path], environ, b"", _SECONDS)
    except (OSError, process.DeadlineError) as error:
        unseen.append(f"{path}: {one_line(error)}")
        return b""
    if done.status != 0:
        if os.geteuid():
            raise HarnessError("needs root to list rules (CAP_NET_ADMIN)")
        unseen.append(f"{path} ended with {done.status}")
        return b""
    return done.stdout


def variant_of(path: str, environ: Mapping[str, str]) -> str:
    """Return "nft" or "legacy", as a program of iptables says itself, "" where it does not."""
    try:
        done = process.run([path, "--version"], environ, b"", _SECONDS)
    except (OSError, process.DeadlineError):
        return ""
    words = done.stdout.decode(errors="replace")
    if "nf_tables" in words:
        return "nft"
    return "legacy" if done.status == 0 else ""


def known_on(record: Record, host: Host) -> Known:
    """Return a record with what says that its container is gone."""
    here = record.but(
        boot_id=host.boot_id, mount_namespace=host.mount_namespace, addresses=(), netns=""
    )
    if not is_stale(record, here):
        return Known(record)
    if record.boot_id != host.boot_id:
        return Known(record, "it is of an earlier boot")
    return Known(record, f"{record.netns} is no network namespace any more")


def _listeners(protocol: str, tables: Sequence[bytes]) -> list[Listener]:
    return [each for table in tables for each in parse_sockets(protocol, table)]


def _listeners_in(known: Known, protocol: str) -> list[Listener] | None:
    """Return who listens in a container, nothing where one may not look."""
    if not known.record.netns or not is_namespace(known.record.netns):
        return None
    try:
        joined = children.perform_now(lambda: _read_sockets(known.record.netns, protocol))
    except OSError:
        return None
    return _listeners(protocol, joined.split(b"\0"))


def _read_sockets(netns: str, protocol: str) -> bytes:
    file = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(file, syscalls.CLONE_NEWNET)
    finally:
        os.close(file)
    return b"\0".join(sockets.read_tables(protocol))
