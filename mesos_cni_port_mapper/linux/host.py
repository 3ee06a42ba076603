"""Which host this is: the network namespace, the mount namespace and the boot."""

from __future__ import annotations

import os

from mesos_cni_port_mapper.linux import files
from mesos_cni_port_mapper.value import Value


class Host(Value):
    """What tells one host, or one life of it, from another.

    Netfilter's tables belong to a network namespace and die with the boot; a namespace's path means
    something in one mount namespace only.
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
        boot_id=boot_id.decode().strip(),
        has_ipv6=os.path.exists("/proc/net/if_inet6"),
    )
