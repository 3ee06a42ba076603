"""Fixtures: a host with Docker's engine."""

from collections.abc import Iterator

import pytest

from tests.docker.engine import Engine, need_docker
from tests.support.gate import need_host
from tests.support.host import Host


@pytest.fixture(scope="module")
def shared_engine() -> Iterator[Engine]:
    """Start an engine for all tests of a module."""
    need_docker()
    need_host("nft")
    with Host() as host:
        engine = Engine(host)
        yield engine
        engine.close()


@pytest.fixture
def engine(shared_engine: Engine) -> Iterator[Engine]:
    """Lend the engine to one test, which must leave no container."""
    with shared_engine.gone_at_the_end():
        yield shared_engine
