"""The one door to child processes.

A child gets its three streams as memory files: no pipe can fill up and no thread or poll is needed
to drain one. It leads a process group, so that a deadline ends its own children too.
"""

from __future__ import annotations

import os
import time

from mesos_cni_port_mapper.linux import signals
from mesos_cni_port_mapper.linux.files import write_all
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SIGKILL = 9
_DEFAULT_SIGNALS = (1, 2, 13, 15, 17, 25)
"""HUP INT PIPE TERM CHLD XFSZ: CPython ignores PIPE and XFSZ, a DEL ignores the ending ones, and a
child must inherit none of that."""

_SYSTEM_DIRECTORIES = ("/usr/sbin", "/sbin")


_waited: dict[str, float] = {}


def note_wait(what: str, seconds: float) -> None:
    """Count the time that was waited for a program, by its path, or for a lock, by its file."""
    _waited[what] = _waited.get(what, 0.0) + seconds


def waits() -> dict[str, float]:
    """Return all that this process has waited for, in seconds."""
    return dict(_waited)


class DeadlineError(Exception):
    """A child was ended because it did not finish in time."""


class Finished(Value):
    """How a child ended: ``status`` is its exit status, or minus the signal that ended it."""

    status: int
    stdout: bytes
    stderr: bytes


def run(
    argv: list[str],
    environ: Mapping[str, str],
    stdin: bytes,
    seconds: float,
    keep: Sequence[int] = (),
    *,
    tied: bool = False,
) -> Finished:
    """Run the program ``argv[0]``, a path, to its end.

    ``keep`` are file descriptors that the child inherits under their own numbers. A child that is
    ``tied`` is killed with its process group when this process ends, however it does. Raises
    ``OSError`` when it cannot be started, ``DeadlineError`` after ``seconds`` and
    ``signals.Interrupted`` when this process is asked to end; after both the child's whole process
    group has been killed.
    """
    begun = time.monotonic()
    files = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
    tie = os.pipe() if tied else ()
    try:
        write_all(files[0], stdin)
        os.lseek(files[0], 0, os.SEEK_SET)
        actions = [(os.POSIX_SPAWN_DUP2, file, number) for number, file in enumerate(files)]
        # Duplicating a descriptor onto itself is how posix_spawn clears its close-on-exec flag.
        actions += [(os.POSIX_SPAWN_DUP2, file, file) for file in (*keep, *tie[:1])]
        pid = os.posix_spawn(
            argv[0],
            argv,
            environ,
            file_actions=actions,
            setpgroup=0,
            setsigmask=(),
            setsigdef=_DEFAULT_SIGNALS,
        )
        if tie:
            _tie(tie[0], pid)
        status = _reap(pid, argv[0], begun + seconds)
        if tie:
            _untie(tie[0])
        return Finished(status=status, stdout=_content(files[1]), stderr=_content(files[2]))
    finally:
        note_wait(argv[0], time.monotonic() - begun)
        for file in (*files, *tie):
            os.close(file)


def _tie(pipe: int, pid: int) -> None:
    from mesos_cni_port_mapper.linux.descriptors import kill_at_end

    kill_at_end(pipe, pid)


def _untie(pipe: int) -> None:
    """Let what a child left running in the background go on."""
    from mesos_cni_port_mapper.linux.descriptors import spare_at_end

    spare_at_end(pipe)


def _reap(pid: int, program: str, deadline: float) -> int:
    done, status = os.waitpid(pid, os.WNOHANG)
    while not done:
        try:
            in_time = signals.wait(deadline - time.monotonic())
        except BaseException:
            _kill(pid)
            raise
        if not in_time:
            _kill(pid)
            raise DeadlineError(program)
        done, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status)


def _kill(pid: int) -> None:
    """End a child and its process group, and collect it."""
    os.killpg(pid, _SIGKILL)
    os.waitpid(pid, 0)


def _content(file: int) -> bytes:
    size = os.fstat(file).st_size
    return os.pread(file, size, 0)


def find_program(name: str, directories: Sequence[str]) -> str:
    """Return the path of the first executable file called ``name``, or ""."""
    for directory in directories:
        path = f"{directory}/{name}"
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return ""


def find_tool(name: str, environ: Mapping[str, str]) -> str:
    """Return the path of a system tool, or "".

    Runtimes start plugins with a PATH that often lacks the sbin directories, so those are looked
    at in any case.
    """
    listed = [directory for directory in environ.get("PATH", "").split(":") if directory]
    return find_program(name, (*listed, *_SYSTEM_DIRECTORIES))


def original_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment this process was started with, without what freezing added.

    PyInstaller's bootloader sets ``_PYI_*`` and points ``LD_LIBRARY_PATH`` at its own libraries,
    keeping the original beside it; a child that inherited those could load the wrong ones.
    """
    clean = {name: value for name, value in environ.items() if not name.startswith("_PYI_")}
    if "_PYI_ARCHIVE_FILE" in environ:
        clean.pop("LD_LIBRARY_PATH", None)
    original = clean.pop("LD_LIBRARY_PATH_ORIG", None)
    if original is not None:
        clean["LD_LIBRARY_PATH"] = original
    return clean
