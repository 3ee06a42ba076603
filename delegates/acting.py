"""What the functions that carry out operations share."""

from __future__ import annotations

from mesos_cni_port_mapper.linux import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

ENOENT, ESRCH, ENODEV, EEXIST, EOPNOTSUPP, EADDRNOTAVAIL, ETIMEDOUT = 2, 3, 19, 17, 95, 99, 110
_GONE = (ENOENT, ESRCH, ENODEV, EADDRNOTAVAIL)
"""What is to be taken away is not there."""

_LONGEST_STEP = 0.02


def steps(seconds: float) -> Iterator[None]:
    """Yield at once and then ever more rarely; an ending signal is an end to waiting, too."""
    waited, step = 0.0, 0.001
    yield
    while waited < seconds:
        signals.wait(step)
        waited += step
        step = min(step * 2, _LONGEST_STEP)
        yield


def forgive(work: Callable[[], None]) -> bool:
    """Do some work; return false where what it is about is not there."""
    try:
        work()
    except OSError as error:
        if error.errno not in _GONE:
            raise
        return False
    return True


def hardware_address(mac: str) -> list[tuple[Any, ...]]:
    return [("IFLA_ADDRESS", mac)] if mac else []
