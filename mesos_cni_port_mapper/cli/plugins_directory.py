"""Carry out what `installation` decides, in a real directory of plugins."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from mesos_cni_port_mapper.cli.installation import (
    DIRECTORY,
    LINK,
    OTHER,
    PLUGIN,
    SCRATCH,
    SCRATCH_LINK,
    WASTE,
    Clear,
    Copy,
    Entry,
    Link,
    RemoveVersion,
    Step,
    Unlink,
)
from mesos_cni_port_mapper.harness.errors import HarnessError
from mesos_cni_port_mapper.linux import lock
from mesos_cni_port_mapper.linux.signals import Interrupted

_LOCK_SECONDS = 60.0
_START_SECONDS = 60.0


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Have a directory of plugins for this process alone, as far as others of our kind go."""
    try:
        file = lock.acquire_read_only(os.fspath(directory), _LOCK_SECONDS)
    except lock.LockHeldError as error:
        raise HarnessError(str(error)) from error
    except Interrupted as error:
        raise HarnessError(str(error), 128 + error.number) from error
    try:
        yield
    finally:
        os.close(file)


def look_at(directory: Path) -> dict[str, Entry]:
    """Return what is in a directory."""
    found = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_symlink():
                found[entry.name] = Entry(LINK, os.readlink(entry.path))
            else:
                is_directory = entry.is_dir(follow_symlinks=False)
                found[entry.name] = Entry(DIRECTORY if is_directory else OTHER)
    return found


def digest_of(directory: Path) -> str:
    """Return a hash of everything below a directory: names, kinds, content."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            content, kind = os.fsencode(path.readlink()), "link"
        elif stat.S_ISDIR(mode):
            content, kind = b"", "directory"
        elif stat.S_ISREG(mode):
            content, kind = path.read_bytes(), "program" if mode & stat.S_IXUSR else "file"
        else:
            # A pipe would be read for ever.
            content, kind = b"", "special"
        name = os.fspath(path.relative_to(directory))
        digest.update(f"{kind} {len(name)} {name} {len(content)} ".encode() + content)
    return digest.hexdigest()


def apply(
    directory: Path, source: Path, steps: Sequence[Step]
) -> tuple[list[Step], dict[str, list[int]]]:
    """Carry out the steps; return those done, and versions that were kept for their processes.

    After each step the directory holds a plugin that works, or none: what is copied is synced and
    started once under another name, and a rename puts it in place.
    """
    done: list[Step] = []
    kept: dict[str, list[int]] = {}
    for step in steps:
        match step:
            case RemoveVersion(version) if pids := _running_from(directory / version):
                kept[version] = pids
                continue
            case _:
                _carry_out(directory, source, step)
        done.append(step)
    _sync(directory)
    return done, kept


def _carry_out(directory: Path, source: Path, step: Step) -> None:
    match step:
        case Copy(version):
            _copy(source, directory / SCRATCH)
            _discard(directory, version)
            (directory / SCRATCH).rename(directory / version)
        case Link(name, target, replace=False):
            # Unlike a rename, this never takes the place of what has come in between.
            (directory / name).symlink_to(target)
        case Link(name, target):
            (directory / SCRATCH_LINK).symlink_to(target)
            (directory / SCRATCH_LINK).rename(directory / name)
        case Unlink(name):
            (directory / name).unlink()
        case RemoveVersion(version):
            _discard(directory, version)
        case Clear(name):
            _remove(directory / name)


def _copy(source: Path, scratch: Path) -> None:
    try:
        shutil.copytree(source, scratch, symlinks=True, copy_function=shutil.copyfile)
        for path in [scratch, *scratch.rglob("*")]:
            if not path.is_symlink():
                _settle(path, source / path.relative_to(scratch))
        _try_out(scratch / PLUGIN)
    except shutil.Error as error:
        _remove(scratch)
        raise HarnessError(f"cannot copy {error.args[0][0][0]}: {error.args[0][0][2]}") from error
    except BaseException:
        _remove(scratch)
        raise


def _settle(path: Path, model: Path) -> None:
    """Give a copy the mode of a plugin, whatever the umask, and have it on the disk."""
    program = path.is_dir() or model.stat().st_mode & stat.S_IXUSR
    path.chmod(0o755 if program else 0o644)
    _sync(path)


def _try_out(program: Path) -> None:
    """Start a plugin once: it may be for another machine, or in a file system without programs."""
    environment = {"CNI_COMMAND": "VERSION", "PATH": os.defpath}
    try:
        answer = subprocess.run(
            [program],
            env=environment,
            input=b'{"cniVersion": "1.0.0"}',
            capture_output=True,
            check=False,
            timeout=_START_SECONDS,
        )
        trouble = answer.returncode and f"it ends with {answer.returncode} when asked its version"
    except OSError as error:
        trouble = error.strerror or str(error)
    except subprocess.TimeoutExpired:
        trouble = f"it does not answer in {_START_SECONDS:g} s"
    if trouble:
        raise HarnessError(
            f"{program.parent.parent}: {PLUGIN} does not run there ({trouble}); nothing was changed"
        )


def _discard(directory: Path, version: str) -> None:
    """Remove a version, if there is one, in such a way that no part of it is ever found."""
    with contextlib.suppress(FileNotFoundError):
        (directory / version).rename(directory / WASTE)
        _remove(directory / WASTE)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _running_from(version: Path) -> list[int]:
    """Return the processes whose program is in a version's directory, if /proc shows them."""
    programs = {_identity(path) for path in version.rglob("*") if path.is_file()}
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        # A kernel thread has no program; others end while we look, or are not ours to look at.
        with contextlib.suppress(OSError):
            if _identity(process / "exe") in programs:
                found.append(int(process.name))
    return sorted(found)


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
