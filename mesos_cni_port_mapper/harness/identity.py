"""Which process a recorded PID means: never another one that got the same number later."""

from __future__ import annotations

import errno
import os
import select
from dataclasses import dataclass
from functools import cache
from typing import Any

from mesos_cni_port_mapper.cni.fields import Section
from mesos_cni_port_mapper.linux import files

_HIGHEST_PID = 1 << 22


@dataclass(frozen=True, slots=True)
class Identity:
    """A process: its PID, when it started in ticks since the boot, and which boot."""

    pid: int
    start_time: int
    boot_id: str


def identify(pid: int) -> Identity:
    """Return the identity of a process that cannot vanish meanwhile: one's own, or a child."""
    return Identity(pid, _start_time(pid), _boot_id())


def open_running(identity: Identity) -> int | None:
    """Return a pidfd for a process, or nothing when it has ended."""
    if identity.boot_id != _boot_id():
        return None
    try:
        pidfd = os.pidfd_open(identity.pid)
    except OSError as error:
        # EINVAL and ENOENT are of a number whose process is just being reaped.
        if error.errno in (errno.ESRCH, errno.EINVAL, errno.ENOENT):
            return None
        raise
    try:
        # Only now: while the pidfd is open, its process' number cannot pass to another.
        same = _start_time(identity.pid) == identity.start_time
    except (OSError, ValueError):
        same = False
    if not same or has_ended(pidfd):
        os.close(pidfd)
        return None
    return pidfd


def is_running(identity: Identity) -> bool:
    """Tell whether a process has not ended."""
    pidfd = open_running(identity)
    if pidfd is None:
        return False
    os.close(pidfd)
    return True


def has_ended(pidfd: int, seconds: float | None = 0) -> bool:
    """Wait for a process to end: not at all, for a while, or however long; tell whether it has."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(None if seconds is None else max(seconds, 0) * 1000))


def encode_identity(identity: Identity) -> dict[str, Any]:
    """Return an identity as a JSON object."""
    return {
        "pid": identity.pid,
        "start_time": identity.start_time,
        "boot_id": identity.boot_id,
    }


def decode_identity(document: dict[str, Any]) -> Identity:
    """Read what ``encode_identity`` wrote; raises ``CniError`` naming the field that is wrong."""
    section = Section(document)
    return Identity(
        pid=section.integer("pid", 1, _HIGHEST_PID),
        start_time=section.integer("start_time", 0, 1 << 63),
        boot_id=section.string("boot_id"),
    )


def parse_start_time(stat: bytes) -> int:
    """Return field 22 of /proc/PID/stat; the second one, the name, may hold anything."""
    return int(stat.rpartition(b")")[2].split()[19])


def _start_time(pid: int) -> int:
    stat = files.read(f"/proc/{pid}/stat")
    if stat is None:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))  # It was reaped just now.
    return parse_start_time(stat)


@cache
def _boot_id() -> str:
    return (files.read("/proc/sys/kernel/random/boot_id") or b"").decode().strip()
