"""`make demo`: what it shows, what it refuses to show, and that nothing of it stays behind."""

import json
import os
import pty
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.gate import give_up, need, need_host

ROOT = Path(__file__).parents[2]
NOBODY = 65534


@pytest.fixture
def checkout(program: Path, tmp_path: Path) -> Path:
    """Return a copy of what the demo consists of, so that its processes can be told by their path.

    The frozen programs in it are the real ones.
    """
    need_host("nft")
    need("/usr/lib/cni/bridge", "/usr/lib/cni/host-local")
    copy = tmp_path / "checkout"
    shutil.copytree(ROOT / "packaging", copy / "packaging")
    (copy / "dist").mkdir()
    (copy / "dist/plugins").symlink_to(program.parent)
    return copy


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
        while "CNI_COMMAND=ADD" not in demo.stdout.readline():
            assert demo.poll() is None
        assert processes(checkout) != []
        try:
            yield demo
        finally:
            demo.kill()


def processes(checkout: Path) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes()
        except OSError:
            continue
        if os.fsencode(checkout) in line:
            found.append(line.replace(b"\0", b" ").decode())
    return found


def wait_until_gone(checkout: Path) -> None:
    end = time.monotonic() + 5
    while processes(checkout) and time.monotonic() < end:
        time.sleep(0.02)
    assert processes(checkout) == []


def mounts() -> str:
    return Path("/proc/self/mounts").read_text()


def files(checkout: Path) -> set[Path]:
    return set(checkout.rglob("*"))


def replace_plugin(checkout: Path, script: str) -> None:
    plugins = checkout / "dist/plugins"
    plugins.unlink()
    plugins.mkdir()
    plugin = plugins / "mesos-cni-port-mapper"
    plugin.write_text(script)
    plugin.chmod(0o755)


def change(checkout: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    path = checkout / "packaging/examples/port-mapper-test.conf"
    configuration = json.loads(path.read_text())
    edit(configuration)
    path.write_text(json.dumps(configuration))


def test_the_demo_shows_forwarding_from_the_configuration_to_its_end(checkout: Path) -> None:
    demo = run(checkout)

    assert (demo.returncode, demo.stderr) == (0, "")
    shown = [
        '"chain": "MESOS-TEST-PORT-MAPPER",',
        '{"host_port": 8080, "container_port": 80}',
        "CNI_COMMAND=ADD dist/plugins/mesos-cni-port-mapper",
        '"ip": "192.168.0.2/16"',
        "\n  -A PREROUTING -m addrtype --dst-type LOCAL -j MESOS-TEST-PORT-MAPPER\n",
        "\n  -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j MESOS-TEST-PORT-MAPPER\n",
        "--to-destination 192.168.0.2:80\n",
        "--to-destination 192.168.0.2:443\n",
        "http://192.0.2.1:8080/\n  container 5baff64c, at 192.168.0.2:80, answers 192.0.2.2\n",
        "http://192.0.2.1:8081/\n  container 5baff64c, at 192.168.0.2:443, answers 192.0.2.2\n",
        "CNI_COMMAND=DEL dist/plugins/mesos-cni-port-mapper",
        "http://192.0.2.1:8080/: Connection refused\n",
        "http://192.0.2.1:8081/: Connection refused\n",
    ]
    places = [demo.stdout.rfind(words) for words in shown]
    assert -1 not in places
    assert places == sorted(places)


def test_the_demo_fits_a_screen_and_is_plain_when_nobody_watches(checkout: Path) -> None:
    lines = run(checkout).stdout.splitlines()

    assert len(lines) <= 90
    assert max(map(len, lines)) <= 100
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize("without_colour", ["", "1"])
def test_colour_is_for_terminals_that_want_it(checkout: Path, without_colour: str) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": without_colour}
    with subprocess.Popen(command(checkout), stdout=theirs, env=environment):
        os.close(theirs)
        first = b""
        # The first step's heading is not the first line.
        while b"cat packaging" not in first:
            first += os.read(ours, 4096)
        os.close(ours)

    assert (b"\x1b[1m" in first) == (not without_colour)


def test_nothing_stays_behind(checkout: Path) -> None:
    mounted, made = mounts(), files(checkout)

    assert run(checkout).returncode == 0

    assert processes(checkout) == []
    assert mounts() == mounted
    assert files(checkout) == made


@pytest.mark.parametrize(("signal", "status"), [("INT", 130), ("TERM", 143), ("HUP", 129)])
def test_a_signal_ends_the_demo_with_all_it_made(checkout: Path, signal: str, status: int) -> None:
    with begun(checkout) as demo:
        subprocess.run(["kill", f"-{signal}", str(demo.pid)], check=True)

        assert demo.wait(5) == status
        assert processes(checkout) == []


def test_a_killed_demo_leaves_nothing_either(checkout: Path) -> None:
    with begun(checkout) as demo:
        demo.kill()
        demo.wait(10)

        wait_until_gone(checkout)


def test_a_reader_that_goes_away_ends_the_demo(checkout: Path) -> None:
    with subprocess.Popen(
        command(checkout), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        demo.stdout.close()

        assert demo.wait(30) != 0
        assert demo.stderr.read() == ""
    assert processes(checkout) == []


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("excludeDevices", [], "iptables-save should list"),
        ("chain", "ELSEWHERE", "iptables-save should list"),
        ("delegate", {"type": "bridge", "ipam": {"type": "nowhere"}}, "nowhere"),
        ("type", 1, '"code":7'),
    ],
)
def test_a_step_that_does_not_hold_fails_the_demo_with_its_reason(
    checkout: Path, key: str, value: object, reason: str
) -> None:
    change(checkout, lambda configuration: configuration.update({key: value}))

    demo = run(checkout)

    assert demo.returncode == 1
    assert demo.stderr.startswith("demo: failed: ")
    assert reason in demo.stderr
    assert processes(checkout) == []


def test_a_plugin_that_does_nothing_is_seen_through(checkout: Path) -> None:
    replace_plugin(checkout, "#!/bin/sh\n")

    demo = run(checkout)

    assert demo.returncode == 1
    assert "ADD should have given 192.168.0.2/16" in demo.stderr


def test_without_a_plugin_the_demo_names_what_makes_one(checkout: Path) -> None:
    (checkout / "dist/plugins").unlink()

    demo = run(checkout)

    assert (demo.returncode, demo.stdout) == (1, "")
    assert "make build" in demo.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="every test here is without root")
def test_no_root_is_needed() -> None:
    # Of the checkout itself, because nobody else may read a temporary directory of root's.
    whoever: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    for probe in ([*command(ROOT)[:1], "-c", ""], ["unshare", "--user", "--map-root-user", "true"]):
        try:
            subprocess.run(probe, check=True, capture_output=True, **whoever)
        except (OSError, subprocess.CalledProcessError) as error:
            give_up(f"an unprivileged user cannot run {probe[0]}: {error}")

    demo = run(ROOT, **whoever)

    assert (demo.returncode, demo.stderr) == (0, "")
    assert "container 5baff64c, at 192.168.0.2:80, answers 192.0.2.2" in demo.stdout
