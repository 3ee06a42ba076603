"""Work in a child of the test process, and programs for it to run.

What waits for signals does so in a fork: masks and handlers changed there are gone with it, and no
other thread of the test runner can swallow a SIGCHLD.
"""

import os
import pickle
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mesos_cni_port_mapper.linux import signals


def in_child(work: Callable[[], object]) -> Any:
    """Return what `work` returns when it is called in a fork; fail where it raises.

    The ending signals are held there, as in the plugin.
    """
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os.close(reader)
        _report(work, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        outcome = stream.read()
    _, status = os.waitpid(pid, 0)
    if not outcome:
        pytest.fail(f"the child ended with wait status {status} and said nothing")
    failed, value = pickle.loads(outcome)
    if failed:
        pytest.fail(value)
    return value


def _report(work: Callable[[], object], writer: int) -> None:
    try:
        signals.hold()
        outcome = pickle.dumps((False, work()))
    except BaseException:  # noqa: BLE001 - whatever it is, the parent must hear of it
        outcome = pickle.dumps((True, traceback.format_exc()))
    with os.fdopen(writer, "wb") as stream:
        stream.write(outcome)
    os._exit(0)


def is_gone(group: int, seconds: float = 5) -> bool:
    """Tell whether a process group has ended, or does so soon.

    Those of it that whoever inherited them has not collected yet have ended too.
    """
    end = time.monotonic() + seconds
    while any(_in_group(directory, group) for directory in Path("/proc").glob("[0-9]*")):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def _in_group(directory: Path, group: int) -> bool:
    try:
        state, _, its_group = (directory / "stat").read_text().rpartition(")")[2].split()[:3]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z" and int(its_group) == group


def write_script(path: Path, body: str) -> str:
    """Write an executable shell script and return its path."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)
