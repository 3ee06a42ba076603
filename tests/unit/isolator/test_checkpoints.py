import os
from pathlib import Path

import pytest

from mesos_cni_port_mapper.isolator.checkpoints import Checkpoints, CorruptError, NetworkState
from mesos_cni_port_mapper.isolator.network_info import NetworkInfo
from mesos_cni_port_mapper.isolator.records import Attachment, Record

RECORD = Record("web", "web", (Attachment(NetworkInfo("net"), "eth0"),))
DATA = b'{"name":"net","type":"x"}'


@pytest.fixture
def state(tmp_path: Path) -> Checkpoints:
    state = Checkpoints(tmp_path / "root")
    state.root.mkdir()
    state.create("web")
    return state


def test_what_is_written_can_be_read(state: Checkpoints) -> None:
    state.write_record(RECORD)
    state.write_configuration("web", "net", "eth0", DATA)
    state.write_result("web", "net", "eth0", b"{}")
    state.write_host_file("web", "hosts", "text")

    assert state.read_record("web") == RECORD
    configuration = state.read_configuration("web", "net")
    assert configuration is not None
    assert configuration.document == {"name": "net", "type": "x"}
    assert state.read_result("web", "net", "eth0") == b"{}"
    assert state.networks("web") == [NetworkState("net", ("eth0",))]
    hosts = state.host_file("web", "hosts")
    assert hosts is not None
    assert (hosts.read_text(), hosts.stat().st_mode & 0o777) == ("text", 0o644)
    assert (state.directory("web") / ".container.json").stat().st_mode & 0o777 == 0o600


def test_the_umask_does_not_hide_the_files_from_the_container(state: Checkpoints) -> None:
    before = os.umask(0o077)
    try:
        state.write_host_file("web", "hosts", "text")
    finally:
        os.umask(before)

    hosts = state.host_file("web", "hosts")
    assert hosts is not None
    assert hosts.stat().st_mode & 0o777 == 0o644


def test_a_file_is_on_the_disk_before_it_has_its_name(
    state: Checkpoints, monkeypatch: pytest.MonkeyPatch
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

    state.write_host_file("web", "hosts", "text")

    assert calls == [("sync", ".hosts.new 4"), ("rename", "hosts"), ("sync", "web")]


def test_what_is_not_there_is_nothing(state: Checkpoints) -> None:
    assert state.read_record("web") is None
    assert state.read_record("absent") is None
    assert state.read_configuration("web", "net") is None
    assert state.read_result("web", "net", "eth0") is None
    assert state.host_file("web", "hosts") is None
    assert state.networks("web") == []
    state.remove_interface("web", "net", "eth0")
    state.remove("absent")


def test_a_write_that_was_killed_leaves_the_old_and_is_overwritten(state: Checkpoints) -> None:
    state.write_record(RECORD)
    (state.directory("web") / "..container.json.new").write_text("half")

    assert state.read_record("web") == RECORD
    state.write_record(RECORD)
    assert [path.name for path in state.directory("web").iterdir()] == [".container.json"]


def test_a_link_is_followed_by_no_write_and_no_read(state: Checkpoints, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "eth0").mkdir(parents=True)
    (outside / "file").write_bytes(DATA)
    web = state.directory("web")
    (web / "hosts").symlink_to(outside / "file")
    (web / ".hosts.new").symlink_to(outside / "file")
    (web / "net").symlink_to(outside)
    (state.root / "linked").symlink_to(outside)

    state.write_host_file("web", "hosts", "text")
    with pytest.raises(OSError):
        state.write_configuration("web", "net", "eth0", b"{}")
    with pytest.raises(OSError):
        state.write_record(Record("linked", "x", ()))
    with pytest.raises(OSError):
        state.remove("linked")
    with pytest.raises(OSError):
        state.remove_interface("web", "net", "eth0")

    assert state.networks("web") == []
    assert not (web / "hosts").is_symlink()
    assert (outside / "file").read_bytes() == DATA
    assert sorted(path.name for path in outside.iterdir()) == ["eth0", "file"]
    state.remove("web")
    assert (outside / "eth0").is_dir()


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"name":"other","type":"x"}', b'{"name":"net"}']
)
def test_a_corrupt_configuration_is_named(state: Checkpoints, data: bytes) -> None:
    state.write_configuration("web", "net", "eth0", data)

    with pytest.raises(CorruptError) as failure:
        state.read_configuration("web", "net")

    assert failure.value.path == f"{state.root}/web/net/network.conf"
    assert failure.value.reason


def test_files_that_no_network_can_be_are_not_networks(state: Checkpoints) -> None:
    for name in (".hidden", "net/eth0", "net/not an interface"):
        (state.directory("web") / name).mkdir(parents=True)
    (state.directory("web") / "file").touch()

    assert state.networks("web") == [NetworkState("net", ("eth0",))]


def test_one_at_a_time_has_a_container_locked(state: Checkpoints) -> None:
    first = state.lock("web")
    assert first is not None
    assert state.lock("web") is None
    os.close(first)
    again = state.lock("web")
    assert again is not None
    os.close(again)
    with pytest.raises(FileNotFoundError):
        state.lock("absent")


def test_directories_and_others_are_told_apart(state: Checkpoints) -> None:
    (state.root / "file").touch()
    (state.root / "link").symlink_to(state.directory("web"))

    assert (state.containers(), state.others()) == (["web"], ["file", "link"])
    assert state.exists("link")
    with pytest.raises(FileExistsError):
        state.create("link")


def test_a_linked_checkpoint_is_corrupt_however_good_it_looks(
    state: Checkpoints, tmp_path: Path
) -> None:
    state.write_configuration("web", "net", "eth0", DATA)
    (state.directory("web") / "net" / "network.conf").rename(tmp_path / "moved")
    (state.directory("web") / "net" / "network.conf").symlink_to(tmp_path / "moved")

    with pytest.raises(CorruptError, match=r"network\.conf"):
        state.read_configuration("web", "net")
