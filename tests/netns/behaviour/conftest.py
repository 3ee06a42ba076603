"""Fixtures: a host for each back end, and for each of its iptables where that is what differs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.netns.behaviour.backends import BACK_ENDS, BackEnd
from tests.netns.behaviour.site import Site, settle
from tests.support.gate import need_host
from tests.support.host import Host
from tests.support.plugin import Plugin


@pytest.fixture(params=BACK_ENDS, ids=str)
def site(request: pytest.FixtureRequest, frozen: Path) -> Iterator[Site]:
    """Stand in for a machine with each back end, one after the other."""
    yield from _stand_in(request.param, frozen)


@pytest.fixture(params=[each for each in BACK_ENDS if each.has_chains], ids=str)
def chains_site(request: pytest.FixtureRequest, frozen: Path) -> Iterator[Site]:
    """Stand in for a machine with a back end whose rules are in chains, where that matters."""
    yield from _stand_in(request.param, frozen)


@pytest.fixture(params=[each for each in BACK_ENDS if each.is_iptables], ids=str)
def iptables_site(request: pytest.FixtureRequest, frozen: Path) -> Iterator[Site]:
    """Stand in for a machine whose own iptables makes the rules, where that is what goes wrong."""
    yield from _stand_in(request.param, frozen)


@pytest.fixture(params=[each for each in BACK_ENDS if each.name != "libiptc"], ids=str)
def tools_site(request: pytest.FixtureRequest, frozen: Path) -> Iterator[Site]:
    """Stand in for a machine with a back end that needs tools of the host's."""
    yield from _stand_in(request.param, frozen)


@pytest.fixture(params=[each for each in BACK_ENDS if not each.has_chains], ids=str)
def maps_site(request: pytest.FixtureRequest, frozen: Path) -> Iterator[Site]:
    """Stand in for a machine with a back end whose ports are in maps, where that matters."""
    yield from _stand_in(request.param, frozen)


@pytest.fixture(scope="module", params=BACK_ENDS, ids=str)
def shared_site(request: pytest.FixtureRequest, frozen: Path) -> Iterator[Site]:
    """Stand in for a machine with each back end, for all tests of a module together."""
    yield from _stand_in(request.param, frozen)


def _stand_in(back_end: BackEnd, frozen: Path) -> Iterator[Site]:
    need_host(back_end.variant)
    with Host(back_end.variant) as host:
        settle(host)
        yield Site(host, Plugin(host, str(frozen)), back_end)
