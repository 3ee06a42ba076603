"""Wait for what happens a moment later, without a sleep that is too long or too short."""

import time
from collections.abc import Callable
from pathlib import Path


def eventually(look: Callable[[], object], wanted: object, timeout: float = 5) -> object:
    """Look until the wanted is seen or time is up, and return what was seen last.

    To be compared by the caller, so that a failure shows both: ``assert eventually(look, x) == x``.
    """
    end = time.monotonic() + timeout
    while (seen := look()) != wanted and time.monotonic() < end:
        time.sleep(0.005)
    return seen


def runs(pid: int) -> bool:
    """Tell whether a process, by the test process' count, has not ended."""
    try:
        status = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    # Who inherits an ended process may take a second to collect it.
    return status.rpartition(b") ")[2][:1] != b"Z"


def members_of(group: int) -> list[str]:
    """Return the processes of a group that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(path.parent.name)
    return found
