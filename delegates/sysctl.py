"""Settings of the kernel below /proc/sys, named as paths: interface names may hold dots."""

from __future__ import annotations

import os

from mesos_cni_port_mapper.linux import files

_ROOT = "/proc/sys"


def read(name: str) -> str | None:
    """Return a setting of this network namespace, or nothing where the kernel has none such."""
    content = files.read(f"{_ROOT}/{name}")
    return None if content is None else content.decode().strip()


def write(name: str, value: str) -> None:
    """Change a setting of this network namespace."""
    file = os.open(f"{_ROOT}/{name}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        files.write_all(file, value.encode())
    finally:
        os.close(file)
