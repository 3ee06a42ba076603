"""How a frozen program finds its modules: in one file beside its libraries.

PyInstaller looks up, opens, reads and closes for each module, which for some forty of ours took as
long as running them. All of them in one entry of its archive would be copied three times before the
first of them runs. Here what is read is what is run. `pyinstaller.spec` fills `MODULES`, opens the
file, and has this run before the program's own script.
"""

import marshal
import os
import sys
from _frozen_importlib import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

MODULES: "dict[str, tuple[bool, int, int]]" = {}
"""For each name whether it is a package, where in the file its code begins, and how long it is."""


def open_modules(name: str) -> int:
    """Open the file, but not in the place of a standard stream that is missing."""
    # Its name is made of what is in it: a program that is being replaced still finds its own.
    path = f"{sys._MEIPASS}/{name}"  # type: ignore[attr-defined]
    files = [os.open(path, os.O_RDONLY | os.O_CLOEXEC)]
    while files[-1] <= 2:
        files.append(os.dup(files[-1]))
    for file in files[:-1]:
        os.close(file)
    return files[-1]


class Merged:
    """Finds and loads what is in ``MODULES`` (PEP 451)."""

    @classmethod
    def find_spec(cls, name: str, *_: object) -> "ModuleSpec | None":
        """Say where a module is, or nothing when it is none of ours."""
        if name not in MODULES:
            return None
        # A class will do for a loader: all of its methods belong to it.
        return ModuleSpec(name, cls, is_package=MODULES[name][0])  # type: ignore[arg-type]

    @staticmethod
    def create_module(_: ModuleSpec) -> None:
        """Leave making the module to the interpreter."""

    @staticmethod
    def exec_module(module: "ModuleType") -> None:
        """Run a module's code."""
        _, begin, size = MODULES[module.__name__]
        exec(marshal.loads(os.pread(FILE, size, begin)), module.__dict__)


FILE = -1
sys.meta_path.insert(0, Merged)
