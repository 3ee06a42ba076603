"""Locks with a deadline, on files that others may replace or remove meanwhile."""

import fcntl
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mesos_cni_port_mapper.linux import lock, signals
from mesos_cni_port_mapper.linux.lock import (
    LockHeldError,
    acquire,
    acquire_existing,
    acquire_read_only,
    holder_of,
    is_held,
    lock_uncontended,
)
from tests.unit.children import in_child

Acquire = Callable[[str, float], int | None]
BOTH = pytest.mark.parametrize("take", [acquire, acquire_existing])
ALL = pytest.mark.parametrize("take", [acquire, acquire_existing, acquire_read_only])


def hold(path: Path) -> int:
    """Lock a file as another process would: through an open file of its own."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def later(action: Callable[[], object], seconds: float = 0.15) -> None:
    """Do something from another process while this one waits."""
    if os.fork() == 0:
        time.sleep(seconds)
        action()
        os._exit(0)


def test_a_lock_is_made_where_there_is_none(tmp_path: Path) -> None:
    file = acquire(f"{tmp_path}/lock", 1)

    assert is_held(f"{tmp_path}/lock")
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
    assert not os.get_inheritable(file)
    os.close(file)
    assert not is_held(f"{tmp_path}/lock")


def test_what_may_not_be_written_can_be_locked(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch(0o400)

    file = acquire_read_only(str(path), 1)

    assert is_held(str(path))
    assert os.get_inheritable(file) is False
    assert fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    os.close(file)
    assert not is_held(str(path))


def test_an_existing_lock_is_not_made(tmp_path: Path) -> None:
    assert acquire_existing(f"{tmp_path}/lock", 1) is None
    assert list(tmp_path.iterdir()) == []


@ALL
def test_a_held_lock_is_waited_for_as_long_as_said(tmp_path: Path, take: Acquire) -> None:
    path = tmp_path / "lock"
    holder = hold(path)

    def work() -> tuple[float, str]:
        begun = time.monotonic()
        with pytest.raises(LockHeldError) as failure:
            take(str(path), 0.2)
        return time.monotonic() - begun, str(failure.value)

    waited, message = in_child(work)
    os.close(holder)
    command = Path("/proc/self/comm").read_text().strip()
    assert 0.2 <= waited < 2
    assert message == f"{path} is locked by pid {os.getpid()} ({command})"


@BOTH
def test_a_lock_is_had_when_its_holder_lets_go(tmp_path: Path, take: Acquire) -> None:
    path = tmp_path / "lock"

    def work() -> bool:
        holder = hold(path)
        later(lambda: None)
        os.close(holder)  # The other process still has it.
        file = take(str(path), 10)
        return file is not None and is_held(str(path))

    assert in_child(work)


@BOTH
def test_a_lock_on_a_file_that_was_replaced_is_taken_on_the_new_one(
    tmp_path: Path, take: Acquire
) -> None:
    path, new = tmp_path / "lock", tmp_path / "new"
    path.write_text("old")
    new.write_text("new")

    def work() -> bytes:
        holder = hold(path)
        later(lambda: new.rename(path))
        os.close(holder)
        file = take(str(path), 10)
        return os.pread(file, 9, 0) if file is not None else b"nothing"

    assert in_child(work) == b"new"


def test_a_lock_on_a_file_that_was_removed_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    def work() -> bool:
        holder = hold(path)
        later(path.unlink)
        os.close(holder)
        return os.fstat(acquire(str(path), 10)).st_ino == path.stat().st_ino

    assert in_child(work)


def test_an_existing_lock_that_was_removed_meanwhile_is_none(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    def work() -> object:
        holder = hold(path)
        later(path.unlink)
        os.close(holder)
        return acquire_existing(str(path), 10)

    assert in_child(work) is None
    assert list(tmp_path.iterdir()) == []


def test_a_wait_can_be_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = hold(path)

    def work() -> int:
        parent = os.getpid()
        later(lambda: os.kill(parent, signal.SIGTERM))
        with pytest.raises(signals.Interrupted) as interruption:
            acquire(str(path), 10)
        return interruption.value.number

    assert in_child(work) == signal.SIGTERM
    os.close(holder)


def test_a_signal_that_came_before_interrupts_a_wait(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = hold(path)

    def work() -> tuple[int, bool]:
        before = signal_state()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(signals.Interrupted) as interruption:
            acquire(str(path), 10)
        return interruption.value.number, signal_state() == before

    assert in_child(work) == (signal.SIGTERM, True)
    os.close(holder)


def test_a_signal_that_is_ignored_does_not_interrupt_a_wait(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    def work() -> bool:
        signals.ignore()
        holder = hold(path)
        parent = os.getpid()
        later(lambda: os.kill(parent, signal.SIGTERM))
        os.close(holder)
        return acquire(str(path), 10) > 0

    assert in_child(work)


def signal_state() -> tuple[set[int], list[Any], tuple[float, float]]:
    return (
        set(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        [signal.getsignal(number) for number in signals.ENDING],
        signal.getitimer(signal.ITIMER_REAL),
    )


def test_a_wait_leaves_masks_handlers_and_the_alarm_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = hold(path)

    def work() -> bool:
        before = signal_state()
        with pytest.raises(LockHeldError):
            acquire(str(path), 0.05)
        return signal_state() == before

    assert in_child(work)
    os.close(holder)


def test_an_alarm_that_rings_as_the_wait_ends_is_a_held_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    holder = hold(path)

    def ring(_timer: int, seconds: float) -> None:
        if not seconds:
            raise lock._TimeUp

    def work() -> None:
        monkeypatch.setattr("mesos_cni_port_mapper.linux.lock.signal.setitimer", ring)
        monkeypatch.setattr(fcntl, "flock", fail_once_without_waiting)
        with pytest.raises(LockHeldError):
            acquire(str(path), 10)

    in_child(work)
    os.close(holder)


def fail_once_without_waiting(_file: int, operation: int) -> None:
    if operation & fcntl.LOCK_NB:
        raise BlockingIOError


def test_a_failed_wait_leaves_nothing_open(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = hold(path)

    def work() -> bool:
        before = {file.name for file in Path("/proc/self/fd").iterdir()}
        with pytest.raises(LockHeldError):
            acquire(str(path), 0.05)
        return {file.name for file in Path("/proc/self/fd").iterdir()} == before

    assert in_child(work)
    os.close(holder)


def test_a_lock_outlives_a_holder_whose_child_inherited_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    def work() -> bool:
        file = acquire(str(path), 1)
        later(lambda: None, 0.3)
        os.close(file)
        return is_held(str(path))

    assert in_child(work)


def test_a_file_nobody_else_has_opened_is_locked_at_once(tmp_path: Path) -> None:
    file = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT, 0o600)

    lock_uncontended(file)

    assert is_held(f"{tmp_path}/lock")
    os.close(file)


def test_looking_whether_a_lock_is_held_does_not_take_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()

    assert [is_held(str(path)), is_held(str(path))] == [False, False]


def test_a_lock_that_is_not_there_is_not_held(tmp_path: Path) -> None:
    assert not is_held(f"{tmp_path}/lock")
    assert list(tmp_path.iterdir()) == []


def test_the_holder_of_a_lock_that_nobody_holds_is_not_named(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()

    assert holder_of(f"{tmp_path}/lock") == "a process that /proc/locks does not list"


def test_the_holder_of_a_lock_that_is_not_there_is_not_named(tmp_path: Path) -> None:
    assert holder_of(f"{tmp_path}/lock") == "a process that /proc does not name"
