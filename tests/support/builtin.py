"""The built-in plugins as executables: frozen, or from source while they are being written."""

import os
import sys
from pathlib import Path

from delegates.catalogue import BUILT_IN
from tests.support.gate import need_file

_ROOT = Path(__file__).resolve().parents[2]
FROZEN = _ROOT / "dist" / "delegates"
FROM_SOURCE = "DELEGATES_FROM_SOURCE"
"""The environment variable that has tests run what is in the tree now, not what was frozen."""

_STUB = """\
#!{python} -I
import sys
sys.path[:0] = {path!r}
sys.dont_write_bytecode = True
from delegates.__main__ import main
main()
"""


def builtin_directory(scratch: Path) -> Path:
    """Return a directory with an executable for every built-in plugin.

    The frozen programs, or where the environment asks for it stubs written into ``scratch``.
    """
    if os.environ.get(FROM_SOURCE):
        return write_stubs(scratch)
    need_file(FROZEN / "bridge", "make build")
    return FROZEN


def write_stubs(directory: Path) -> Path:
    """Write a program for every built-in plugin that runs it from source."""
    text = _STUB.format(python=sys.executable, path=[str(_ROOT), *_packages()])
    for name in BUILT_IN:
        stub = directory / name
        stub.write_text(text)
        stub.chmod(0o755)
    return directory


def _packages() -> list[str]:
    # Isolated, the interpreter still finds its own environment's; named for one that does not.
    return [entry for entry in sys.path if entry.endswith("site-packages")]
