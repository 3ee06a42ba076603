"""Sockets of this network namespace as /proc tells of them, and whose they are."""

from __future__ import annotations

import os

from mesos_cni_port_mapper.linux import files
from mesos_cni_port_mapper.linux.lock import command_of

_TABLES = {"tcp": ("tcp", "tcp6"), "udp": ("udp", "udp6"), "sctp": ("sctp/eps",)}
"""The files below /proc/net that list a protocol's sockets; sctp's is there with its module."""


def read_tables(protocol: str) -> list[bytes]:
    """Return the tables of a protocol's sockets; what cannot be read is left out."""
    return [data for name in _TABLES[protocol] for data in [_read(f"/proc/net/{name}")] if data]


def find_holders(inodes: set[int]) -> dict[int, str]:
    """Say who has sockets open: "pid 4711 (nginx)" by inode, as far as /proc shows.

    Of several processes that share a socket the first is named, which began it as a rule.
    """
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, str] = {}
    for pid in sorted([int(name) for name in _names_in("/proc") if name.isdecimal()]):
        for link in _links_in(f"/proc/{pid}/fd"):
            if link in wanted:
                found[wanted.pop(link)] = f"pid {pid} ({command_of(str(pid))})"
        if not wanted:
            break
    return found


def _read(path: str) -> bytes:
    try:
        return files.read(path) or b""
    except OSError:
        return b""


def _names_in(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _links_in(directory: str) -> list[str]:
    links = []
    for name in _names_in(directory):
        try:
            links.append(os.readlink(f"{directory}/{name}"))
        except OSError:  # Closed, or its process ended, since the directory was listed.
            continue
    return links
