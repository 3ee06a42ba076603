"""The archive for a directory of plugins, and the wheel: unpacked, used, removed."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mesos_cni_port_mapper import __version__
from tests.packages.use import assert_usable
from tests.support.gate import give_up
from tests.support.host import Host
from tests.support.plugin import Plugin

SCRIPTS = {"mesos-cni", "mesos-cni-delegate", "mesos-cni-port-mapper"}


@pytest.fixture
def archive(package: Callable[[str], Path]) -> Path:
    return package("*-linux-*.tar.gz")


@pytest.fixture
def wheel(package: Callable[[str], Path]) -> Path:
    return package("*.whl")


def test_the_archive_unpacked_forwards_a_port_with_its_own_delegates(
    host: Host, archive: Path, tmp_path: Path
) -> None:
    with tarfile.open(archive) as file:
        members = file.getmembers()
    subprocess.run(["tar", "-xf", archive, "-C", tmp_path], check=True)

    plugin = Plugin(host, str(tmp_path / "mesos-cni-port-mapper"), (str(tmp_path),))
    assert_usable(plugin, host.container("web-1"))

    assert {(each.uid, each.gid, each.mtime) for each in members} == {(0, 0, 0)}
    frozen = archive.parents[1] / "plugins"
    assert entries(tmp_path) == entries(frozen)


def entries(directory: Path) -> dict[str, int]:
    """Return the paths of all files below a directory, with their modes."""
    return {str(path.relative_to(directory)): path.lstat().st_mode for path in directory.rglob("*")}


def test_the_sums_are_those_of_the_packages(archive: Path) -> None:
    lines = (archive.parent / "SHA256SUMS").read_text().splitlines()
    sums = {Path(name).name: digest for digest, name in (line.split() for line in lines)}

    packages = {path for path in archive.parent.iterdir() if path.name != "SHA256SUMS"}
    assert sums == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in packages}


def test_the_wheel_brings_three_scripts_and_takes_them_away(wheel: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "environment")
    before = environment.files()

    environment.pip("install", "--no-index", "--no-deps", str(wheel))

    programs = environment.directory / "bin"
    assert environment.files() - before >= {f"bin/{name}" for name in SCRIPTS}
    assert environment.run("mesos-cni", "--version") == f"mesos-cni {__version__}\n"
    (programs / "bridge").symlink_to("mesos-cni-delegate")
    for name in ("mesos-cni-port-mapper", "bridge"):
        document = json.loads(environment.run(name, CNI_COMMAND="VERSION"))
        assert "1.0.0" in document["supportedVersions"]
    (programs / "bridge").unlink()

    environment.pip("uninstall", "--yes", "mesos-cni-port-mapper")

    assert environment.files() == before


def test_the_wheel_names_what_it_needs(wheel: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "environment")
    environment.pip("install", "--no-index", "--no-deps", str(wheel))

    assert "No broken requirements found" in environment.pip("check")


class Environment:
    """A virtual environment of its own, which finds dependencies where the tests' are."""

    def __init__(self, directory: Path) -> None:
        if shutil.which("pip", path=Path(sys.executable).parent) is None:
            give_up("needs pip")
        self.directory = directory
        command = [sys.executable, "-m", "venv", "--without-pip", str(directory)]
        subprocess.run(command, check=True)
        (packages,) = directory.glob("lib/python3*/site-packages")
        (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")

    def pip(self, *arguments: str) -> str:
        """Run the tests' pip on this environment."""
        python = self.directory / "bin" / "python"
        flags = ["--python", str(python), "--disable-pip-version-check", "--no-input"]
        left = subprocess.run(
            [sys.executable, "-m", "pip", *flags, *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        assert left.returncode == 0, left.stderr + left.stdout
        return left.stdout

    def run(self, program: str, *arguments: str, **env: str) -> str:
        """Run a script of the environment, from elsewhere, and return what it prints."""
        return subprocess.run(
            [self.directory / "bin" / program, *arguments],
            env={"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1", **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            cwd=self.directory,
            check=True,
            text=True,
            timeout=60,
        ).stdout

    def files(self) -> set[str]:
        """Return all files by their paths in the environment."""
        return {
            str(path.relative_to(self.directory))
            for path in self.directory.rglob("*")
            if path.is_file() or path.is_symlink()
        }
