"""Entries for the journal: what systemd-journald is told."""

import socket
import threading
from pathlib import Path

import pytest

from mesos_cni_port_mapper.linux.journal import encode_entry, send


def test_a_field_is_a_line() -> None:
    assert encode_entry({"MESSAGE": "done", "PRIORITY": "6"}) == b"MESSAGE=done\nPRIORITY=6\n"


def test_a_value_of_several_lines_goes_with_its_length() -> None:
    entry = encode_entry({"MESSAGE": "a\nb"})

    assert entry == b"MESSAGE\n" + (3).to_bytes(8, "little") + b"a\nb\n"


def test_an_entry_is_one_datagram(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(path)
        send({"MESSAGE": "done"}, path)
        assert journal.recv(1000) == b"MESSAGE=done\n"


def test_without_a_journal_nothing_is_sent(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        send({"MESSAGE": "done"}, str(tmp_path / "nowhere"))


def test_a_journal_that_is_full_is_not_waited_for(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(path)
        # Who waits after all finds nobody in the end.
        end = threading.Timer(5, journal.close)
        end.start()
        with pytest.raises(BlockingIOError):
            for _ in range(10_000):
                send({"MESSAGE": "done"}, path)
        end.cancel()
