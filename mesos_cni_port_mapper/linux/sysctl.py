"""The one kernel parameter that forwarding from loopback takes.

See ``route_localnet`` in the kernel's Documentation/networking/ip-sysctl.rst.
"""

from __future__ import annotations

import os

from mesos_cni_port_mapper.linux import files


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
