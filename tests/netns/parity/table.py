"""The whole table of cases."""

from tests.netns.parity import (
    cases_bridge,
    cases_bridge_wrong,
    cases_host_local,
    cases_links,
    cases_simple,
)
from tests.netns.parity.cases import Case

CASES: tuple[Case, ...] = (
    *cases_bridge.CASES,
    *cases_bridge_wrong.CASES,
    *cases_host_local.CASES,
    *cases_simple.CASES,
    *cases_links.CASES,
)
BY_ID = {case.id: case for case in CASES}
