"""A system to install packages on: the machine's own as it is now, with every change kept apart."""

from dataclasses import dataclass, field
from pathlib import Path

from tests.support.gate import give_up
from tests.support.host import Container, Host, Place
from tests.support.process import CommandError, Finished

ROOT = "/run/image"
_LAYER = "/run/layer"

# No Python: what was frozen brings its own. The rest is what chroot leaves out.
_MAKE = f"""\
set -e
mkdir {ROOT} {_LAYER}
mount -t tmpfs tmpfs {_LAYER}
mkdir {_LAYER}/upper {_LAYER}/work
mount -t overlay overlay -o lowerdir=/,upperdir={_LAYER}/upper,workdir={_LAYER}/work {ROOT}
rm -f {ROOT}/usr/bin/python3*
for directory in {ROOT}/usr/lib/python3* {ROOT}/var/lib/cni {ROOT}/run {ROOT}/tmp; do
    [ ! -d "$directory" ] || mount -t tmpfs tmpfs "$directory"
done
mkdir {ROOT}/run/netns {ROOT}/run/tools {ROOT}/run/packages
for directory in proc sys dev run/netns run/tools; do
    mount --rbind "/$directory" "{ROOT}/$directory"
done
mount --bind "$1" {ROOT}/run/packages
"""

# Records and logs of the package managers; leases, which are the plugins'.
_THEIRS = ("var/lib/dpkg", "var/log", "var/lib/rpm", "var/cache", "var/lib/cni", "usr/bin/python3")


@dataclass
class Image:
    """A root file system in a throwaway host; the containers it is to see are there before it."""

    host: Host
    packages: Path
    container: Container = field(init=False)

    def __post_init__(self) -> None:
        """Make the container, then the file system."""
        self.container = self.host.container("web-1")
        try:
            self.host.run(["sh", "-c", _MAKE, "sh", str(self.packages)])
        except CommandError as error:
            give_up(f"needs overlayfs: {error}")

    def run(self, *argv: str, check: bool = True, place: Place | None = None) -> Finished:
        """Run a program of the image and return what it left."""
        return (place or self.host).run(["chroot", ROOT, *argv], check=check, timeout=120)

    def path(self, path: str) -> Path:
        """Return a path by which the test reaches a file of the image."""
        return self.host.path(f"{ROOT}{path}")

    def left(self) -> list[str]:
        """Return what is in the image and not on the machine, but for managers' own records."""
        upper = self.host.path(f"{_LAYER}/upper")
        return sorted(
            str(path.relative_to(upper))
            for path in upper.rglob("*")
            if not str(path.relative_to(upper)).startswith(_THEIRS)
            # A directory of the machine's is here as soon as something below it was made.
            if not (path.is_dir() and Path("/", path.relative_to(upper)).is_dir())
        )
