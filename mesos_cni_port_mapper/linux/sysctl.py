"""The kernel parameters that forwarding takes (Documentation/networking/ip-sysctl.rst)."""

from __future__ import annotations

import os

from mesos_cni_port_mapper.linux import files

FORWARDING = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}
"""By which name a host's forwarding is known, in each family."""


def forwards(family: int) -> bool:
    """Tell whether this host passes on what is not for itself."""
    path = "/proc/sys/" + FORWARDING[family].replace(".", "/")
    return (files.read(path) or b"").strip() not in (b"", b"0")


def has_route_localnet(interface: str) -> bool:
    """Tell whether packets from and to 127.0.0.0/8 may pass an interface."""
    return (files.read(_path(interface)) or b"").strip() == b"1"


def set_route_localnet(interface: str, *, on: bool) -> None:
    """Let them, or not; an interface that is gone needs nothing forbidden. Raises ``OSError``."""
    try:
        file = os.open(_path(interface), os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        if on:
            raise
        return
    try:
        os.write(file, b"1" if on else b"0")
    finally:
        os.close(file)


def _path(interface: str) -> str:
    return f"/proc/sys/net/ipv4/conf/{interface}/route_localnet"
