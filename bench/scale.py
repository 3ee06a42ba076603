"""What many mappings cost: adding one to them, and a new connection through one of them.

Both are ratios. An ADD and the DEL after it are timed on a host with so many mappings, in turns
with the same on one with ten. New connections a second go through the mapping that is looked at
last, in turns with the first: a chain is gone through rule by rule, a map is not.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.crowd import Crowd, Member, compare_connections, connect_web, runs, single_ports
from bench.figures import Ratios, compute_ratios
from bench.plot import Panel, Points, render_svg
from bench.stage import time_pairs
from mesos_cni_port_mapper.portmap.traffic import IPTABLES, NFTABLES
from tests.support.host import Host

PAIRS = 20
FEW, MANY = 10, 10_000
COUNTS = (FEW, 100, 1_000, MANY)
RUNS = (1, 10, 100)
SINGLE_PORTS, OF_RUNS = "single ports", "runs of ports"

_MOST_COST, _LEAST_RATE = 1.3, 0.9
"""What is expected of nftables with as many single ports as there are at most."""

_LAST_ADDRESS = "10.77.200.1/16"
_ONE_PORT = Member("one-more", _LAST_ADDRESS, ((2001, 8000),))
_ONE_RUN = Member("one-more", _LAST_ADDRESS, tuple((port, port) for port in range(30_000, 31_000)))

_LINE = "{:22} {:9} {:24} {:24}  {}"


@dataclass(frozen=True)
class Row:
    """What was measured with so many mappings: cost of one more, and rate through the last."""

    backend: str
    kind: str
    count: int
    cost: Ratios
    rate: Ratios | None = None

    @property
    def judged(self) -> bool:
        """Tell whether anything is expected of it."""
        return (self.backend, self.kind, self.count) == (NFTABLES, SINGLE_PORTS, MANY)

    @property
    def met(self) -> bool:
        rate = self.rate is None or self.rate.median >= _LEAST_RATE
        return not self.judged or (self.cost.median <= _MOST_COST and rate)

    def __str__(self) -> str:
        verdict = ""
        if self.judged:
            said = "met" if self.met else "MISSED"
            verdict = f"at most {_MOST_COST}, at least {_LEAST_RATE}: {said}"
        name = f"{self.count:,} {self.kind}"
        rate = str(self.rate or "-")
        return _LINE.format(name, self.backend, str(self.cost), rate, verdict).rstrip()


def rows(pairs: int, *, quick: bool) -> Iterator[Row]:
    """Measure both back ends; ``quick`` is only what there are expectations of."""
    for backend in (NFTABLES,) if quick else (NFTABLES, IPTABLES):
        for count in (MANY,) if quick else COUNTS:
            yield _measure(backend, SINGLE_PORTS, count, pairs)
        for count in () if quick else RUNS:
            yield _measure(backend, OF_RUNS, count, pairs)


def _measure(backend: str, kind: str, count: int, pairs: int) -> Row:
    make, fewest, more = {
        SINGLE_PORTS: (single_ports, FEW, _ONE_PORT),
        OF_RUNS: (runs, RUNS[0], _ONE_RUN),
    }[kind]
    members = make(count)
    with Host() as host:
        web = host.container("web")
        quiet = host.container("quiet")
        connect_web(host, web, members)
        crowd = Crowd(host, host, web, backend)
        crowd.fill(members)
        few = Crowd(host, quiet, web, backend)
        few.fill(make(fewest))
        times = time_pairs(
            host, crowd.calls(more, "ADD", "DEL"), few.calls(more, "ADD", "DEL"), pairs
        )
        cost, _ = compute_ratios(times)
        rate = None
        if kind == SINGLE_PORTS:
            rate = compare_connections(host, web, members, pairs)
    return Row(backend, kind, count, cost, rate)


def show(pairs: int, *, quick: bool = False) -> list[Row]:
    """Print the rows as they come and return them."""
    print(
        "many mappings: ADD+DEL of one more / the same beside the fewest, wall; new connections a\n"
        f"second through the last mapping / the first; median [least-most] of {pairs} pairs"
    )
    print(_LINE.format("existing", "back end", "ADD+DEL", "connections", "expected"))
    found = []
    for row in rows(pairs, quick=quick):
        print(row, flush=True)
        found.append(row)
    return found


def render_plot(found: Sequence[Row]) -> str:
    """Return the picture of the documentation."""
    single = [row for row in found if row.kind == SINGLE_PORTS]
    cost = {row: row.cost.median for row in single}
    rate = {row: row.rate.median for row in single if row.rate}
    return render_svg(
        [
            Panel(
                title="Adding and removing one mapping",
                below="existing mappings",
                beside="ADD + DEL, beside ten = 1",
                curves=_curves(cost),
                ticks=_powers_of_two(max(cost.values())),
                logarithmic=True,
            ),
            Panel(
                title="New connections through the last mapping",
                below="existing mappings",
                beside="a second, through the first = 1",
                curves=_curves(rate),
                ticks=[tenths / 10 for tenths in range(0, 13, 2)],
                legend_below=True,
            ),
        ]
    )


def _curves(medians: Mapping[Row, float]) -> dict[str, Points]:
    names = {NFTABLES: "nftables, maps", IPTABLES: "iptables, a chain"}
    return {
        name: [(row.count, value) for row, value in medians.items() if row.backend == backend]
        for backend, name in names.items()
    }


def _powers_of_two(reached: float) -> list[float]:
    """Return what a logarithmic axis needs to show from just below 1."""
    ticks = [0.5]
    while ticks[-1] < reached:
        ticks.append(2 * ticks[-1])
    return ticks


def main() -> int:
    """Measure, and draw if asked to."""
    parser = argparse.ArgumentParser("bench.scale", description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS, help="pairs of turns (default: 20)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write the curves as SVG")
    options = parser.parse_args()
    if options.pairs < 1:
        parser.error("--pairs: at least 1")
    found = show(options.pairs)
    if options.plot:
        options.plot.write_text(render_plot(found))
    return 0 if all(row.met for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
