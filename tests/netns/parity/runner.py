"""Hand runs to a worker in a throwaway host and compare what came of them."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.netns.parity.cases import Case, plan_baseline, plan_run
from tests.netns.parity.observation import Facts, facts_of_run, macs_in
from tests.support.host import Host

_ROOT = Path(__file__).resolve().parents[3]
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from tests.netns.parity import worker; worker.main()"
)
_UPLINK_MACS = "02:00:00:00:00:01 02:00:00:00:00:02"


def run_case(host: Host, case: Case, sides: Sequence[str]) -> list[list[list[Facts]]]:
    """Do a case in each of its versions with each side's directory of plugins.

    What is returned is, by version and then by side, the facts after each step.
    """
    plans = [plan_run(case, version, side) for version in case.versions for side in sides]
    argv = [sys.executable, "-I", "-S", "-c", _BOOT, str(_ROOT)]
    work = json.dumps([plan_baseline(case), *plans])
    finished = host.run(argv, work.encode(), timeout=120)
    records: list[list[dict[str, Any]]] = json.loads(finished.stdout)
    baseline = records[0][0]["state"]
    known_macs = macs_in(work + _UPLINK_MACS)
    facts = [facts_of_run(record, known_macs, baseline) for record in records[1:]]
    return [facts[start : start + len(sides)] for start in range(0, len(facts), len(sides))]
