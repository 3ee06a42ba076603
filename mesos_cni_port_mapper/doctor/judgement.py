"""What is thought of what was found, each with what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mesos_cni_port_mapper.doctor.facts import Facts, Lock, Tool
from mesos_cni_port_mapper.explain.model import LEGACY, NFT
from mesos_cni_port_mapper.portmap.nft_table import NAME

OK, WARNING, PROBLEM = "ok", "warning", "problem"
LEVELS = (PROBLEM, WARNING, OK)

_OLDEST = (1, 6, 2)
"""The first iptables whose restore waits for the lock."""

_SLOW = 1.0
_FLUSH = "have `mesos-cni ports restore` run after it"
_VOLATILE = ("tmpfs", "ramfs")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about the host; ``remedy`` is what to do, "" where nothing is needed."""

    level: str
    subject: str
    text: str
    remedy: str = ""


def judge(facts: Facts) -> list[Finding]:
    """Return what is thought of a host, what matters most first."""
    parts = (
        _tools,
        _trials,
        _worlds,
        _settings,
        _loopback,
        _flushers,
        _locks,
        _state,
        _networks,
        _unseen,
    )
    found = [finding for part in parts for finding in part(facts)]
    return sorted(found, key=lambda finding: LEVELS.index(finding.level))


def _tools(facts: Facts) -> Iterator[Finding]:
    tools = facts.tools
    usable = [name for name in ("iptables-restore", "nft") if _has(facts, name)]
    if not usable:
        yield Finding(
            PROBLEM,
            "tools",
            "neither iptables nor nft is installed",
            "install iptables or nftables",
        )
    for name in ("iptables", "ip6tables"):
        yield from _iptables(facts, name)
    four, six = (tools.get(f"{name}-restore", Tool(name)) for name in ("iptables", "ip6tables"))
    if four.variant and six.variant and four.variant != six.variant:
        yield Finding(
            WARNING,
            "ip6tables",
            f"is the {six.variant} variant, and iptables the {four.variant} one",
            f"update-alternatives --set ip6tables /usr/sbin/ip6tables-{four.variant}",
        )
    if _has(facts, "nft"):
        yield Finding(OK, "nft", _described(tools["nft"]))
    else:
        yield Finding(
            WARNING,
            "nft",
            "is not installed: no nftables back end, and `ports explain` sees less",
            "install nftables",
        )
    if not _has(facts, "libiptc"):
        yield Finding(OK, "libiptc", "is not there; only `backend: libiptc` needs it")
    else:
        yield Finding(OK, "libiptc", tools["libiptc"].path)


def _iptables(facts: Facts, name: str) -> Iterator[Finding]:
    restore, save = (facts.tools.get(f"{name}-{verb}", Tool(name)) for verb in ("restore", "save"))
    if not (restore.path and save.path):
        family = "IPv6" if name == "ip6tables" else "IPv4"
        missing = restore.name if not restore.path else save.name
        yield Finding(
            WARNING,
            name,
            f"{missing} is not installed: no {family} by iptables",
            "install iptables",
        )
        return
    if restore.variant != save.variant:
        yield Finding(
            PROBLEM,
            name,
            f"{name}-restore is the {restore.variant} variant, and {name}-save the "
            f"{save.variant} one",
            f"update-alternatives --set {name} /usr/sbin/{name}-{restore.variant or 'nft'}",
        )
        return
    version = _version(restore.version)
    if version and version < _OLDEST:
        yield Finding(
            PROBLEM, name, f"{restore.version} cannot wait for the lock", "install iptables 1.6.2"
        )
        return
    yield Finding(OK, name, _described(restore))


def _has(facts: Facts, name: str) -> bool:
    return bool(facts.tools.get(name, Tool(name)).path)


def _described(tool: Tool) -> str:
    return f"{tool.version or 'of an unknown version'} at {tool.path}"


def _version(text: str) -> tuple[int, ...]:
    found = re.search(r"\d+(\.\d+)+", text)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def _trials(facts: Facts) -> Iterator[Finding]:
    if not facts.privileged:
        yield Finding(
            WARNING, "privilege", "not root: rules cannot be seen", "run it as root (CAP_NET_ADMIN)"
        )
    for name, words in facts.trials.items():
        if not words:
            yield Finding(OK, name, "would take rules")
            continue
        module = {"nft": "nf_tables"}.get(name.split()[0], "iptable_nat")
        remedy = f"look at it by hand: {name.split()[0]} -t nat -S"
        if module not in facts.modules:
            remedy = f"modprobe {module}"
        yield Finding(PROBLEM, name, f"takes no rules: {words}", remedy)


def _worlds(facts: Facts) -> Iterator[Finding]:
    for world, tables in facts.tables.items():
        if tables.names:
            yield Finding(OK, world, f"{', '.join(tables.names)}; {tables.rules} rules translate")
    legacy, nft = (facts.tables.get(world) for world in (LEGACY, NFT))
    if not (legacy and nft and legacy.rules and nft.rules):
        return
    variant = facts.tools.get("iptables-restore", Tool("")).variant
    hidden = {"nft": legacy, "legacy": nft}.get(variant)
    other = {"nft": "legacy", "legacy": "nft"}.get(variant, "other")
    if hidden and hidden.own:
        yield Finding(
            PROBLEM,
            "both worlds",
            f"{hidden.own} rules of ours are in the {other} tables, where the host's iptables does "
            "not look",
            f"delete those containers with the {other} variant chosen, then switch",
        )
    else:
        yield Finding(
            WARNING,
            "both worlds",
            "rules translate in iptables-legacy and in nf_tables: which come first is not listed",
            f"have every program use one variant, then empty the other: iptables-{other} -t nat -F",
        )


def _settings(facts: Facts) -> Iterator[Finding]:
    settings = facts.settings
    level = PROBLEM if facts.state.records else WARNING
    for name, family in (("net.ipv4.ip_forward", "IPv4"), ("net.ipv6.conf.all.forwarding", "IPv6")):
        value = settings.get(name, "")
        if value == "0":
            worse = level if family == "IPv4" else WARNING
            yield Finding(worse, name, f"is 0: no {family} goes on", f"sysctl -w {name}=1")
        elif value:
            yield Finding(OK, name, f"is {value}")
    for name, meaning in _MEANINGS.items():
        value = settings.get(name, "")
        if value in meaning:
            yield Finding(OK, name, f"is {value}: {meaning[value]}")


def _loopback(facts: Facts) -> Iterator[Finding]:
    if facts.settings.get("net.ipv4.conf.all.route_localnet") == "1":
        yield Finding(
            WARNING,
            "net.ipv4.conf.all.route_localnet",
            "is 1: every interface lets strangers in at 127.0.0.1",
            "sysctl -w net.ipv4.conf.all.route_localnet=0",
        )
    for device in facts.open_interfaces:
        if device not in facts.state.local_interfaces:
            name = f"net.ipv4.conf.{device}.route_localnet"
            yield Finding(
                WARNING, name, "is 1, and no port on record needs it", f"sysctl -w {name}=0"
            )


_MEANINGS = {
    "net.ipv4.conf.all.rp_filter": {
        "0": "answers may come by any interface",
        "1": "what comes by another interface than the answer takes is dropped",
        "2": "answers may come by any interface that leads back",
    },
    "net.bridge.bridge-nf-call-iptables": {
        "0": "containers on one bridge reach each other's host ports with `snat` alone",
        "1": "what stays on a bridge meets rules of IPv4 too",
    },
    "net.bridge.bridge-nf-call-ip6tables": {
        "0": "containers on one bridge reach each other's host ports with `snat` alone",
        "1": "what stays on a bridge meets rules of IPv6 too",
    },
}


def _flushers(facts: Facts) -> Iterator[Finding]:
    for name in facts.flushers:
        yield Finding(WARNING, name, "replaces everybody's rules when it starts or reloads", _FLUSH)


def _locks(facts: Facts) -> Iterator[Finding]:
    for each in facts.locks:
        yield _lock(each)


def _lock(lock: Lock) -> Finding:
    if lock.seconds is None:
        return Finding(PROBLEM, lock.path, f"is held by {lock.holder}", "see what that waits for")
    if lock.seconds > _SLOW:
        return Finding(
            WARNING, lock.path, f"took {lock.seconds:.1f} s to get", "see who holds it that long"
        )
    return Finding(OK, lock.path, f"taken in {lock.seconds * 1000:.1f} ms")


def _state(facts: Facts) -> Iterator[Finding]:
    state = facts.state
    if not state.exists:
        yield Finding(OK, "state", f"{state.directory} is not there yet")
        return
    if state.fault:
        # What plugins find, who run as root, is not known to anybody else.
        level, remedy = PROBLEM, "give `stateDir` another place"
        if not facts.privileged:
            level, remedy = WARNING, "run it as root"
        yield Finding(level, "state", f"{state.directory}: {state.fault}", remedy)
        return
    if state.filesystem not in _VOLATILE:
        yield Finding(
            WARNING,
            "state",
            f"{state.directory} is on {state.filesystem} and outlives a reboot, as rules do not",
            "give `stateDir` a place on a tmpfs, as /run is",
        )
    for each in state.gone:
        yield Finding(
            WARNING,
            "state",
            f"{each}: its container is gone, and its ports are not",
            "have the runtime run GC, or DEL for that container",
        )
    for path in state.garbage:
        yield Finding(WARNING, "state", f"{path} is none of our files", f"rm {path}")
    if state.with_ports and facts.tables and not _has_rules(facts):
        yield Finding(
            PROBLEM,
            "state",
            f"{state.with_ports} containers on record have ports, and no rule of ours is there",
            "mesos-cni ports restore",
        )
    yield Finding(OK, "state", f"{state.directory}: {state.records} on record")


def _has_rules(facts: Facts) -> bool:
    return any(
        tables.own or any(name.endswith(f" {NAME}") for name in tables.names)
        for tables in facts.tables.values()
    )


def _networks(facts: Facts) -> Iterator[Finding]:
    if not facts.configurations:
        yield Finding(
            OK, "networks", "no configuration is looked at without --network_cni_config_dir"
        )
    for words in facts.problems:
        yield Finding(PROBLEM, "networks", words, "correct the file, or take it away")
    for network in facts.networks:
        for words in network.faults:
            yield Finding(PROBLEM, f"network {network.name}", words, f"correct {network.file}")
        for words in network.notices:
            yield Finding(
                WARNING, f"network {network.name}", words, f"see whether {network.file} means that"
            )
        if not network.faults:
            yield Finding(OK, f"network {network.name}", network.file)


def _unseen(facts: Facts) -> Iterator[Finding]:
    for words in facts.unseen:
        yield Finding(WARNING, "not seen", words, "run it as root")
