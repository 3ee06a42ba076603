"""Decide what a container's mount namespace gets. Nothing here mounts anything.

With a rootfs, in this order: the rootfs itself, /proc, /sys read-only, a /dev of its own with the
host's harmless devices, the volumes. Without one the container sees the host's files, with a /proc
of its own processes and, where it has a network of its own, a /sys that shows that.
"""

from __future__ import annotations

from mesos_cni_port_mapper.harness.orders import Link, Mount
from mesos_cni_port_mapper.harness.spec import Spec
from mesos_cni_port_mapper.linux.syscalls import (
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    MS_REC,
)

DEVICES = ("full", "null", "random", "tty", "urandom", "zero")
LINKS = (
    ("fd", "/proc/self/fd"),
    ("ptmx", "pts/ptmx"),
    ("stderr", "/proc/self/fd/2"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
)
_QUIET = MS_NOSUID | MS_NODEV | MS_NOEXEC


def plan_mounts(spec: Spec, *, own_network: bool) -> list[Mount | Link]:
    """Return what to mount before the isolator adds its files and the root is changed."""
    steps: list[Mount | Link] = []
    steps.append(Mount(source="proc", target="/proc", kind="proc", flags=_QUIET))
    if spec.rootfs or own_network:
        steps.append(Mount(source="sysfs", target="/sys", kind="sysfs", flags=_QUIET | MS_RDONLY))
    if spec.rootfs:
        steps += _devices()
    steps += [
        Mount(
            source=volume.host_path,
            target=volume.container_path,
            flags=MS_BIND | MS_REC,
            read_only=volume.read_only,
            about=f"volume {volume.container_path}",
        )
        for volume in spec.volumes
    ]
    return steps


def _devices() -> list[Mount | Link]:
    mode = "mode=0755,size=64k"
    steps: list[Mount | Link] = [
        Mount(source="tmpfs", target="/dev", kind="tmpfs", flags=MS_NOSUID, data=mode),
        Mount(
            source="devpts",
            target="/dev/pts",
            kind="devpts",
            flags=MS_NOSUID | MS_NOEXEC,
            data="newinstance,ptmxmode=0666,mode=0620",
        ),
        Mount(source="tmpfs", target="/dev/shm", kind="tmpfs", flags=_QUIET, data="mode=1777"),  # noqa: S108 - a mount point
    ]
    # Bound and not made: mknod is refused in a user namespace.
    steps += [
        Mount(source=f"/dev/{name}", target=f"/dev/{name}", flags=MS_BIND) for name in DEVICES
    ]
    steps += [Link(target=f"/dev/{name}", text=text) for name, text in LINKS]
    return steps
