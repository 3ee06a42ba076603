"""A program with plugins that do what their configuration says, served by workers.

`python -m tests.support.workers NUMBER` serves the channel of that number. A plugin's ADD
writes its PID to the file `note`, takes its `steps`, and tells in its result who it was.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.cni.request import Request
from mesos_cni_port_mapper.cni.workers import fork_workers
from mesos_cni_port_mapper.linux import signals


def _fail() -> None:
    raise CniError(111, "as it was told")


def _spawn_sleep() -> None:
    os.posix_spawn("/bin/sleep", ["sleep", "60"], {})


_STEPS: Mapping[str, Callable[[], object]] = {
    "complain": lambda: os.write(2, b"noise"),
    "die": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "fail": _fail,
    "hang": lambda: time.sleep(60),
    "ignore signals": signals.ignore,
    "keep a file": lambda: os.open("/", os.O_RDONLY),
    "nap": lambda: time.sleep(0.3),
    "spawn": _spawn_sleep,
}


class Told:
    """Does as it is told, and says who it is."""

    def __init__(self, name: str) -> None:
        self.name = name

    def add(self, request: Request) -> dict[str, Any]:
        """Take the steps."""
        told = {
            "name": self.name,
            "pid": os.getpid(),
            "environment": dict(request.environ),
            "blocked": sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ()))),
            "terminates": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
        }
        if note := request.netconf.get("note"):
            Path(note).write_text(str(os.getpid()), encoding="ascii")
        for step in request.netconf.get("steps", ()):
            _STEPS[step]()
        return {"cniVersion": request.version, "told": told}

    def delete(self, request: Request) -> None:
        """There is nothing to undo."""

    def check(self, request: Request) -> None:
        """There is nothing to look at."""

    def gc(self, request: Request) -> None:
        """There is nothing to collect."""

    def status(self, request: Request) -> None:
        """It is ready."""


if __name__ == "__main__":
    fork_workers(int(sys.argv[1]), Told, "test")
