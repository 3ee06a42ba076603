"""Small files: read if they are there, replaced whole, removed with what a crash left."""

import os
from pathlib import Path

import pytest

from mesos_cni_port_mapper.linux import files, stderr


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    (tmp_path / "file").write_bytes(data)

    assert files.read(f"{tmp_path}/file") == data


def test_a_file_that_is_not_there_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert files.read(f"{tmp_path}/missing") is None
    assert files.read(f"{tmp_path}/missing/below") is None
    assert files.read(f"{tmp_path}/file/below") is None


def test_a_file_that_cannot_be_read_raises(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        files.read(str(tmp_path))


def test_a_write_makes_a_file_for_its_owner_alone(tmp_path: Path) -> None:
    files.write_atomic(f"{tmp_path}/file", b"new")

    assert (tmp_path / "file").read_bytes() == b"new"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_write_replaces_the_file_and_not_its_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        files.write_atomic(str(path), b"new")

        assert (reader.read(), path.read_bytes()) == (b"old", b"new")


def test_a_scratch_file_of_a_writer_that_was_killed_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".file.new").write_bytes(b"half of someth")

    files.write_atomic(f"{tmp_path}/file", b"new")

    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_link_in_place_of_the_scratch_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"victim")
    (tmp_path / ".file.new").symlink_to(tmp_path / "victim")

    files.write_atomic(f"{tmp_path}/file", b"new")

    assert (tmp_path / "victim").read_bytes() == b"victim"


def test_a_write_that_fails_leaves_no_scratch_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_file: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    (tmp_path / "file").write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail)
        with pytest.raises(OSError, match="No space left"):
            files.write_atomic(f"{tmp_path}/file", b"new")

    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_data_is_written_however_little_is_taken_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, data: write(file, data[:3]))
        files.write_atomic(f"{tmp_path}/file", b"more than three")

    assert (tmp_path / "file").read_bytes() == b"more than three"


def test_a_scratch_file_is_returned_open(tmp_path: Path) -> None:
    file = files.create_scratch(f"{tmp_path}/file", b"new")

    assert os.pread(file, 9, 0) == b"new"
    assert not os.get_inheritable(file)
    assert [path.name for path in tmp_path.iterdir()] == [".file.new"]
    os.close(file)


def test_a_file_is_removed_once_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    files.remove(f"{tmp_path}/file")
    files.remove(f"{tmp_path}/file")

    assert list(tmp_path.iterdir()) == []


def test_a_file_is_removed_with_its_scratch_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / ".file.new").touch()

    files.remove_with_scratch(f"{tmp_path}/file")

    assert list(tmp_path.iterdir()) == []


def test_a_line_on_stderr_names_the_program(capfd: pytest.CaptureFixture[str]) -> None:
    stderr.say("a \ud800 word")

    assert capfd.readouterr() == ("", "mesos-cni-port-mapper: a \\ud800 word\n")


def test_a_log_that_cannot_be_written_fails_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def fail(file: int, data: bytes) -> int:
        tried.append((file, data))
        raise BrokenPipeError

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail)
        stderr.write(b"words")

    assert tried == [(2, b"words")]
