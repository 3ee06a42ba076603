"""A machine with another kernel: User-Mode-Linux on the files of the one that runs the tests.

Its kernel has modules that the running one may lack (ipvlan, 8021q). Its root is the real one, seen
through hostfs and read-only; a single directory is shared for writing. It runs as processes in
namespaces of their own, the first of which is timeout(1): when that ends, all of them do.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.keeper import namespaces

LINUX = "/usr/bin/linux.uml"
_GUEST = Path(__file__).with_name("guest.py")


class MachineError(Exception):
    """The machine did not do what it was booted for; its console is in the message."""


def run(function: str, seconds: float, shared: Path, **arguments: object) -> Any:
    """Boot, call ``function`` ("package.module:name") in there, and return what it returned.

    ``shared`` is a directory of this call's own. Arguments and result travel as JSON. After
    ``seconds`` of wall time the machine is switched off, whatever happens to this process.
    """
    job = {"function": function, "arguments": arguments}
    (shared / "job.json").write_text(json.dumps(job))
    finished = subprocess.run(
        [
            *namespaces(),
            *("timeout", "--signal", "KILL", f"{seconds:g}"),
            *_command(shared),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # Where a file for the machine's memory is made: /dev/shm may be too small.
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(shared)},
        text=True,
        errors="replace",
        check=False,
    )
    try:
        answer = json.loads((shared / "answer.json").read_text())
    except (OSError, ValueError):
        # The exit status says nothing about what ran inside.
        error = f"{function} did not end within {seconds:g} s or failed:\n{finished.stdout}"
        raise MachineError(error) from None
    return answer


def _command(shared: Path) -> list[str]:
    return [
        LINUX,
        "mem=256M",
        f"uml_dir={shared}/",
        *("rootfstype=hostfs", "rootflags=/", "ro"),
        # What the kernel and process 1 say goes to our stdout, and nobody opens a terminal.
        *("quiet", "con=null", "con0=fd:0,fd:1"),
        f"init={sys.executable}",
        *("--", "-I", "-S", str(_GUEST), str(shared)),
    ]
