"""Configurations and lives that many cases share."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.netns.parity.cases import ADD, CHECK, DEL, VERSIONS, Call, Case, Shell, Step

Config = dict[str, Any]

V4 = "10.1.0.0/24"
V6 = "fd00:1::/64"
DEFAULTS = ({"dst": "0.0.0.0/0"}, {"dst": "::/0"})
# Since there is no CHECK and no prevResult of DEL before it.
CHECKED = ("0.4.0", "1.0.0")
LATEST = ("1.0.0",)


def local(*subnets: str, **keys: Any) -> Config:
    """Return the configuration of host-local with a set of one range for each subnet."""
    sets = {"ranges": [[{"subnet": subnet}] for subnet in subnets]} if subnets else {}
    return {"type": "host-local", **sets, **keys}


def static(*addresses: str, **keys: Any) -> Config:
    """Return the configuration of static with addresses that have no gateway."""
    return {
        "type": "static",
        "addresses": [{"address": address} for address in addresses],
        **keys,
    }


def bridge(ipam: Any, **keys: Any) -> Config:
    """Return a bridge's configuration; a key of None is left out."""
    return {"type": "bridge", "bridge": "cni0", "ipam": ipam, **keys}


def macvlan(ipam: Any, **keys: Any) -> Config:
    """Return a macvlan's configuration; a key of None is left out."""
    return {"type": "macvlan", "master": "eth0", "ipam": ipam, **keys}


def ptp(ipam: Any, **keys: Any) -> Config:
    """Return the configuration of a pair of links; a key of None is left out."""
    return {"type": "ptp", "ipam": ipam, **keys}


def alone(ipam: Config, **keys: Any) -> Config:
    """Return the configuration with which an IPAM plugin is called by itself."""
    return {"type": ipam["type"], "ipam": ipam, **keys}


def tampered(script: str, place: str = "c1") -> tuple[Step, ...]:
    """Change something between ADD and CHECK."""
    return (ADD, Shell(script, place), CHECK, DEL)


def with_args(args: str) -> Mapping[str, str]:
    """Return the environment with CNI_ARGS."""
    return {"CNI_ARGS": args}


def without(*variables: str) -> dict[str, None]:
    """Return the change that leaves variables out."""
    return dict.fromkeys(variables)


def only(*commands: str, **env: str | None) -> Sequence[Step]:
    """Return calls with a changed environment."""
    return [Call(command, env=env) for command in commands]


def latest(cases: Iterable[Case]) -> tuple[Case, ...]:
    """Return cases for the newest version alone, but for those that name their versions."""
    return tuple(
        dataclasses.replace(case, versions=LATEST) if case.versions is VERSIONS else case
        for case in cases
    )
