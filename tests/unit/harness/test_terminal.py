import contextlib
import os
import select
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesos_cni_port_mapper.harness.flow import Flow, turn
from mesos_cni_port_mapper.harness.terminal import raw, relay

SAID = "".join(f"{number}\r\n" for number in range(1, 8001)).encode()


class Command:
    """A program that writes to a terminal of its own."""

    def __init__(self, *argv: str) -> None:
        self.master, slave = os.openpty()
        self._process = subprocess.Popen(argv, stdout=slave, stderr=slave)
        os.close(slave)
        self.pidfd = os.pidfd_open(self._process.pid)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self.pidfd)
        os.close(self.master)


@pytest.fixture
def counting() -> Iterator[Command]:
    command = Command("seq", "1", "8000")
    yield command
    command.close()


def relayed(command: Command, log: Path | str, client: socket.socket | None) -> bool:
    """Relay in a thread, which may hang; tell whether it came to an end."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT)
    thread = threading.Thread(
        target=relay, args=(command.master, file, client, command.pidfd), daemon=True
    )
    thread.start()
    thread.join(5)
    os.close(file)
    return not thread.is_alive()


def received(client: socket.socket) -> bytes:
    """Return all that is to be had, without the descriptor that comes first."""
    client.settimeout(5)
    data = b""
    while chunk := client.recv(1 << 16):
        data += chunk
    return data[1:]


def test_a_client_that_is_slow_gets_all_of_it_although_nobody_waits(
    counting: Command, tmp_path: Path
) -> None:
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)

    assert relayed(counting, tmp_path / "log", theirs)

    with ours:
        assert received(ours) == SAID
    assert (tmp_path / "log").read_bytes() == SAID


def test_a_disk_that_is_full_does_not_keep_output_from_the_client(counting: Command) -> None:
    ours, theirs = socket.socketpair()

    assert relayed(counting, "/dev/full", theirs)

    with ours:
        assert received(ours) == SAID


def test_without_a_client_all_of_it_is_in_the_log(counting: Command, tmp_path: Path) -> None:
    assert relayed(counting, tmp_path / "log", None)

    assert (tmp_path / "log").read_bytes() == SAID


def test_no_more_is_read_than_somebody_takes() -> None:
    (fast, source), (target, slow) = socket.socketpair(), socket.socketpair()
    for end in (fast, source, target):
        end.setblocking(False)
    flow = Flow(source.fileno(), target.fileno())
    given = 0
    with fast, source, target, slow:
        for _ in range(1000):
            with contextlib.suppress(BlockingIOError):
                given += fast.send(b"x" * 4096)
            turn((flow,), seconds=0)

        assert given < 1 << 20
        assert list(flow.wanted()) == [(target.fileno(), select.POLLOUT)]

        taken = 0
        while taken < given:
            turn((flow,), seconds=0)
            taken += len(slow.recv(1 << 16))
        assert taken == given


def test_what_nobody_takes_any_more_is_let_go() -> None:
    (fast, source), (target, gone) = socket.socketpair(), socket.socketpair()
    gone.close()
    flow = Flow(source.fileno(), target.fileno())
    with fast, source, target:
        for _ in range(64):
            fast.send(b"x" * 4096)
            turn((flow,))
            turn((flow,), seconds=0)

        assert isinstance(flow.refusal, BrokenPipeError)
        assert list(flow.wanted()) == [(source.fileno(), select.POLLIN)]


def test_a_terminal_that_has_hung_up_need_not_be_put_back() -> None:
    master, slave = os.openpty()
    with raw(slave):
        os.close(master)
    os.close(slave)
