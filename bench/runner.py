"""Run two sides in turns and time every program from fork to exit.

Started inside a throwaway host with ``python -I -S``; a job comes on stdin and the times, in
nanoseconds, leave on stdout. Between the two readings of the clock is nothing but posix_spawn and
wait4, so that what is compared is the programs and not what started them.
"""

import ctypes
import gc
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# CPython ignores both; a runtime's children are not used to that.
_DEFAULT_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ)

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Call:
    """One run of a program, with all that it needs laid out beforehand."""

    def __init__(self, description: dict[str, Any], stdin: Path, output: int) -> None:
        self.program: str = description["program"]
        self.environ: dict[str, str] = description["environ"]
        self.network = os.open(description["netns"] or "/proc/self/ns/net", os.O_RDONLY)
        stdin.write_text(description["stdin"])
        self.output = output
        self.actions = [
            (os.POSIX_SPAWN_OPEN, 0, str(stdin), os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ]

    def time(self) -> tuple[int, int]:
        """Run it; return wall time and the CPU time of it and its children."""
        if _libc.setns(self.network, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        os.ftruncate(self.output, 0)
        os.lseek(self.output, 0, os.SEEK_SET)
        begin = time.perf_counter_ns()
        pid = os.posix_spawn(
            self.program,
            [self.program],
            self.environ,
            file_actions=self.actions,
            setsigdef=_DEFAULT_SIGNALS,
        )
        _, status, usage = os.wait4(pid, 0)
        end = time.perf_counter_ns()
        if status != 0:
            said = os.pread(self.output, 10_000, 0).decode(errors="replace")
            name = os.path.basename(self.program)  # noqa: PTH119 - a message, not a path
            raise SystemExit(f"{name} ended with status {status} and said: {said}")
        return end - begin, round((usage.ru_utime + usage.ru_stime) * 1e9)


def run(job: dict[str, Any], scratch: Path) -> list[list[list[tuple[int, int]]]]:
    """Return for each pair, for each side, the times of each of its calls."""
    output = os.memfd_create("output")
    sides = [
        [
            Call(call, scratch / f"stdin-{side}-{number}", output)
            for number, call in enumerate(calls)
        ]
        for side, calls in enumerate(job["sides"])
    ]
    pairs = []
    # The first pair warms the page cache and is forgotten.
    for _ in range(job["pairs"] + 1):
        order = list(enumerate(sides))
        random.shuffle(order)
        times = {side: [call.time() for call in calls] for side, calls in order}
        pairs.append([times[side] for side in range(len(sides))])
    return pairs[1:]


def main() -> None:
    """Serve one job."""
    gc.disable()
    job = json.load(sys.stdin)
    # The host's /run is memory: reading stdin from it costs both sides the same, next to nothing.
    with tempfile.TemporaryDirectory(dir="/run") as scratch:
        json.dump(run(job, Path(scratch)), sys.stdout)


if __name__ == "__main__":
    main()
