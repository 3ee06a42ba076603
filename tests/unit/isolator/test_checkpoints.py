import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesos_cni_port_mapper.isolator.checkpoints import (
    Checkpoints,
    ContainerState,
    CorruptError,
    NetworkState,
)
from mesos_cni_port_mapper.isolator.network_info import NetworkInfo
from mesos_cni_port_mapper.isolator.records import Attachment, Record

RECORD = Record("web", "web", (Attachment(NetworkInfo("net"), "eth0"),))
DATA = b'{"name":"net","type":"x"}'


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    checkpoints = Checkpoints(tmp_path / "root")
    checkpoints.root.mkdir()
    checkpoints.create("web")
    return checkpoints


@pytest.fixture
def state(checkpoints: Checkpoints) -> Iterator[ContainerState]:
    with checkpoints.open("web") as state:
        yield state


@pytest.fixture
def web(checkpoints: Checkpoints) -> Path:
    return checkpoints.directory("web")


def test_what_is_written_can_be_read(state: ContainerState, web: Path) -> None:
    state.write_record(RECORD)
    state.write_configuration("net", "eth0", DATA)
    state.write_result("net", "eth0", b"{}")
    state.write_host_file("hosts", "text")

    assert state.read_record() == RECORD
    configuration = state.read_configuration("net")
    assert configuration is not None
    assert configuration.document == {"name": "net", "type": "x"}
    assert state.read_result("net", "eth0") == b"{}"
    assert state.networks() == [NetworkState("net", ("eth0",))]
    hosts = state.host_file("hosts")
    assert hosts is not None
    assert (Path(hosts).read_text(), Path(hosts).stat().st_mode & 0o777) == ("text", 0o644)
    assert (web / ".container.json").stat().st_mode & 0o777 == 0o600


def test_the_umask_does_not_hide_the_files_from_the_container(state: ContainerState) -> None:
    before = os.umask(0o077)
    try:
        state.write_host_file("hosts", "text")
    finally:
        os.umask(before)

    hosts = state.host_file("hosts")
    assert hosts is not None
    assert Path(hosts).stat().st_mode & 0o777 == 0o644


def test_a_file_is_on_the_disk_before_it_has_its_name(
    state: ContainerState, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, str]] = []

    def sync(file: int) -> None:
        name = Path(f"/proc/self/fd/{file}").readlink().name
        size = os.fstat(file).st_size if name.startswith(".") else 0
        calls.append(("sync", f"{name} {size}" if size else name))

    def rename(source: str, target: str, **where: int) -> None:
        calls.append(("rename", target))
        original(source, target, **where)

    original = os.rename
    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "rename", rename)

    state.write_host_file("hosts", "text")

    assert calls == [("sync", ".hosts.new 4"), ("rename", "hosts"), ("sync", "web")]


def test_what_is_not_there_is_nothing(checkpoints: Checkpoints, state: ContainerState) -> None:
    assert state.read_record() is None
    assert state.read_configuration("net") is None
    assert state.read_result("net", "eth0") is None
    assert state.host_file("hosts") is None
    assert state.networks() == []
    state.remove_interface("net", "eth0")
    checkpoints.remove("absent")
    with pytest.raises(FileNotFoundError), checkpoints.open("absent"):
        pass


def test_a_write_that_was_killed_leaves_the_old_and_is_overwritten(
    state: ContainerState, web: Path
) -> None:
    state.write_record(RECORD)
    (web / "..container.json.new").write_text("half")

    assert state.read_record() == RECORD
    state.write_record(RECORD)
    assert [path.name for path in web.iterdir()] == [".container.json"]


def test_a_link_is_followed_by_no_write_and_no_read(
    checkpoints: Checkpoints, state: ContainerState, web: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    (outside / "eth0").mkdir(parents=True)
    (outside / "file").write_bytes(DATA)
    (web / "hosts").symlink_to(outside / "file")
    (web / ".hosts.new").symlink_to(outside / "file")
    (web / "net").symlink_to(outside)
    (checkpoints.root / "linked").symlink_to(outside)

    state.write_host_file("hosts", "text")
    with pytest.raises(OSError):
        state.write_configuration("net", "eth0", b"{}")
    with pytest.raises(OSError), checkpoints.open("linked"):
        pass
    with pytest.raises(OSError):
        checkpoints.remove("linked")
    with pytest.raises(OSError):
        state.remove_interface("net", "eth0")

    assert state.networks() == []
    assert not (web / "hosts").is_symlink()
    assert (outside / "file").read_bytes() == DATA
    assert sorted(path.name for path in outside.iterdir()) == ["eth0", "file"]
    checkpoints.remove("web")
    assert (outside / "eth0").is_dir()


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"name":"other","type":"x"}', b'{"name":"net"}']
)
def test_a_corrupt_configuration_is_named(state: ContainerState, web: Path, data: bytes) -> None:
    state.write_configuration("net", "eth0", data)

    with pytest.raises(CorruptError) as failure:
        state.read_configuration("net")

    assert failure.value.path == f"{web}/net/network.conf"
    assert failure.value.reason


def test_files_that_no_network_can_be_are_not_networks(state: ContainerState, web: Path) -> None:
    for name in (".hidden", "net/eth0", "net/not an interface"):
        (web / name).mkdir(parents=True)
    (web / "file").touch()

    assert state.networks() == [NetworkState("net", ("eth0",))]


def test_one_at_a_time_has_a_container_locked(checkpoints: Checkpoints) -> None:
    first = checkpoints.lock("web")
    assert first is not None
    assert checkpoints.lock("web") is None
    first.close()
    again = checkpoints.lock("web")
    assert again is not None
    again.close()
    with pytest.raises(FileNotFoundError):
        checkpoints.lock("absent")


def test_directories_and_others_are_told_apart(checkpoints: Checkpoints) -> None:
    (checkpoints.root / "file").touch()
    (checkpoints.root / "link").symlink_to("web")

    assert (checkpoints.containers(), checkpoints.others()) == (["web"], ["file", "link"])
    assert checkpoints.exists("link")
    with pytest.raises(FileExistsError):
        checkpoints.create("link")


def test_a_linked_checkpoint_is_corrupt_however_good_it_looks(
    state: ContainerState, web: Path, tmp_path: Path
) -> None:
    state.write_configuration("net", "eth0", DATA)
    (web / "net" / "network.conf").rename(tmp_path / "moved")
    (web / "net" / "network.conf").symlink_to(tmp_path / "moved")

    with pytest.raises(CorruptError, match=r"network\.conf"):
        state.read_configuration("net")
