"""What a plugin and Debian's of the same name did in a machine that has its kind of link."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.gate import need, need_host
from tests.support.plugin import PLUGIN_DIRECTORY
from tests.uml import machine

_LONGEST = 300.0
"""Seconds for all cases of a plugin, ten times what they take on an idle machine."""


@pytest.fixture(scope="session")
def can_boot() -> None:
    """Give up where there is no User-Mode-Linux."""
    need_host("legacy")
    need(machine.LINUX, "timeout")


@pytest.fixture(scope="class")
def report(
    request: pytest.FixtureRequest,
    can_boot: None,
    delegates_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    """Boot once for all tests of a class and return what was observed."""
    kind = request.cls.kind
    need(f"{PLUGIN_DIRECTORY}/{kind}")
    shared = tmp_path_factory.mktemp(kind)
    function = "tests.uml.observing:observe"
    return machine.run(function, _LONGEST, shared, kind=kind, directory=str(delegates_dir))
