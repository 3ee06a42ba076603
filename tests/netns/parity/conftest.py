"""Fixtures of the comparison: one host for all cases."""

from collections.abc import Iterator

import pytest

from tests.netns.parity.cases import REFERENCE
from tests.netns.parity.table import CASES
from tests.support.gate import need, need_host
from tests.support.host import Host


@pytest.fixture(scope="session")
def parity_host() -> Iterator[Host]:
    """Share one host: each run has namespaces of its own inside it."""
    need_host("nft")
    need(*sorted({f"{REFERENCE}/{case.plugin}" for case in CASES}))
    with Host() as host:
        yield host
