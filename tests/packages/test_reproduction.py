"""The same programs make the same packages."""

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from mesos_cni_port_mapper import __version__
from tests.support.gate import need

ROOT = Path(__file__).parents[2]


def test_made_again_at_another_time_by_another_user_packages_are_the_same(
    package: Callable[[str], Path], tmp_path: Path
) -> None:
    need("dpkg-deb", "rpmbuild")
    made = [package("*.deb"), package("*.rpm")]
    field = ["dpkg-deb", "--field", str(made[0]), "Maintainer"]
    maintainer = subprocess.run(field, capture_output=True, check=True, text=True).stdout.strip()
    program = [sys.executable, str(ROOT / "packaging" / "system_packages.py")]
    flags = ["--version", __version__, "--maintainer", maintainer, "--into", str(tmp_path)]

    command = f"umask 077; exec {shlex.join([*program, *flags])}"
    subprocess.run(["sh", "-c", command], check=True, stdout=subprocess.DEVNULL)

    for path in made:
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
