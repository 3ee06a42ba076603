"""Look at a host. Nothing is changed: what looking would create is not looked at."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mesos_cni_port_mapper.cni.errors import CniError, os_reason
from mesos_cni_port_mapper.cni.executable import own_directory
from mesos_cni_port_mapper.doctor.facts import Facts, Lock, Network, State, Tables, Tool
from mesos_cni_port_mapper.explain.model import LEGACY, NFT, Table
from mesos_cni_port_mapper.explain.observation import (
    known_on,
    observe_tables,
    read_setting,
    variant_of,
)
from mesos_cni_port_mapper.harness.errors import HarnessError
from mesos_cni_port_mapper.harness.isolation import Options
from mesos_cni_port_mapper.isolator.configurations import ConfiguredNetwork, read_directory
from mesos_cni_port_mapper.isolator.plugin_path import PluginPath
from mesos_cni_port_mapper.linux import files, lock, process
from mesos_cni_port_mapper.linux.host import this_host
from mesos_cni_port_mapper.netfilter.backends import BackEnds
from mesos_cni_port_mapper.netfilter.iptables import find_iptables
from mesos_cni_port_mapper.netfilter.ledger import Ledger
from mesos_cni_port_mapper.netfilter.nft import Nft
from mesos_cni_port_mapper.netfilter.record import decode_record
from mesos_cni_port_mapper.portmap import nft_script
from mesos_cni_port_mapper.portmap.attachment import is_tag
from mesos_cni_port_mapper.portmap.configuration import parse_configuration, parse_forwarding
from mesos_cni_port_mapper.portmap.traffic import IPTABLES

PORT_MAPPER = "mesos-cni-port-mapper"
_SECONDS = 30.0
_PATIENCE = 2.0
_NET_ADMIN = 12
_SETTINGS = (
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/ipv4/conf/all/route_localnet",
    "net/ipv4/conf/all/rp_filter",
    "net/bridge/bridge-nf-call-iptables",
    "net/bridge/bridge-nf-call-ip6tables",
)
_LEGACY_NAMES = {4: "/proc/net/ip_tables_names", 6: "/proc/net/ip6_tables_names"}


def collect(options: Options, state_directory: str) -> Facts:
    """Look at everything; what one may not look at is noted."""
    environ = process.original_environment(os.environ)
    unseen: list[str] = []
    privileged = _is_privileged()
    tables = _tables(environ, unseen) if privileged else {}
    networks, problems = _networks(options, environ)
    return Facts(
        privileged=privileged,
        tools=_tools(environ),
        trials=_trials(environ) if privileged else {},
        modules=_modules(),
        tables=tables,
        settings={name.replace("/", "."): read_setting(name) for name in _SETTINGS},
        open_interfaces=_open_interfaces(),
        flushers=_flushers(),
        locks=_locks(environ, state_directory),
        state=_state(state_directory),
        configurations=options.config_dir or "",
        networks=networks,
        problems=problems,
        unseen=tuple(dict.fromkeys(unseen)),
    )


def _is_privileged() -> bool:
    status = (files.read("/proc/self/status") or b"").decode()
    line = next((each for each in status.splitlines() if each.startswith("CapEff:")), "CapEff: 0")
    return bool(int(line.split()[1], 16) >> _NET_ADMIN & 1)


def _tools(environ: Mapping[str, str]) -> dict[str, Tool]:
    names = [
        f"{program}-{verb}" for program in ("iptables", "ip6tables") for verb in ("restore", "save")
    ]
    found = {name: _tool(name, process.find_tool(name, environ), environ) for name in names}
    found["nft"] = _tool("nft", process.find_tool("nft", environ), environ)
    own = own_directory()
    places = [own, f"{own}/../plugins"]
    found["libiptc"] = Tool(
        "libiptc",
        process.find_program(
            "mesos-cni-libiptc", [f"{each}/.mesos-cni-libiptc" for each in places]
        ),
    )
    return found


def _tool(name: str, path: str, environ: Mapping[str, str]) -> Tool:
    if not path:
        return Tool(name)
    try:
        done = process.run([path, "--version"], environ, b"", _SECONDS)
        version = done.stdout.decode(errors="replace").partition("\n")[0].strip()
    except (OSError, process.DeadlineError):
        version = ""
    return Tool(name, path, "" if name == "nft" else variant_of(path, environ), version)


def _trials(environ: Mapping[str, str]) -> dict[str, str]:
    """Have each tool check an empty change, but for one that would create a legacy table."""
    backends = BackEnds(environ, _SECONDS)
    trials = {}
    for family in backends.families(IPTABLES):
        tools = find_iptables(family, environ, _SECONDS)
        names = (files.read(_LEGACY_NAMES[family]) or b"").decode().split()
        name = "iptables" if family == 4 else "ip6tables"
        restore = process.find_tool(f"{name}-restore", environ)
        if tools and (variant_of(restore, environ) == "nft" or "nat" in names):
            trials[name] = _words(lambda tools=tools: tools.rehearse("nat"))
    nft = Nft(program=process.find_tool("nft", environ), environ=environ, seconds=_SECONDS)
    if nft.program:
        lines = [line for family in (4, 6) for line in nft_script.plan_repair(family, ())]
        trials["nft"] = _words(lambda: nft.rehearse(lines))
    return trials


def _words(work: Any) -> str:
    try:
        work()
    except CniError as error:
        return f"{error.msg}: {error.details}" if error.details else error.msg
    return ""


def _modules() -> frozenset[str]:
    lines = (files.read("/proc/modules") or b"").decode().splitlines()
    return frozenset(line.split()[0] for line in lines if line)


def _tables(environ: Mapping[str, str], unseen: list[str]) -> dict[str, Tables]:
    try:
        found = [table for family in (4, 6) for table in observe_tables(environ, family, unseen)]
    except HarnessError as error:
        unseen.append(str(error))
        return {}
    return {
        world: _summary([each for each in found if each.world == world]) for world in (LEGACY, NFT)
    }


def _summary(tables: list[Table]) -> Tables:
    rules = [
        rule
        for table in tables
        if any(base.kind == "nat" for base in table.bases.values())
        for each in table.chains.values()
        for rule in each
    ]
    return Tables(
        tuple(dict.fromkeys(f"{each.family} {each.name}" for each in tables)),
        len(rules),
        len([rule for rule in rules if is_tag(rule.comment)]),
    )


def _open_interfaces() -> tuple[str, ...]:
    try:
        names = sorted(os.listdir("/proc/sys/net/ipv4/conf"))
    except OSError:
        return ()
    return tuple(
        name
        for name in names
        if name not in ("all", "default", "lo")
        and read_setting(f"net/ipv4/conf/{name}/route_localnet") == "1"
    )


def _flushers() -> tuple[str, ...]:
    running = {name for name in _commands() if name in ("firewalld", "ufw")}
    wanted = "/etc/systemd/system"
    for unit in ("nftables", "firewalld", "netfilter-persistent"):
        if any(Path(wanted).glob(f"*.wants/{unit}.service")):
            running.add(f"{unit}.service")
    if b"\nENABLED=yes" in b"\n" + (files.read("/etc/ufw/ufw.conf") or b""):
        running.add("ufw")
    return tuple(sorted(running))


def _commands() -> list[str]:
    return [lock.command_of(pid) for pid in os.listdir("/proc") if pid.isdecimal()]


def _locks(environ: Mapping[str, str], state_directory: str) -> tuple[Lock, ...]:
    own = f"{state_directory}/{this_host().network_namespace}/lock"
    paths = [environ.get("XTABLES_LOCKFILE", "/run/xtables.lock"), own]
    return tuple(_lock(path) for path in paths if os.access(path, os.R_OK))


def _lock(path: str) -> Lock:
    begun = time.monotonic()
    try:
        os.close(lock.acquire_read_only(path, _PATIENCE))
    except lock.LockHeldError:
        return Lock(path, None, lock.holder_of(path))
    except OSError as error:
        return Lock(path, None, os_reason(error))
    return Lock(path, time.monotonic() - begun)


def _state(directory: str) -> State:
    if not os.path.isdir(directory):
        return State(directory, exists=False)
    filesystem = _filesystem_of(directory)
    host = this_host()
    ledger = Ledger(directory=f"{directory}/{host.network_namespace}")
    if not os.access(directory, os.W_OK | os.X_OK):
        return State(directory, fault="not writable", filesystem=filesystem)
    try:
        known = [known_on(record, host) for record in ledger.records()]
        garbage = _garbage(ledger.directory)
    except OSError as error:
        return State(directory, fault=os_reason(error), filesystem=filesystem)
    return State(
        directory,
        filesystem=filesystem,
        records=len(known),
        with_ports=len([each for each in known if each.record.mappings]),
        gone=tuple(str(each) for each in known if each.gone),
        garbage=garbage,
        local_interfaces=frozenset(each.record.local_interface for each in known),
    )


def _garbage(directory: str) -> tuple[str, ...]:
    """Return files that say nothing: records that are none, and what a killed writer left."""
    found = []
    for part in ("attachments", "claims"):
        for path in sorted(Path(directory, part).glob("*")):
            is_record = part == "claims" or decode_record(files.read(str(path)) or b"") is not None
            if path.name.startswith(".") or not is_record:
                found.append(str(path))
    return tuple(found)


def _filesystem_of(path: str) -> str:
    """Return the kind of file system a path is on, "" where /proc does not tell."""
    best = ("", "")
    for line in (files.read("/proc/self/mountinfo") or b"").decode(errors="replace").splitlines():
        before, _, after = line.partition(" - ")
        mounted = before.split()[4].rstrip("/")
        if (f"{os.path.realpath(path)}/").startswith(f"{mounted}/") and len(mounted) >= len(
            best[0]
        ):
            best = (mounted, after.split()[0])
    return best[1]


def _networks(
    options: Options, environ: Mapping[str, str]
) -> tuple[tuple[Network, ...], tuple[str, ...]]:
    """Read the configurations, and have the port mapper's own parsed as it would."""
    if not options.config_dir:
        return (), ()
    builtin = Path(options.builtin_plugins_dir) if options.builtin_plugins_dir else None
    try:
        catalogue = read_directory(
            Path(options.config_dir), PluginPath(options.plugins_dir or "", builtin)
        )
    except OSError as error:
        return (), (f"{options.config_dir}: {os_reason(error)}",)
    backends = BackEnds(environ, _SECONDS)
    return (
        tuple(_network(each, backends) for each in catalogue.networks),
        tuple(str(each) for each in catalogue.problems),
    )


def _network(network: ConfiguredNetwork, backends: BackEnds) -> Network:
    faults: list[str] = []
    notices: list[str] = []
    for plugin in _port_mappers(network.configuration.plugins):
        inherited = {
            "name": network.name,
            "cniVersion": network.configuration.version or "0.2.0",
        }
        try:
            parsed = parse_configuration({**inherited, **plugin})
            backend = parsed.backend or backends.usual()
            notices += parse_forwarding({**inherited, **plugin}, backend).notices
        except CniError as error:
            faults.append(error.msg)
            continue
        if not backends.families(backend):
            faults.append(f"backend: {' and '.join(backends.obstacles(backend).values())}")
    return Network(network.name, str(network.file), tuple(faults), tuple(notices))


def _port_mappers(plugins: Any) -> list[dict[str, Any]]:
    """Return the configurations of ours among plugins and what they delegate to."""
    found = []
    for plugin in plugins:
        if plugin.get("type") == PORT_MAPPER:
            found.append(plugin)
        delegate = plugin.get("delegate")
        if isinstance(delegate, dict):
            found += _port_mappers([delegate])
    return found
