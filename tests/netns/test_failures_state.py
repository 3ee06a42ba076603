"""Locks that are held and directories that cannot be written: a clear word, and nothing changed."""

import os
import time

import pytest

from tests.netns.injection import Held, Scene, assert_failed, say, snapshot
from tests.netns.networks import STATE, Task, tcp
from tests.support.host import Host
from tests.support.plugin import Plugin

PATIENCE = {"lock": 0.2}
SMALL = "/run/small"


@pytest.fixture
def scene(host: Host, plugin: Plugin) -> Scene:
    return Scene(host, plugin)


def lock_of(host: Host, name: str = "lock") -> str:
    """Return the path of the one file of such a name in the state directory."""
    (path,) = host.path(STATE).glob(f"*/{name}")
    return f"{STATE}/{path.relative_to(host.path(STATE))}"


def test_our_own_lock_is_named_with_its_holder_before_the_delegate_runs(scene: Scene) -> None:
    begin = time.monotonic()
    with Held(scene.host, lock_of(scene.host)) as pid:
        answer = scene.task(timeouts=PATIENCE).add()

    scene.assert_untouched(answer, 11, f"{lock_of(scene.host)} is locked by pid {pid} (flock)")
    assert "waited 0.2 s" in answer.document["details"]
    assert 0.2 < time.monotonic() - begin < 3


def test_a_lock_that_comes_free_in_time_is_waited_for(scene: Scene) -> None:
    task = scene.task()
    with Held(scene.host, lock_of(scene.host)):
        call = task.plugin.start("ADD", task.container, task.request())
        time.sleep(0.3)
        assert call.process.running

    assert call.wait(5).status == 0
    task.detach()
    assert snapshot(scene.host) == scene.before


def test_a_lock_that_is_lost_while_the_delegate_runs_undoes_the_add(scene: Scene) -> None:
    # The delegate itself leaves somebody behind who holds it.
    lock = lock_of(scene.host)
    hold = f"setsid flock --close {lock} sleep 60 </dev/null >/dev/null 2>&1 &\nsleep 0.1\n"
    scene.delegate(hold + say({"cniVersion": "0.2.0", "ip4": {"ip": "192.168.7.2/24"}}))

    scene.assert_undone(scene.task(timeouts=PATIENCE).add(), 11, f"{lock} is locked by pid ")


def test_without_mappings_nobody_waits_for_the_lock(scene: Scene) -> None:
    task = scene.network.task(scene.container)
    with Held(scene.host, lock_of(scene.host)):
        task.attach()
        task.detach()

    assert snapshot(scene.host) == scene.before


def test_a_del_that_cannot_have_the_lock_keeps_everything(scene: Scene) -> None:
    task = scene.task(timeouts=PATIENCE)
    task.attach()
    attached = snapshot(scene.host)
    with Held(scene.host, lock_of(scene.host)) as pid:
        assert_failed(task.delete(), 11, f"pid {pid}")
    assert snapshot(scene.host) == attached
    assert scene.commands == ["ADD"]

    task.detach()

    assert snapshot(scene.host) == scene.before


@pytest.mark.parametrize("command", ["ADD", "DEL"])
def test_an_attachment_that_is_being_worked_on_is_left_alone(
    host: Host, plugin: Plugin, command: str
) -> None:
    scene = Scene(host, plugin, alone=True)
    task = scene.task(timeouts=PATIENCE)
    task.attach()
    attached = snapshot(host)
    record = lock_of(host, "attachments/*")

    with Held(host, record) as pid:
        answer = task.run(command)

    assert_failed(answer, 11, "container web-1 on network failing (eth0) is being worked on")
    assert f"pid {pid}" in answer.document["details"]
    assert snapshot(host) == attached
    assert scene.commands == ["ADD"]


@pytest.mark.parametrize("directory", ["/run/file", "/run/file/below", "/run/locked/below"])
@pytest.mark.parametrize("ports", [(), (8080,)], ids=["without-mappings", "with-mappings"])
def test_a_state_directory_that_cannot_be_made_fails_first(
    scene: Scene, directory: str, ports: tuple[int, ...]
) -> None:
    scene.host.path("/run/file").write_bytes(b"")
    scene.host.path("/run/locked").mkdir()
    scene.host.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", "/run/locked"])
    network = scene.network.but(stateDir=directory)

    answer = network.task(scene.container, *[tcp(port) for port in ports]).add()

    scene.assert_untouched(answer, 5, "stateDir: cannot")
    assert directory in answer.document["msg"]
    assert answer.document["details"] in ("Not a directory", "File exists", "Read-only file system")


@pytest.mark.parametrize("directory", ["/run/file", "/run/file/below", "/run/locked/below"])
def test_a_del_needs_no_state_directory(scene: Scene, directory: str) -> None:
    task = scene.task()
    task.attach()
    scene.host.path("/run/file").write_bytes(b"")
    scene.host.path("/run/locked").mkdir()
    scene.host.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", "/run/locked"])
    network = scene.network.but(stateDir=directory)

    network.task(scene.container, tcp(8080)).detach()

    assert snapshot(scene.host).rules == scene.before.rules


def test_a_del_on_a_directory_gone_read_only_can_be_repeated(scene: Scene) -> None:
    task = scene.task()
    task.attach()
    scene.host.run(["mount", "--bind", STATE, STATE])
    scene.host.run(["mount", "-o", "remount,bind,ro", STATE])

    assert_failed(task.delete(), 5, "stateDir")
    assert scene.commands == ["ADD"]

    scene.host.run(["mount", "-o", "remount,bind,rw", STATE])
    task.detach()
    assert snapshot(scene.host) == scene.before


class Small:
    """A state directory with little room, for a network with a chain of its own."""

    def __init__(self, scene: Scene, options: str) -> None:
        self.scene = scene
        scene.host.path(SMALL).mkdir()
        scene.host.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", SMALL])

    def task(self, *ports: int, container_id: str = "web-1") -> Task:
        network = self.scene.network.but(stateDir=SMALL, chain="SMALL")
        return network.task(self.scene.container, *map(tcp, ports), container_id=container_id)

    def fill(self, pages: int = 0) -> None:
        """Leave room for so many pages."""
        self.scene.host.run(["dd", "if=/dev/zero", f"of={SMALL}/filler", "bs=4k"], check=False)
        filler = self.scene.host.path(f"{SMALL}/filler")
        os.truncate(filler, filler.stat().st_size - 4096 * pages)

    def empty(self) -> None:
        """Make room again."""
        self.scene.host.path(f"{SMALL}/filler").unlink()

    @property
    def files(self) -> dict[str, bytes]:
        """Return what is in the directory and should not always be."""
        kept = self.scene.host.files(SMALL).items()
        return {name: data for name, data in kept if not name.endswith(("/lock", "filler"))}


@pytest.mark.parametrize(
    "options",
    [
        *[f"size={pages * 4}k" for pages in range(1, 8)],
        *[f"nr_inodes={count}" for count in range(1, 16)],
    ],
)
def test_a_full_state_directory_undoes_the_add(scene: Scene, options: str) -> None:
    small = Small(scene, options)
    # Three blocks of claims: with everything around them five pages, or twelve inodes.
    task = small.task(8080, 9090, 10010)

    answer = task.add()

    if answer.status == 0:
        task.detach()
    else:
        assert_failed(answer, 5, "stateDir: cannot")
        assert answer.document["details"] == "No space left on device"
        assert scene.commands in ([], ["ADD", "DEL"])
    assert snapshot(scene.host) == scene.before
    assert small.files == {}


@pytest.mark.parametrize("pages", range(5))
def test_what_others_have_in_a_full_state_directory_stays(scene: Scene, pages: int) -> None:
    small = Small(scene, "size=64k")
    neighbour = small.task(8081, container_id="web-2")
    neighbour.attach()
    before = (snapshot(scene.host), small.files)
    small.fill(pages)

    # The first port is in the neighbour's block of claims, the others in blocks of their own.
    task = small.task(8080, 9090, 10010)

    answer = task.add()

    if pages < 3:
        assert_failed(answer, 5, "No space left on device")
        assert scene.commands == ["ADD", "ADD", "DEL"][: 3 if pages else 1]
    else:
        assert answer.status == 0
        small.empty()
        task.detach()
    assert (snapshot(scene.host), small.files) == before


def test_a_del_in_a_full_state_directory_can_be_repeated(scene: Scene) -> None:
    small = Small(scene, "size=64k")
    neighbour, task = small.task(8081, container_id="web-2"), small.task(8080)
    neighbour.attach()
    task.attach()
    small.fill()

    assert_failed(task.delete(), 5, "No space left on device")
    assert "-j DNAT --to-destination 192.168.7.2:80" not in scene.host.ruleset()

    small.empty()
    task.detach()
    neighbour.detach()
    assert snapshot(scene.host) == scene.before
    assert small.files == {}
