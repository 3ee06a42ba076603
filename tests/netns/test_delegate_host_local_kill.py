"""host-local killed at one system call after another: no address is lost once a DEL has run."""

import collections
from pathlib import Path

import pytest

from tests.netns.injection import TRACE, Instant
from tests.netns.leases import DATA, DIRECTORY, Leases
from tests.support.gate import need
from tests.support.host import Host
from tests.support.plugin import PLUGIN_DIRECTORY, Plugin


@pytest.fixture
def leases(host: Host, delegates_dir: Path) -> Leases:
    need("strace")
    plugin = Plugin(host, str(delegates_dir / "host-local"))
    ranges = [[{"subnet": "10.1.2.0/24"}], [{"subnet": "fd00:1::/64"}]]
    return Leases(host, plugin, {"ranges": ranges})


def instants(leases: Leases, command: str) -> list[Instant]:
    """Run a command, and return its system calls from the first that has to do with its files."""
    answer = leases.through("strace", "-o", TRACE).run(command)
    assert answer.status == 0, answer
    counts: collections.Counter[str] = collections.Counter()
    found: list[Instant] = []
    for line in leases.host.path(TRACE).read_text().splitlines():
        name, bracket, _ = line.partition("(")
        if bracket and name.isidentifier():
            counts[name] += 1
            if found or DATA in line:
                found.append(Instant(name, counts[name]))
    return found


def killed_at(instant: Instant, leases: Leases, command: str) -> bool:
    """Run a command, kill it at an instant, and tell whether that instant came."""
    inject = f"inject={instant.call}:signal=KILL:when={instant.count}"
    strace = ("strace", "-o", "/dev/null", "-e", f"trace={instant.call}", "-e", inject)
    return leases.through(*strace).run(command).status == -9


def forget(leases: Leases) -> None:
    """Be a host on which no address was ever given."""
    leases.host.run(["rm", "-r", "-f", DATA])


@pytest.mark.parametrize("debians", [False, True], ids=["ours", "debians"])
def test_an_add_killed_anywhere_is_cleaned_up_by_del(leases: Leases, debians: bool) -> None:
    points = instants(leases, "ADD")
    if debians:
        need(f"{PLUGIN_DIRECTORY}/host-local")
    cleaner = leases.debian() if debians else leases
    deaths = 0
    trouble: list[object] = []

    for instant in points:
        forget(leases)
        deaths += killed_at(instant, leases, "ADD")
        left = leases.taken if leases.path.is_dir() else {}
        if any(words != "web-1\r\neth0" for words in left.values()):
            trouble.append((str(instant), "left", left))
        cleaner.delete()
        if leases.path.is_dir() and leases.taken:
            trouble.append((str(instant), "kept", leases.files))

    assert trouble == []
    assert deaths > 20


def test_an_add_may_follow_one_that_was_killed_and_cleaned_up(leases: Leases) -> None:
    points = instants(leases, "ADD")
    trouble: list[object] = []

    for instant in points[::3]:
        forget(leases)
        killed_at(instant, leases, "ADD")
        leases.delete()
        first = leases.add("web-2")
        if sorted(leases.files) != sorted(
            [*first, "last_reserved_ip.0", "last_reserved_ip.1", "lock"]
        ):
            trouble.append((str(instant), leases.files))

    assert trouble == []


def test_a_del_killed_anywhere_is_completed_by_another(leases: Leases) -> None:
    leases.add("neighbour")
    leases.add()
    points = instants(leases, "DEL")
    deaths = 0
    trouble: list[object] = []

    for instant in points:
        leases.add()
        deaths += killed_at(instant, leases, "DEL")
        leases.delete()
        if set(leases.taken.values()) != {"neighbour\r\neth0"}:
            trouble.append((str(instant), leases.files))

    assert trouble == []
    assert deaths > 10


def test_what_an_add_of_debians_lost_is_found(leases: Leases) -> None:
    """It writes in place, so that a kill leaves an empty file, which its own DEL does not find."""
    need(f"{PLUGIN_DIRECTORY}/host-local")
    debian = leases.debian()
    debian.add("neighbour")
    path = f"{DIRECTORY}/10.1.2.3"
    kill = ("-P", path, "-e", "trace=write", "-e", "inject=write:signal=KILL:when=1")

    answer = debian.through("strace", "-f", "-o", "/dev/null", *kill).run("ADD")
    debian.delete()
    assert (answer.status, leases.taken["10.1.2.3"]) == (-9, "")
    leases.delete()

    assert set(leases.taken.values()) == {"neighbour\r\neth0"}
