"""A moment's work in a thread or a fork of this process, and waiting for forks and programs.

A thread is much cheaper: after a fork every page that either side touches is copied. A fork can be
killed, and dies with us by the kernel's parent-death signal, which follows the thread that forked:
that must be one that stays, asyncio's own and never a pool's. A child leads a process group, and
the whole group is killed when it is late or nobody waits for it any more.
"""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import errno
import json
import os
import signal
from collections.abc import Callable
from typing import NoReturn, cast

from mesos_cni_port_mapper.isolator.waiting import ended
from mesos_cni_port_mapper.linux import signals, syscalls
from mesos_cni_port_mapper.linux.files import write_all

_NOT_STARTED = 127
_A_WHILE = 0.1


def fork(work: Callable[[], None]) -> int:
    """Run ``work`` in a child and return its PID; for it to end early is to raise or to exec."""
    parent = os.getpid()
    # A handler of ours must not run in the child: asyncio's would wake our loop up through it.
    mask = signals.block(signals.ALL)
    try:
        pid = os.fork()
        if pid == 0:
            _be_child(work, parent)
    finally:
        signals.set_mask(mask)
    # Both sides do this, or a group that is killed at once might not be one yet.
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)
    return pid


async def finish(pid: int, seconds: float) -> int:
    """Wait for a child and return its exit status, or minus the signal that ended it.

    Raises ``TimeoutError``. After that, or when cancelled, its process group has been killed.
    """
    try:
        async with asyncio.timeout(seconds):
            await ended(pid)
    except BaseException:
        _kill(pid)
        raise
    return _status_of(pid)


async def perform(work: Callable[[], None], seconds: float | None) -> None:
    """Run ``work`` in a thread of its own, which may enter namespaces because it ends then.

    Whatever ``work`` raises is raised. A thread cannot be killed: after ``TimeoutError`` it goes on
    for as long as this process does. Without ``seconds`` it may take as long as it likes.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def run() -> None:
        failure = None
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - it is raised where somebody waits
            failure = error
        # The loop may be closed by now, when nobody waits any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, done, failure)

    # Not by a ``Thread``, whose start waits for it to have begun.
    _thread.start_new_thread(run, ())
    async with asyncio.timeout(seconds):
        await done


def perform_now(work: Callable[[], bytes | None]) -> bytes:
    """Run ``work`` in a child of its own and return what it returned; its ``OSError`` is raised.

    For work that takes no time and can hang on nothing.
    """
    answer = os.memfd_create("answer")
    try:
        pid = fork(lambda: _report(work, answer))
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return _outcome(answer, status)
    finally:
        os.close(answer)


def content_of(file: int) -> bytes:
    """Return all that was written to a memory file."""
    return os.pread(file, os.fstat(file).st_size, 0)


def _be_child(work: Callable[[], None], parent: int) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        for number in signals.ALL:
            if signal.getsignal(number) not in (signal.SIG_DFL, None):
                signal.signal(number, signal.SIG_DFL)
        os.setpgid(0, 0)
        syscalls.die_with_parent()
        signals.set_mask(())
        # It may have died before we asked to be told.
        if os.getppid() == parent:
            work()
            os._exit(0)
    finally:
        # Whatever happens, a child must never return into its parent's code.
        os._exit(_NOT_STARTED)


def _report(work: Callable[[], bytes | None], answer: int) -> None:
    try:
        write_all(answer, b"+" + (work() or b""))
    except OSError as error:
        filename = None if error.filename is None else str(error.filename)
        write_all(answer, b"-" + json.dumps([error.errno, error.strerror, filename]).encode())


def _outcome(answer: int, status: int) -> bytes:
    content = content_of(answer)
    if content[:1] == b"+":
        return content[1:]
    if content[:1] == b"-":
        number, words, filename = json.loads(content[1:])
        raise OSError(number, words, filename)
    raise OSError(errno.ECHILD, f"a child of ours ended with status {status}")


def _status_of(pid: int) -> int:
    """Return how a child ended, and have it collected a while later.

    The kernel says that a program has ended before the last of its threads is quite gone. Whoever
    collects it at once, and with that takes the processor from this thread, makes the kernel spin
    (``proc_invalidate_siblings_dcache``) until it is the thread's turn again. With dozens of
    plugins at a time that was more than a millisecond for each.
    """
    # Nothing is what it returns where it need not wait, and only there.
    result = cast("os.waitid_result", os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT))
    asyncio.get_running_loop().call_later(_A_WHILE, os.waitpid, pid, 0)
    return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status


def _settle(future: asyncio.Future[None], failure: BaseException | None = None) -> None:
    if future.done():
        return  # Nobody waits any more.
    if failure is None:
        future.set_result(None)
    else:
        future.set_exception(failure)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
