"""Which host this is: the network namespace, the mount namespace and the boot."""

from __future__ import annotations

import _socket
import os
import sys

from mesos_cni_port_mapper.linux import files
from mesos_cni_port_mapper.value import Value

_SO_NETNS_COOKIE = 71
"""include/uapi/asm-generic/socket.h; the socket module does not name it."""


class Host(Value):
    """What tells one host, or one life of it, from another.

    Netfilter's tables belong to a network namespace and die with it, at the latest with the boot; a
    namespace's path means something in one mount namespace only. The next namespace may have the
    inode of one that is gone, so ``boot_id`` tells namespaces of one boot apart, too, where the
    kernel does (since 5.14).
    """

    network_namespace: int
    mount_namespace: int
    boot_id: str
    has_ipv6: bool = True


def this_host() -> Host:
    """Look at /proc; raises ``OSError`` where it is not mounted."""
    boot_id = files.read("/proc/sys/kernel/random/boot_id") or b""
    return Host(
        network_namespace=os.stat("/proc/self/ns/net").st_ino,
        mount_namespace=os.stat("/proc/self/ns/mnt").st_ino,
        boot_id=f"{boot_id.decode().strip()}{_namespace_cookie()}",
        has_ipv6=os.path.exists("/proc/net/if_inet6"),
    )


def _namespace_cookie() -> str:
    """Return "/4711", a number of this network namespace alone in this boot, or "" without one."""
    any_socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        cookie = any_socket.getsockopt(_socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
    except OSError:
        return ""
    finally:
        any_socket.close()
    return f"/{int.from_bytes(cookie, sys.byteorder)}"
