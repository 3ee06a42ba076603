"""From times to paired ratios, and whether an expectation is met."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

Times = Sequence[tuple[int, int]]
"""Wall and CPU time of each program that one side ran, in order."""


@dataclass(frozen=True)
class Ratios:
    """Ours divided by the peer's, pair by pair."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.values)

    def __str__(self) -> str:
        return f"{self.median:.3f} [{min(self.values):.3f}-{max(self.values):.3f}]"


@dataclass(frozen=True)
class Figure:
    """One measured line of a table; ``expected`` is the most that its median may be, if it may."""

    work: str
    command: str
    peer: str
    wall: Ratios
    cpu: Ratios
    expected: float | None = None

    @property
    def met(self) -> bool:
        return self.expected is None or self.wall.median <= self.expected


def compute_ratios(pairs: Sequence[tuple[Times, Times]]) -> tuple[Ratios, Ratios]:
    """Return the ratios of wall and of CPU time, the programs of a side taken together."""
    wall, cpu = (
        Ratios(
            tuple(
                sum(times[kind] for times in ours) / sum(times[kind] for times in theirs)
                for ours, theirs in pairs
            )
        )
        for kind in (0, 1)
    )
    return wall, cpu


def only(pairs: Sequence[tuple[Times, Times]], call: int) -> list[tuple[Times, Times]]:
    """Return the times of one call of each side, say of ADD alone."""
    return [(ours[call : call + 1], theirs[call : call + 1]) for ours, theirs in pairs]
