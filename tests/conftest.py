"""Fixtures for tests with a kernel: throwaway hosts, the frozen plugin, and a last look round."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import machine
from tests.support.builtin import builtin_directory
from tests.support.gate import need_file, need_host
from tests.support.host import Host, Variant
from tests.support.keeper import survivors
from tests.support.plugin import Plugin

FROZEN = Path(__file__).resolve().parents[1] / "dist" / "plugins" / "mesos-cni-port-mapper"


def pytest_configure() -> None:
    """Hear every signal, or what a test starts would ignore what those who started us ignore."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) == signal.SIG_IGN:
            usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, usual)


@pytest.fixture(scope="session", autouse=True)
def _machine_left_alone() -> Iterator[None]:
    before = machine.observe()
    yield
    assert survivors(os.getpid()) == []
    assert machine.observe() == before


@pytest.fixture(autouse=True)
def _signals_left_alone() -> Iterator[None]:
    """See that no test blocks a signal for those after it, whose hosts would inherit that."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    assert signal.pthread_sigmask(signal.SIG_SETMASK, before) == before


@pytest.fixture
def host() -> Iterator[Host]:
    """Stand in for a machine whose iptables is the nft variant."""
    yield from _host("nft")


@pytest.fixture(params=["nft", "legacy"])
def any_host(request: pytest.FixtureRequest) -> Iterator[Host]:
    """Stand in for a machine with either variant of iptables, one after the other."""
    yield from _host(request.param)


@pytest.fixture(scope="session")
def frozen() -> Path:
    """Return the frozen port mapper."""
    need_file(FROZEN, "make build")
    return FROZEN


@pytest.fixture(scope="session")
def delegates_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of the built-in plugins' programs."""
    return builtin_directory(tmp_path_factory.mktemp("delegates"))


@pytest.fixture
def plugin(frozen: Path, host: Host) -> Plugin:
    """Run the frozen port mapper in `host`."""
    return Plugin(host, str(frozen))


@pytest.fixture
def any_plugin(frozen: Path, any_host: Host) -> Plugin:
    """Run the frozen port mapper in `any_host`."""
    return Plugin(any_host, str(frozen))


def _host(variant: Variant) -> Iterator[Host]:
    need_host(variant)
    with Host(variant) as host:
        yield host
