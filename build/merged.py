"""How the frozen plugin finds its own modules: those that go together in one entry of its archive.

PyInstaller looks up, opens, reads and closes for each module, which for some forty of ours took as
long as running them. `pyinstaller.spec` appends this text to the package's own and fills `MODULES`
and `FURTHER`: what is needed for less than every call is not read for every call.
"""

import marshal
import sys
from _frozen_importlib import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

MODULES: "dict[str, tuple[bool, bytes]]" = {}
"""For each name whether it is a package, and its compiled code."""

FURTHER: "list[str]" = []
"""Modules with more of them, in the order in which they are looked into."""

PACKAGES: "tuple[str, ...]" = ()
"""The packages whose modules are in here."""


class Merged:
    """Finds and loads what is in ``MODULES`` (PEP 451)."""

    @classmethod
    def find_spec(cls, name: str, *_: object) -> "ModuleSpec | None":
        """Say where a module is, or nothing when it is none of ours."""
        while name not in MODULES:
            if not FURTHER or name.partition(".")[0] not in PACKAGES:
                return None
            MODULES.update(__import__(FURTHER.pop(0)).MODULES)
        # A class will do for a loader: all of its methods belong to it.
        return ModuleSpec(name, cls, is_package=MODULES[name][0])  # type: ignore[arg-type]

    @staticmethod
    def create_module(_: ModuleSpec) -> None:
        """Leave making the module to the interpreter."""

    @staticmethod
    def exec_module(module: "ModuleType") -> None:
        """Run a module's code."""
        exec(marshal.loads(MODULES[module.__name__][1]), module.__dict__)


sys.meta_path.insert(0, Merged)
