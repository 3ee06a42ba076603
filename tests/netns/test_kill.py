"""The plugin killed at one system call after another: DEL always leaves the host as it was.

Only the plugin dies. The delegate or iptables it was waiting for goes on, as it would in the field.
"""

import json
import re
import time
from collections.abc import Iterator, Sequence

import pytest

from tests.netns.behaviour.backends import BACK_ENDS, BackEnd
from tests.netns.injection import (
    LEASES,
    Instant,
    Scene,
    Tool,
    assert_failed,
    instants,
    killed_at,
    say,
    snapshot,
)
from tests.netns.networks import Network, Task, bridged, imagined, reached, server, tcp
from tests.support.delegates import RESULT, Delegates
from tests.support.gate import need, need_host
from tests.support.host import Host
from tests.support.plugin import Call, Plugin


@pytest.fixture(autouse=True)
def _strace() -> None:
    need("strace")


@pytest.fixture(params=BACK_ENDS, ids=str)
def back_end(request: pytest.FixtureRequest) -> BackEnd:
    """Name each back end, one after the other."""
    back_end: BackEnd = request.param
    return back_end


@pytest.fixture
def any_host(back_end: BackEnd) -> Iterator[Host]:
    """Stand in for a machine with each back end."""
    need_host(back_end.variant)
    with Host(back_end.variant) as host:
        yield host


@pytest.fixture
def fake(any_host: Host, any_plugin: Plugin, back_end: BackEnd) -> Network:
    """Return a network without links, for where no packet is sent."""
    return imagined(any_plugin, Delegates(any_host), "192.168.7.2", **back_end.keys)


class Bridge:
    """A network with the real bridge, a neighbour on it with a server, and the one to be killed."""

    def __init__(self, host: Host, plugin: Plugin, back_end: BackEnd) -> None:
        self.host = host
        self.network = bridged(plugin, **back_end.keys)
        self.network.task(server(host, "neighbour"), tcp(8000)).attach()
        self.task = self.network.task(host.container("web-1"), tcp(8080), tcp(9090, 90))
        self.before = snapshot(host)

    def trouble_after(self, instant: Instant) -> Iterator[str]:
        """Send the DEL that follows a death, and tell what is wrong then."""
        answer = self.task.delete()
        if answer.status:
            yield f"after {instant} DEL said {answer.document}"
        after = snapshot(self.host)
        for part in ("rules", "leases", "state"):
            if getattr(after, part) != getattr(self.before, part):
                yield f"after {instant} the {part} are {getattr(after, part)}"
        if reached(self.host.client, 8000) != "neighbour":
            yield f"after {instant} the neighbour is lost"


@pytest.fixture
def bridge(any_host: Host, any_plugin: Plugin, back_end: BackEnd) -> Bridge:
    return Bridge(any_host, any_plugin, back_end)


def some(points: Sequence[Instant], back_end: BackEnd, step: int) -> list[Instant]:
    """Return a share of the instants, another one for each back end."""
    return list(points[BACK_ENDS.index(back_end) * step // len(BACK_ENDS) :: step])


def test_an_add_killed_anywhere_is_cleaned_up_by_del(back_end: BackEnd, bridge: Bridge) -> None:
    points = instants(bridge.task, "ADD")
    bridge.task.detach()
    deaths = 0
    trouble: list[object] = []

    for instant in (Instant("execve", 2), Instant("mmap", 30), *some(points, back_end, 4)):
        deaths += killed_at(instant, bridge.task, "ADD")
        trouble += bridge.trouble_after(instant)

    assert trouble == []
    assert deaths > 25


def test_a_del_killed_anywhere_is_completed_by_another(back_end: BackEnd, bridge: Bridge) -> None:
    bridge.task.attach()
    points = instants(bridge.task, "DEL")
    deaths = 0
    trouble: list[object] = []

    for instant in some(points, back_end, 6):
        bridge.task.attach()
        deaths += killed_at(instant, bridge.task, "DEL")
        trouble += bridge.trouble_after(instant)

    assert trouble == []
    assert deaths > 13


def test_the_first_add_of_a_host_may_be_killed_anywhere(
    any_host: Host, back_end: BackEnd, fake: Network
) -> None:
    task = fake.task(any_host.container("web-1"), tcp(8080), tcp(9090, 90))
    nothing = snapshot(any_host)
    points = instants(task, "ADD")
    deaths = 0
    trouble: list[object] = []

    for instant in some(points, back_end, 14):
        _lose_state(any_host, task)
        deaths += killed_at(instant, task, "ADD")
        answer = task.delete()
        after = snapshot(any_host)
        if answer.status or after != nothing:
            trouble.append((str(instant), answer, after))

    assert trouble == []
    assert deaths > 7


def _lose_state(host: Host, task: Task) -> None:
    task.detach()
    host.run(["rm", "-r", "-f", "/run/mesos-cni-port-mapper"])


def test_an_add_may_follow_one_that_was_killed(
    any_host: Host, back_end: BackEnd, fake: Network
) -> None:
    container = any_host.container("web-1")
    first = fake.task(container, tcp(8080), tcp(9090, 90))
    second = fake.task(container, tcp(8080), tcp(7070, 70))
    nothing = snapshot(any_host)
    points = instants(second, "ADD")
    good = snapshot(any_host)
    second.detach()
    deaths = 0
    trouble: list[object] = []

    for instant in some(points, back_end, 16):
        deaths += killed_at(instant, first, "ADD")
        second.attach()
        if snapshot(any_host) != good:
            trouble.append(f"after {instant} ADD made {snapshot(any_host)}")
        second.detach()
        if snapshot(any_host) != nothing:
            trouble.append(f"after {instant} DEL left {snapshot(any_host)}")

    assert trouble == []
    assert deaths > 4


def test_a_repeated_add_with_other_ports_may_be_killed(
    any_host: Host, back_end: BackEnd, fake: Network
) -> None:
    host = any_host
    container = host.container("web-1")
    first = fake.task(container, tcp(8080), tcp(9090, 90))
    second = fake.task(container, tcp(8080), tcp(7070, 70))
    nothing = snapshot(host)
    first.attach()
    points = instants(second, "ADD")
    second.detach()
    trouble: list[str] = []

    for instant in some(points, back_end, 20):
        first.attach()
        killed_at(instant, second, "ADD")
        second.detach()
        if snapshot(host) != nothing:
            trouble.append(f"after {instant} DEL left {snapshot(host)}")

    assert trouble == []


def test_a_takeover_may_be_killed_anywhere(
    any_host: Host, back_end: BackEnd, fake: Network
) -> None:
    host = any_host
    loser = fake.task(host.container("web-1"), tcp(8080), tcp(9090, 90))
    winner = fake.task(host.container("web-2"), tcp(8080), tcp(7070, 70))
    nothing = snapshot(host)
    loser.attach()
    points = instants(winner, "ADD")
    trouble: list[str] = []

    for instant in some(points, back_end, 15):
        winner.detach()
        loser.detach()
        if snapshot(host) != nothing:
            trouble.append(f"after {instant} DEL left {snapshot(host)}")
        loser.attach()
        killed_at(instant, winner, "ADD")
        winner.detach()
        if _forwarded(host) != _claimed(host) or 9090 not in _forwarded(host):
            trouble.append(f"after {instant} the other one has {snapshot(host)}")

    assert trouble == []


def _forwarded(host: Host) -> set[int]:
    ports = r"(?:--dport|any-owners tcp \.) (\d+)"
    return {int(port) for port in re.findall(ports, "\n".join(snapshot(host).rules))}


def _claimed(host: Host) -> set[int]:
    claims = [data for name, data in snapshot(host).state.items() if "/claims/" in name]
    return {int(port) for data in claims for port in json.loads(data)}


@pytest.fixture
def scene(any_host: Host, any_plugin: Plugin, back_end: BackEnd) -> Scene:
    return Scene(any_host, any_plugin, **back_end.keys)


def test_del_waits_for_a_delegate_that_outlived_its_add(scene: Scene) -> None:
    scene.delegate(f"sleep 0.5\n: >{LEASES}/late\n{say(RESULT)}", f"rm {LEASES}/late")
    task = scene.task()
    call = _start(task)
    scene.delegates.await_call("leasing")
    call.kill()
    call.wait(drain=False)
    begin = time.monotonic()

    impatient = scene.task(timeouts={"lock": 0.1}).delete()
    patient = task.delete()

    assert_failed(impatient, 11, "is being worked on")
    assert "pid " in impatient.document["details"]
    assert patient.status == 0
    assert time.monotonic() - begin > 0.3
    assert snapshot(scene.host) == scene.before
    assert scene.commands == ["ADD", "DEL"]


@pytest.mark.parametrize("back_end", [each for each in BACK_ENDS if each.is_iptables], ids=str)
def test_del_waits_for_an_iptables_that_outlived_its_add(scene: Scene) -> None:
    restore = Tool(scene.host, "iptables-restore")
    restore.behave('sleep 0.5\nreal "$@"')
    call = _start(scene.task())
    while not restore.calls:
        time.sleep(0.01)
    call.kill()
    call.wait(drain=False)

    answer = scene.task().delete()

    assert answer.status == 0
    assert snapshot(scene.host) == scene.before


def _start(task: Task) -> Call:
    return task.plugin.start("ADD", task.container, task.request())
