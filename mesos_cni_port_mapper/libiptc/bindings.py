"""The one door to python-iptables, and to the C libraries beneath it.

Left alone, the library looks for libip4tc, libip6tc and libxtables by running ldconfig, gcc and ld,
runs modprobe twice, and takes what it happens to find. A module of ours stands in for the one that
searches: the libraries are those frozen beside this program, or by their names the host's.

What is used of it are the structures and the functions it declares. Its classes for rules open
every table there is, and looking at a table creates it; they read a parameter's text from a pipe,
1024 bytes of it, set only the lowest bits of an IPv6 rule's interface mask, and leave a wrong
parameter by a longjmp over the interpreter's frames.
"""

from __future__ import annotations

import ctypes
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LIBRARIES = {
    "ip4tc": "libip4tc.so.2",
    "ip6tc": "libip6tc.so.2",
    "xtables": "libxtables.so.12",
    "xtwrapper": "libxtwrapper.so",
}
"""What python-iptables calls a library, and the one it gets."""

_XTABLES_VERSION = 12
_FROZEN = getattr(sys, "_MEIPASS", "")
_MODULES = "xtables"
"""The directory of the modules, in the program's own."""


def find_modules() -> str:
    """Return the directory of libxtables' modules: ours, fit for our libxtables, or the host's."""
    if _FROZEN:
        return f"{_FROZEN}/{_MODULES}"
    multiarch = getattr(sys.implementation, "_multiarch", "")
    places = [f"/usr/lib/{multiarch}/xtables", "/usr/lib64/xtables", "/usr/lib/xtables"]
    return next(filter(os.path.isdir, places), places[0])


def _find_library(*names: str) -> tuple[ctypes.CDLL, int]:
    name = names[0]
    if _FROZEN:
        path = f"{_FROZEN}/{LIBRARIES[name]}"
    else:
        path = _find_wrapper() if name == "xtwrapper" else LIBRARIES[name]
    # Global, because the modules are to find the functions of this libxtables and no other.
    version = _XTABLES_VERSION if name == "xtables" else 0
    return ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL), version


def _find_wrapper() -> str:
    """Return python-iptables' own C functions, installed in the shape of an extension module."""
    from importlib.machinery import PathFinder

    found = PathFinder.find_spec("libxtwrapper")
    return found.origin if found and found.origin else LIBRARIES["xtwrapper"]


def _leave_kernel_alone(_name: str) -> None:
    """Load no kernel module on import: opening a table does, where there is one to load."""


def _stand_in() -> None:
    search: Any = type(sys)("iptc.util")
    search.find_library = _find_library
    search.find_libc = lambda: ctypes.CDLL(None)
    search.load_kernel = _leave_kernel_alone
    sys.modules["iptc.util"] = search
    os.environ.pop("PYTHON_IPTABLES_XTABLES_VERSION", None)
    if _FROZEN or "XTABLES_LIBDIR" not in os.environ:
        os.environ["XTABLES_LIBDIR"] = find_modules()


_stand_in()

from iptc import ip4tc, ip6tc  # noqa: E402 - the stand-in has to be there first
from iptc import xtables as structures  # noqa: E402

__all__ = ["ip4tc", "ip6tc", "structures"]

libc = ctypes.CDLL(None)
libxtables: Any = structures._lib_xtables


def size_of(structure: Any) -> int:
    """Return how many bytes a structure takes before the next."""
    return int(structures.xt_align(ctypes.sizeof(structure)))


def last_error() -> int:
    """Return C's ``errno``, as the function that was called last left it."""
    return int(ip4tc._get_errno_loc()[0])
