"""Decide what a test does that cannot run here: fail where everything must run, else skip."""

import functools
import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

from tests.support.host import Variant
from tests.support.keeper import namespaces

_DIRECTORIES = "/usr/sbin:/usr/bin:/sbin:/bin"


def give_up(reason: str) -> NoReturn:
    """Fail in CI, which must have everything; skip on a laptop, which need not."""
    if os.environ.get("CI"):
        pytest.fail(f"cannot run in CI: {reason}")
    pytest.skip(reason)


def need(*programs: str) -> None:
    """Give up unless all programs are here, named alone or with their path."""
    for program in programs:
        if shutil.which(program, path=_DIRECTORIES) is None:
            give_up(f"needs {program}")


def need_host(variant: Variant) -> None:
    """Give up unless a throwaway host can be made here."""
    need("unshare", "ip", f"/usr/sbin/xtables-{variant}-multi")
    reason = _refusal()
    if reason:
        give_up(f"needs root or user namespaces: {reason}")


def need_file(path: Path, remedy: str) -> None:
    """Give up unless a file is here, naming what makes it."""
    if not path.is_file():
        give_up(f"needs {path.name}: {remedy}")


@functools.cache
def _refusal() -> str:
    probe = subprocess.run([*namespaces(), "true"], capture_output=True, text=True, check=False)
    return probe.stderr.strip() if probe.returncode else ""
