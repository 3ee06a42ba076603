"""Measure, print as the figures come, and end with 1 when one is not as expected."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from bench import delegates, launch, scale
from bench.figures import Figure, compute_ratios, only
from bench.report import render_document, render_figure, render_heading, render_versions, versions
from bench.scenarios import EXPECTED_OF_VERSION, Scenario, scenarios
from bench.sides import NOTHING, OURS, PORTMAP
from bench.stage import BenchError, time_pairs, time_scenario, version_call
from tests.support.host import Host, Variant
from tests.support.keeper import HostError
from tests.support.process import CommandError

_QUICK_PAIRS = 5
_VERSION_PAIRS = 4
"""So many more for VERSION: each is short, and what is expected of it is the tightest."""

_INTRODUCTION = """\
ours / theirs, wall from fork to exit: median [least-most] of {pairs} pairs in random order.
Both are second in a list of plugins and given the result of the first."""


def main() -> int:
    """Run what the command line asks for."""
    options = _parse(sys.argv[1:])
    programs = (OURS, NOTHING, PORTMAP, delegates.OURS, delegates.THEIRS)
    missing = [path.name for path in programs if not path.is_file()]
    if missing:
        sys.exit(f"bench: needs {', '.join(missing)}: make setup build gates")
    facts = versions()
    print(render_versions(facts))
    print(_INTRODUCTION.format(pairs=options.pairs))
    try:
        tables = _measure(options.pairs, quick=options.quick)
        print()
        crowded = scale.show(options.pairs, quick=options.quick)
        print()
        late = 0 if options.quick else launch.show(launch.ROUNDS)
    except (BenchError, CommandError, HostError, launch.LaunchError) as error:
        sys.exit(f"bench: {error}")
    if options.json:
        document = render_document(facts, options.pairs, tables, crowded)
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    if options.plot:
        options.plot.write_text(scale.render_plot(crowded))
    figures = [figure for figures in tables.values() for figure in figures]
    missed = late + sum(not each.met for each in figures) + sum(not row.met for row in crowded)
    print(f"\n{missed} expectations missed" if missed else "\nall expectations met")
    return 1 if missed else 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("bench", description=__doc__)
    parser.add_argument("--pairs", type=int, help="how often both sides run (default: 20)")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"only what there are expectations of, nft only, {_QUICK_PAIRS} pairs",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every ratio to a file")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw what many mappings cost")
    options = parser.parse_args(arguments)
    if options.plot and options.quick:
        parser.error("--plot: there is too little to draw with --quick")
    if options.pairs is None:
        options.pairs = _QUICK_PAIRS if options.quick else 20
    if options.pairs < 1:
        parser.error("--pairs: at least 1")
    return options


def _measure(pairs: int, *, quick: bool) -> dict[str, list[Figure]]:
    tables = {"start": _show("start", _measure_start(pairs))}
    variants: list[Variant] = ["nft"] if quick else ["nft", "legacy"]
    for variant in variants:
        title = f"iptables, {variant} variant"
        if not Path(f"/usr/sbin/xtables-{variant}-multi").exists():
            print(f"\n{title}: not installed here")
            continue
        chosen = scenarios(variant, quick=quick)
        tables[title] = _show(
            title,
            (
                figure
                for scenario in chosen
                for figure in _measure_scenario(variant, scenario, pairs)
            ),
        )
    title = "built-in bridge with host-local"
    tables[title] = _show(title, delegates.measure(pairs))
    return tables


def _show(title: str, figures: Iterator[Figure]) -> list[Figure]:
    print(render_heading(title), flush=True)
    shown = []
    for figure in figures:
        print(render_figure(figure), flush=True)
        shown.append(figure)
    return shown


def _measure_start(pairs: int) -> Iterator[Figure]:
    with Host() as host:
        for program, expected in ((NOTHING, EXPECTED_OF_VERSION), (PORTMAP, None)):
            sides = [version_call(OURS)], [version_call(program)]
            times = time_pairs(host, *sides, pairs * _VERSION_PAIRS)
            yield Figure("-", "VERSION", program.name, *compute_ratios(times), expected)


def _measure_scenario(variant: Variant, scenario: Scenario, pairs: int) -> Iterator[Figure]:
    with Host(variant) as host:
        times = time_scenario(host, scenario, pairs)
    work, peer = scenario.work, scenario.peer
    yield Figure(work, "ADD+DEL", peer, *compute_ratios(times), scenario.expected)
    for call, command in enumerate(("ADD", "DEL")):
        yield Figure(work, command, peer, *compute_ratios(only(times, call)))


if __name__ == "__main__":
    sys.exit(main())
