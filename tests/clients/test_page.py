"""The page that users copy from has nothing that no test runs."""

import re
from pathlib import Path

from tests.clients.page import NETWORKS


def test_every_network_of_the_page_is_used_by_tests() -> None:
    tests = Path(__file__).parent.glob("test_*.py")

    used = {name for test in tests for name in re.findall(r'network\("(\w+)"', test.read_text())}

    assert used == set(NETWORKS)
