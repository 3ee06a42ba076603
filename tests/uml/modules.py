"""Kernel modules, loaded by the bare system call: who runs tests may have no modprobe."""

import ctypes
import errno
import os
from pathlib import Path

_MODULES = Path("/usr/lib/uml/modules")
_FINIT_MODULE = 313

_libc = ctypes.CDLL(None, use_errno=True)


def load_order(dependencies: str, name: str) -> list[str]:
    """Return the files to load for a module, itself the last, from the text of modules.dep."""
    for line in dependencies.splitlines():
        path, _, needed = line.partition(":")
        if Path(path).stem == name:
            # modules.dep names what has to be there first at the end.
            return [*reversed(needed.split()), path]
    raise LookupError(name)


def load(*names: str) -> None:
    """Load modules, each after what it needs; one that is there already is fine."""
    directory = _MODULES / os.uname().release
    dependencies = (directory / "modules.dep").read_text()
    for name in names:
        for path in load_order(dependencies, name):
            _load(directory / path)


def _load(path: Path) -> None:
    with path.open("rb") as file:
        if _libc.syscall(_FINIT_MODULE, file.fileno(), b"", 0):
            number = ctypes.get_errno()
            if number != errno.EEXIST:
                raise OSError(number, os.strerror(number), str(path))
