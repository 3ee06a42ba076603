"""A container's directory: claimed once, locked by one, never followed out of."""

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from mesos_cni_port_mapper.harness import state
from mesos_cni_port_mapper.harness.errors import HarnessError, UnknownContainerError

SPEC = {"spec": {"container_id": "web"}}

NOBODY = 4194305
"""No process ever: the kernel's limit for PIDs is one less (`PID_MAX_LIMIT`)."""


def names(tmp_path: Path) -> list[str]:
    return [entry.name for entry in (tmp_path / "containers").iterdir()]


def claim(tmp_path: Path, name: str = "web") -> tuple[state.Directory, int]:
    return state.claim(str(tmp_path), name, SPEC)


def test_a_claim_is_complete_when_it_can_be_seen(tmp_path: Path) -> None:
    directory, lock = claim(tmp_path)

    assert directory.read(state.SPEC) == SPEC
    assert state.is_locked(directory)
    assert names(tmp_path) == ["web"]
    os.close(lock)
    assert not state.is_locked(directory)


def test_a_name_is_claimed_once(tmp_path: Path) -> None:
    _, lock = claim(tmp_path)

    with pytest.raises(HarnessError, match="there is a container 'web' already"):
        claim(tmp_path)

    assert names(tmp_path) == ["web"]
    os.close(lock)


@pytest.mark.parametrize("planted", ["file", "link", "dangling"])
def test_nothing_planted_is_taken_for_a_container(tmp_path: Path, planted: str) -> None:
    root = tmp_path / "containers"
    root.mkdir()
    victim = tmp_path / "victim"
    victim.mkdir()
    if planted == "file":
        (root / "web").touch()
    else:
        (root / "web").symlink_to(victim if planted == "link" else tmp_path / "none")

    with pytest.raises(HarnessError, match="already"):
        claim(tmp_path)
    with pytest.raises(UnknownContainerError):
        state.directory_of(str(tmp_path), "web")
    assert state.directories(str(tmp_path)) == []
    assert list(victim.iterdir()) == []


def test_a_record_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    directory, lock = claim(tmp_path)
    (tmp_path / "secret").write_text("{}")
    (directory.path / state.EXIT).symlink_to(tmp_path / "secret")

    with pytest.raises(HarnessError, match=r"exit\.json"):
        directory.read(state.EXIT)
    os.close(lock)


@pytest.mark.parametrize("content", ["", "{", "[]", "\udc80"])
def test_a_broken_record_is_named(tmp_path: Path, content: str) -> None:
    directory, lock = claim(tmp_path)
    (directory.path / state.INIT).write_bytes(content.encode(errors="surrogateescape"))

    with pytest.raises(HarnessError, match=r"web/init\.json"):
        directory.read(state.INIT)
    os.close(lock)


def test_the_lock_goes_with_the_last_who_inherited_it(tmp_path: Path) -> None:
    directory, lock = claim(tmp_path)
    heir = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, pass_fds=[lock])
    os.close(lock)

    assert state.is_locked(directory)
    assert state.take_over(directory) is None
    heir.communicate()
    taken = state.take_over(directory)
    assert taken is not None
    os.close(taken)


def test_asking_for_the_lock_does_not_keep_it_from_anybody(tmp_path: Path) -> None:
    directory, lock = claim(tmp_path)
    os.close(lock)
    code = (
        "import sys; from pathlib import Path; from mesos_cni_port_mapper.harness import state\n"
        "directory = state.Directory(Path(sys.argv[1]))\n"
        "while sys.stdin.readable() and not state.is_locked(directory): print(flush=True)"
    )
    asker = subprocess.Popen([sys.executable, "-c", code, directory.path], stdout=subprocess.PIPE)
    assert asker.stdout is not None
    asker.stdout.readline()

    for _ in range(200):
        taken = state.take_over(directory)
        assert taken is not None
        os.close(taken)
    asker.kill()
    asker.communicate()


def test_nested_containers_are_those_below(tmp_path: Path) -> None:
    for name in ("web", "web.a", "web.a.b", "web-1", "other.web"):
        os.close(claim(tmp_path, name)[1])

    nested = state.nested_in(state.directory_of(str(tmp_path), "web"))

    assert [directory.container_id for directory in nested] == ["web.a", "web.a.b"]


def test_nobody_sees_half_of_what_is_removed_or_takes_it_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, lock = claim(tmp_path)
    os.close(lock)
    seen = []

    def look(_path: Path, **_more: object) -> None:
        seen.append((state.directories(str(tmp_path)), state.take_over(directory)))

    monkeypatch.setattr("shutil.rmtree", look)
    directory.remove()

    assert seen == [([], None)]
    os.close(claim(tmp_path)[1])


def test_what_was_abandoned_is_told_from_what_is_being_made_or_removed(tmp_path: Path) -> None:
    root = tmp_path / "containers"
    os.close(claim(tmp_path)[1])
    (root / f".new-{NOBODY}-dead").mkdir()
    (root / f".old-{NOBODY}-dead").mkdir()
    (root / f".old-{os.getpid()}-being-removed").mkdir()
    (root / f".new-{os.getpid()}-not-locked-yet").mkdir()
    (root / "web").rename(root / f".new-{NOBODY}-locked")
    lock = state.take_over(state.Directory(root / f".new-{NOBODY}-locked"))

    found = [directory.container_id for directory in state.abandoned(str(tmp_path))]

    assert found == [f".new-{NOBODY}-dead", f".old-{NOBODY}-dead"]
    assert lock is not None
    os.close(lock)


def test_what_a_monitor_holds_is_at_its_end_when_the_last_lets_go(tmp_path: Path) -> None:
    directory, lock = claim(tmp_path)
    with pytest.raises(FileNotFoundError):
        directory.watch()
    held = directory.hold()
    watched = directory.watch()
    heir = os.dup(held)
    os.close(held)
    assert select.select([watched], [], [], 0)[0] == []

    os.close(heir)

    assert select.select([watched], [], [], 1)[0] == [watched]
    for descriptor in (watched, lock):
        os.close(descriptor)


def test_a_watch_is_of_the_monitor_that_comes_too(tmp_path: Path) -> None:
    directory, lock = claim(tmp_path)
    os.close(directory.hold())
    watched = directory.watch()
    assert select.select([watched], [], [], 0)[0] == []

    os.close(directory.hold())

    poll = select.poll()
    poll.register(watched, select.POLLIN)
    assert poll.poll(1000) == [(watched, select.POLLHUP)]
    for descriptor in (watched, lock):
        os.close(descriptor)
