"""Process 1 of a User-Mode-Linux: mount, do what the job says, leave the answer, switch off.

Called with the shared directory as its only argument, by `machine`. When it fails, the traceback
goes to the console and there is no answer.
"""

import ctypes
import importlib
import json
import os
import sys
import traceback
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_REBOOT, _MAGIC, _MAGIC_TOO, _POWER_OFF = 169, 0xFEE1DEAD, 672274793, 0x4321FEDC

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_ulong, ctypes.c_char_p]


def _mount(source: str, target: str, kind: str, data: str = "") -> None:
    if _libc.mount(source.encode(), os.fsencode(target), kind.encode(), 0, os.fsencode(data)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def _work(shared: Path) -> None:
    _mount("proc", "/proc", "proc")
    _mount("sysfs", "/sys", "sysfs")
    # The same directory once more, writable.
    _mount("none", str(shared), "hostfs", str(shared))
    job = json.loads((shared / "job.json").read_text())
    module, _, name = job["function"].partition(":")
    sys.path.insert(0, str(_ROOT))
    function = getattr(importlib.import_module(module), name)
    answer = json.dumps(function(**job["arguments"]))
    # Whole or not at all.
    unfinished = shared / "answer.json.new"
    unfinished.write_text(answer)
    unfinished.rename(shared / "answer.json")


def main() -> None:
    os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    try:
        _work(Path(sys.argv[1]))
    except BaseException:  # noqa: BLE001 - process 1 must not end by itself
        traceback.print_exc()
    sys.stderr.flush()
    _libc.syscall(_REBOOT, _MAGIC, _MAGIC_TOO, _POWER_OFF, 0)


if __name__ == "__main__":
    main()
