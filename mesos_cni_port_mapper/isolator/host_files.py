"""The texts of the files by which a container knows itself: ``hostname`` and ``hosts``."""

from __future__ import annotations

from collections.abc import Iterable

LOOPBACK = "127.0.0.1 localhost\n"


def render_hostname(hostname: str) -> str:
    """Return the hostname file's text; like Mesos' it is not a whole line."""
    return hostname


def render_hosts(hostname: str, networks: Iterable[Iterable[str]]) -> str:
    """Return the hosts file's text: a line for each address, networks in the request's order.

    An executor that listens on every address finds the one to publish by resolving its own
    hostname, so of each network IPv4 comes first, and the first network first of all.
    """
    lines = [LOOPBACK]
    for addresses in networks:
        listed = list(addresses)
        ordered = [address for address in listed if ":" not in address]
        ordered += [address for address in listed if ":" in address]
        lines += [f"{address} {hostname}\n" for address in ordered]
    return "".join(lines)
