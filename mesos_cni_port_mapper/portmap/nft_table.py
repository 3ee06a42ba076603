"""The table of nf_tables that our elements are in, as commands for nft(8): one for each family.

Its hooks stand at priority -90, behind iptables' and everybody else's at -100: ahead of them it
would take traffic from rules that stood there first (the shape of CVE-2019-9946). Sources are
hidden at 90, before a bridge's own masquerading at 100 decides about the same connection.
"""

from __future__ import annotations

from mesos_cni_port_mapper.portmap.elements import (
    ADDRESS_WORD,
    ANY,
    EXCLUDED,
    GUARD,
    HIDDEN,
    LOCAL,
    ODD,
    ONE,
    OWNERS,
    RUNS,
    mask_of,
    prefix_of,
)
from mesos_cni_port_mapper.portmap.loopback import NETWORK

NAME = "mesos-cni-port-mapper"
BASE = "base"
"""The part of a table that every attachment needs."""

_BEFORE_OTHERS, _BEHIND_OTHERS, _RAW = 90, -90, -300
_PORT = "inet_proto . inet_service"
_PORT_OF_PACKET = "meta l4proto . th dport"


def table_of(family: int) -> str:
    """Return the table of a family as commands name it: "ip mesos-cni-port-mapper"."""
    return f"{ADDRESS_WORD[family]} {NAME}"


def declare_part(family: int, part: str) -> list[str]:
    """Return commands that make a part of a table, or make it again where it is damaged.

    Sets and maps that are there keep their elements.
    """
    if part == BASE:
        return [*_declare_containers(family), *_declare_chains(family, chains_of(family, part))]
    return [
        *(_declare_hidden(family, part) if part.startswith(HIDDEN) else []),
        *_declare_chains(family, chains_of(family, part)),
    ]


def chains_of(family: int, part: str) -> dict[str, tuple[str, list[str]]]:
    """Return the chains of a part: what hooks each, "" for nothing, and its rules."""
    word = ADDRESS_WORD[family]
    if part == GUARD:
        rule = f'iifname != "lo" {word} daddr {NETWORK} drop'
        return {"guard": (_hook("filter", "prerouting", _RAW), [rule])}
    if part.startswith(HIDDEN):
        mask = mask_of(family, prefix_of(part))
        sources = f"{word} saddr & {mask} . {word} daddr @{part}"
        return {
            part: (
                _hook("nat", "postrouting", _BEFORE_OTHERS),
                [f"ct status dnat {sources} masquerade"],
            )
        }
    to_ports = "fib daddr type local jump ports"
    loopback = f"ip daddr {NETWORK} goto loopback" if family == 4 else "ip6 daddr ::1 return"
    return {
        "ports": ("", [*_lookups(family, ONE), *_lookups(family, ANY)]),
        "loopback": ("", [*_lookups(family, ONE, devices=False), *_lookups(family, LOCAL)]),
        "prerouting": (_hook("nat", "prerouting", _BEHIND_OTHERS), [to_ports]),
        "output": (_hook("nat", "output", _BEHIND_OTHERS), [loopback, to_ports]),
    }


def _hook(kind: str, hook: str, priority: int) -> str:
    return f"type {kind} hook {hook} priority {priority}"


def _lookups(family: int, scope: str, *, devices: bool = True) -> list[str]:
    """Return the rules that look a packet's port up: devices first, then what needs rules."""
    word = ADDRESS_WORD[family]
    key = f"{word} daddr . {_PORT_OF_PACKET}" if scope == ONE else _PORT_OF_PACKET
    excluded = [
        f"iifname . {key} @{scope}{EXCLUDED}{runs} return"
        for runs in ("", RUNS)
        if devices and scope != LOCAL
    ]
    return [
        *excluded,
        f"{key} vmap @{scope}{ODD}",
        f"dnat {word} to {key} map @{scope}",
        f"dnat to {key} map @{scope}{RUNS}",
    ]


def _declare_containers(family: int) -> list[str]:
    address = {4: "ipv4_addr", 6: "ipv6_addr"}[family]
    declared = []
    for scope in (ONE, ANY, LOCAL):
        key = f"{address} . {_PORT}" if scope == ONE else _PORT
        declared += [
            _declare_map(family, scope, f"{key} : {address} . inet_service", "counter;"),
            _declare_map(family, scope + RUNS, f"{key} : {address}", "flags interval; counter;"),
            _declare_map(family, scope + ODD, f"{key} : verdict"),
        ]
        if scope != LOCAL:
            declared += [
                _declare_map(family, scope + OWNERS, f"{key} : ipv6_addr"),
                _declare_map(
                    family, scope + RUNS + OWNERS, f"{key} : ipv6_addr", "flags interval;"
                ),
                _declare_set(family, scope + EXCLUDED, f"ifname . {key}"),
                _declare_set(family, scope + EXCLUDED + RUNS, f"ifname . {key}", "flags interval;"),
            ]
    return declared


def _declare_hidden(family: int, part: str) -> list[str]:
    address = {4: "ipv4_addr", 6: "ipv6_addr"}[family]
    return [
        _declare_set(family, part, f"{address} . {address}"),
        _declare_map(family, part + OWNERS, f"{address} . {address} : ipv6_addr"),
    ]


def _declare_map(family: int, name: str, kind: str, more: str = "") -> str:
    return f"add map {table_of(family)} {name} {{ type {kind}; {more} }}"


def _declare_set(family: int, name: str, kind: str, more: str = "") -> str:
    return f"add set {table_of(family)} {name} {{ type {kind}; {more} }}"


def _declare_chains(family: int, chains: dict[str, tuple[str, list[str]]]) -> list[str]:
    table = table_of(family)
    declared = []
    for name, (hook, _) in chains.items():
        declared.append(f"add chain {table} {name}" + (f" {{ {hook}; }}" if hook else ""))
    for name, (_, rules) in chains.items():
        declared.append(f"flush chain {table} {name}")
        declared += [
            f'add rule {table} {name} {rule} comment "{name}-{index}"'
            for index, rule in enumerate(rules)
        ]
    return declared
