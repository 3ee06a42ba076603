"""The files of a package of the whole system, as Debian's and Red Hat's have them below /.

/usr/lib/mesos-cni/plugins/     dist/plugins
/usr/lib/mesos-cni/bin/         dist/bin, which finds the plugins beside itself
/usr/bin/mesos-cni              a link
/usr/lib/cni/                   a link to the port mapper; Red Hat has /usr/libexec/cni
"""

import gzip
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

NAME = "mesos-cni-port-mapper"
HOME = "usr/lib/mesos-cni"
DOCUMENTS = f"usr/share/doc/{NAME}"
SHELLS = ("bash", "zsh", "fish")


@dataclass(frozen=True, slots=True)
class Family:
    """Where distributions of a kind differ."""

    cni_dir: str
    zsh_dir: str

    def completion(self, shell: str) -> str:
        """Return the file in which a shell looks for how to complete arguments of `mesos-cni`."""
        return {
            "bash": "usr/share/bash-completion/completions/mesos-cni",
            "zsh": f"{self.zsh_dir}/_mesos-cni",
            "fish": "usr/share/fish/vendor_completions.d/mesos-cni.fish",
        }[shell]


DEBIAN = Family("usr/lib/cni", "usr/share/zsh/vendor-completions")
RED_HAT = Family("usr/libexec/cni", "usr/share/zsh/site-functions")


@dataclass(frozen=True, slots=True)
class File:
    """A file to be made, at a path below the root."""

    path: str
    content: bytes
    program: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link to be made."""

    path: str
    target: str


def plan_tree(
    checkout: Path, family: Family, completions: Mapping[str, bytes]
) -> Sequence[File | Link]:
    """Return all files of a package, ordered by their paths; they are read, nothing is written.

    ``completions`` are scripts by the names of their shells.
    """
    dist, packaging = checkout / "dist", checkout / "packaging"
    entries: list[File | Link] = [
        *_below(dist / "plugins", f"{HOME}/plugins"),
        *_below(dist / "bin", f"{HOME}/bin"),
        *_below(packaging / "systemd", "usr/lib/systemd/system"),
        *_below(packaging / "examples", f"{DOCUMENTS}/examples"),
        Link("usr/bin/mesos-cni", _relative("usr/bin", f"{HOME}/bin/mesos-cni")),
        Link(f"{family.cni_dir}/{NAME}", _relative(family.cni_dir, f"{HOME}/plugins/{NAME}")),
        File(f"{DOCUMENTS}/copyright", (checkout / "LICENSE").read_bytes()),
        File(f"{DOCUMENTS}/changelog.gz", _compress((checkout / "CHANGELOG.md").read_bytes())),
        *(File(family.completion(shell), script) for shell, script in completions.items()),
    ]
    for page in (dist / "man").glob("*.[1-9]"):
        path = f"usr/share/man/man{page.suffix[1:]}/{page.name}.gz"
        entries.append(File(path, _compress(page.read_bytes())))
    return sorted(entries, key=lambda entry: entry.path)


def write_tree(root: Path, entries: Sequence[File | Link]) -> None:
    """Make the files below ``root``, which is emptied first, with modes whatever the umask."""
    shutil.rmtree(root, ignore_errors=True)
    for entry in entries:
        path = root / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(entry, Link):
            path.symlink_to(entry.target)
        else:
            path.write_bytes(entry.content)
            path.chmod(0o755 if entry.program else 0o644)
    for path in [root, *root.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)


def oldest_glibc(entries: Sequence[File | Link]) -> str:
    """Return the oldest version of the C library that has all that the programs ask of it."""
    asked = {
        (int(major), int(minor))
        for entry in entries
        if isinstance(entry, File) and entry.content.startswith(b"\x7fELF")
        for major, minor in re.findall(rb"\0GLIBC_(\d+)\.(\d+)", entry.content)
    }
    major, minor = max(asked)
    return f"{major}.{minor}"


def _below(directory: Path, destination: str) -> Iterator[File | Link]:
    for path in directory.rglob("*"):
        target = f"{destination}/{path.relative_to(directory)}"
        if path.is_symlink():
            yield Link(target, str(path.readlink()))
        elif path.is_file():
            yield File(target, path.read_bytes(), bool(path.stat().st_mode & 0o100))


def _relative(directory: str, target: str) -> str:
    return os.path.relpath(f"/{target}", f"/{directory}")


def _compress(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)
