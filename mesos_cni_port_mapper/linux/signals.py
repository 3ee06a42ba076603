"""Signals as events to wait for, not as interruptions.

A handler that raises could strike between any two bytecodes: after a child was started and before
its pid was noted, or in the middle of undoing. So the ending signals stay blocked while an ADD
runs, and are looked at in one place only, where it waits for a child (``process.run``).
"""

from __future__ import annotations

import _signal as signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
ALL = frozenset(signal.valid_signals())


class Interrupted(BaseException):
    """Somebody asked this process to end. Not an ``Exception``: nobody but the edge handles it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by signal {number}")
        self.number = number


def block(numbers: Iterable[int]) -> set[int]:
    """Block signals and return those that were blocked before.

    As numbers: ``signal`` makes an enumeration's member of each, which takes half a millisecond.
    """
    before: set[int] = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    return before


def set_mask(numbers: Iterable[int]) -> None:
    """Block these signals and no others."""
    signal.pthread_sigmask(signal.SIG_SETMASK, numbers)


def hold() -> None:
    """Block the ending signals until someone waits for them."""
    # A parent that ignores SIGCHLD would have its choice inherited, and the kernel reap our
    # children before we could ask for their status.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, (*ENDING, signal.SIGCHLD))


def ignore() -> None:
    """Ignore the ending signals, also those that are already pending."""
    hold()
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def reset() -> None:
    """Hear signals as a program does that has just been started, after ``hold`` or ``ignore``."""
    for number in (*ENDING, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    set_mask(())


def wait(seconds: float) -> bool:
    """Wait for a child to change state; return whether one did before ``seconds`` went by.

    Raises ``Interrupted`` when an ending signal comes first. ``hold`` must have been called.
    """
    ignored = [number for number in ENDING if signal.getsignal(number) == signal.SIG_IGN]
    awaited = [number for number in (*ENDING, signal.SIGCHLD) if number not in ignored]
    event = signal.sigtimedwait(awaited, max(seconds, 0))
    if event is None:
        return False
    if event.si_signo == signal.SIGCHLD:
        return True
    raise Interrupted(event.si_signo)
