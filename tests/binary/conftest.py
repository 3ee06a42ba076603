"""Find what `make build` froze."""

import shutil
from pathlib import Path

import pytest

from tests.support.gate import need_file, need_host

DIST = Path(__file__).parents[2] / "dist"
NAME = "mesos-cni-port-mapper"


@pytest.fixture
def program() -> Path:
    """Return the frozen plugin."""
    path = DIST / "plugins" / NAME
    need_file(path, "make build")
    return path


@pytest.fixture
def mesos_cni() -> Path:
    """Return the frozen harness."""
    path = DIST / "bin" / "mesos-cni"
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


@pytest.fixture
def checkout(program: Path, mesos_cni: Path, tmp_path: Path) -> Path:
    """Return a copy of what the demo consists of, so that its processes can be told by their path.

    The frozen programs in it are the real ones.
    """
    need_host("nft")
    copy = tmp_path / "checkout"
    shutil.copytree(DIST.parent / "packaging", copy / "packaging")
    (copy / "dist").mkdir()
    (copy / "dist/plugins").symlink_to(program.parent)
    (copy / "dist/bin").symlink_to(mesos_cni.parent)
    return copy
