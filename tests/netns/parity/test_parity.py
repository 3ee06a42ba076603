"""Our plugins do what Debian's do, or differ as the table of known differences says."""

from pathlib import Path

import pytest

from tests.netns.parity.cases import REFERENCE, labels
from tests.netns.parity.differences import KNOWN
from tests.netns.parity.known import judge
from tests.netns.parity.observation import differences
from tests.netns.parity.runner import run_case
from tests.netns.parity.table import BY_ID
from tests.support.host import Host


@pytest.mark.parametrize("name", BY_ID)
def test_ours_does_what_debians_does(parity_host: Host, delegates_dir: Path, name: str) -> None:
    case = BY_ID[name]

    outcomes = run_case(parity_host, case, [REFERENCE, str(delegates_dir)])

    verdicts = {
        version: judge(KNOWN, name, version, differences(theirs, mine, labels(case)))
        for version, (theirs, mine) in zip(case.versions, outcomes, strict=True)
    }
    assert verdicts == {version: {} for version in case.versions}
