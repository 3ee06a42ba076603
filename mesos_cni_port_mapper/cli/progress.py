"""What somebody at a terminal sees of work that takes a while; a pipe or a file gets nothing."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from collections.abc import Iterator
from typing import NoReturn

from mesos_cni_port_mapper.linux import signals
from mesos_cni_port_mapper.linux.descriptors import close_all_but

_A_WHILE = 2.0


@contextlib.contextmanager
def progress(words: str) -> Iterator[None]:
    """Show what is being waited for, and for how long, once it has taken two seconds.

    A process of its own does that: this one must not have a thread when it forks monitors.
    """
    if not sys.stderr.isatty():
        yield
        return
    ended, still_at_it = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    # Handlers of ours must not run in there.
    mask = signals.block(signals.ALL)
    pid = os.fork()
    if pid == 0:
        _be_display(words, ended)
    signals.set_mask(mask)
    os.close(ended)
    try:
        yield
    finally:
        os.close(still_at_it)
        os.waitpid(pid, 0)


def _be_display(words: str, ended: int) -> NoReturn:
    try:
        # It leaves when the work ends, however that does.
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        signals.set_mask(())
        close_all_but((2, ended))
        if not _wait(ended, _A_WHILE):
            _show(words, ended)
    finally:
        os._exit(0)


def _wait(ended: int, seconds: float | None) -> bool:
    return bool(select.select([ended], [], [], seconds)[0])


def _show(words: str, ended: int) -> None:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        shown.add_task(words, total=None)
        shown.tasks[0].start_time = shown.get_time() - _A_WHILE
        _wait(ended, None)
