"""How tests run `make demo`, change what it consists of, and see what is left of it."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import machine


def command(checkout: Path) -> list[str]:
    return [sys.executable, str(checkout / "packaging/demo.py")]


def run(checkout: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(checkout), capture_output=True, text=True, check=False, timeout=60, **options
    )


@contextmanager
def begun(checkout: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the demo until it is in the middle of an ADD, which will not end by itself."""
    replace_plugin(checkout, "#!/bin/sh\nsleep 60\n")
    with subprocess.Popen(
        command(checkout), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as demo:
        assert demo.stdout is not None
        while "mesos-cni run" not in demo.stdout.readline():
            assert demo.poll() is None
        wait_until(lambda: any("sleep" in line for line in processes(checkout)))
        try:
            yield demo
        finally:
            demo.kill()


def processes(checkout: Path) -> list[str]:
    """Return the command lines of the processes that name the checkout or work in it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            place = (entry / "cwd").readlink()
        except OSError:
            continue
        if str(checkout) in line or place.is_relative_to(checkout):
            found.append(line)
    return found


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    assert holds()


def surroundings() -> tuple[str, machine.Machine]:
    return Path("/proc/self/mounts").read_text(), machine.observe()


def files(checkout: Path) -> set[Path]:
    return set(checkout.rglob("*"))


def replace_plugin(checkout: Path, script: str) -> None:
    plugins = checkout / "dist/plugins"
    delegates = plugins.resolve() / ".mesos-cni-delegates"
    plugins.unlink()
    plugins.mkdir()
    (plugins / delegates.name).symlink_to(delegates)
    plugin = plugins / "mesos-cni-port-mapper"
    plugin.write_text(script)
    plugin.chmod(0o755)


def replace_harness(checkout: Path, command: str, script: str) -> None:
    """Have one command of `mesos-cni` replaced by a script, in which `$real` is the program."""
    programs = checkout / "dist/bin"
    real = programs.resolve() / "mesos-cni"
    programs.unlink()
    programs.mkdir()
    harness = programs / "mesos-cni"
    harness.write_text(
        f'#!/bin/sh\nreal={real}\n[ "$*" = "${{*#{command}}}" ] && exec $real "$@"\n{script}\n'
    )
    harness.chmod(0o755)


def change(checkout: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    path = checkout / "packaging/examples/port-mapper-test.conf"
    configuration = json.loads(path.read_text())
    edit(configuration)
    path.write_text(json.dumps(configuration))
