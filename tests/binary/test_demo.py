"""`make demo`: what it shows, and that nothing of it stays behind."""

import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.binary.demo import begun, command, files, processes, run, surroundings, wait_until
from tests.support.gate import give_up

ROOT = Path(__file__).parents[2]
NOBODY = 65534


def test_the_demo_shows_forwarding_from_the_configuration_to_its_end(checkout: Path) -> None:
    demo = run(checkout)

    assert (demo.returncode, demo.stderr) == (0, "")
    shown = [
        '"chain": "MESOS-TEST-PORT-MAPPER",',
        "mesos-cni run --detach --network_cni_config_dir packaging/examples",
        "\n  web ",
        "web   running   ",
        "    port     8080:80/tcp",
        "    port     8081:443/tcp",
        '{"container_port":80,"host_port":8080}',
        '"ip":"192.168.0.2/16"',
        "\n  -A PREROUTING -m addrtype --dst-type LOCAL -j MESOS-TEST-PORT-MAPPER\n",
        "\n  -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j MESOS-TEST-PORT-MAPPER\n",
        "      192.168.0.2:80\n",
        "      192.168.0.2:443 ",
        "  container web, at 192.168.0.2:80, answers 192.0.2.2\n",
        "  container web, at 192.168.0.2:443, answers 192.0.2.2\n",
        "  container web, at 192.168.0.2:80, answers 192.0.2.1\n",
        "mesos-cni exec web python3 demo_web.py get 192.0.2.1:8080\n  192.0.2.1:8080: Connection",
        "mesos-cni kill web\n",
        "mesos-cni cleanup web\n",
        "get 192.0.2.1:8080 192.0.2.1:8081\n  192.0.2.1:8080: Connection refused\n",
        "  192.0.2.1:8081: Connection refused\n",
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
    around, made = surroundings(), files(checkout)

    assert run(checkout).returncode == 0

    assert processes(checkout) == []
    assert surroundings() == around
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

        wait_until(lambda: processes(checkout) == [])


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


def test_no_root_is_needed() -> None:
    if os.geteuid() != 0:
        give_up("needs root, to be somebody else: every test here is without it otherwise")
    # Of the checkout itself, because nobody else may read a temporary directory of root's.
    whoever: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    for probe in ([*command(ROOT)[:1], "-c", ""], ["unshare", "--user", "--map-root-user", "true"]):
        try:
            subprocess.run(probe, check=True, capture_output=True, **whoever)
        except (OSError, subprocess.CalledProcessError) as error:
            give_up(f"an unprivileged user cannot run {probe[0]}: {error}")

    demo = run(ROOT, **whoever)

    assert (demo.returncode, demo.stderr) == (0, "")
    assert "container web, at 192.168.0.2:80, answers 192.0.2.2" in demo.stdout
