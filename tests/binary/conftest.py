"""Find what `make build` froze."""

from pathlib import Path

import pytest

from tests.support.gate import need_file

DIST = Path(__file__).parents[2] / "dist"
NAME = "mesos-cni-port-mapper"


@pytest.fixture
def program() -> Path:
    """Return the frozen plugin."""
    path = DIST / "plugins" / NAME
    need_file(path, "make build")
    return path


@pytest.fixture
def bundle(program: Path) -> Path:
    """Return the directory whose content an operator copies."""
    return program.parent


@pytest.fixture
def one_file() -> Path:
    """Return the plugin as a single file."""
    path = DIST / "onefile" / NAME
    need_file(path, "make build")
    return path
