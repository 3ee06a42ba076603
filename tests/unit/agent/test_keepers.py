"""Which keeper a launch is handed to, with the processes left out."""

import errno
import os
import socket
from collections.abc import Callable, Iterator

import pytest

from mesos_cni_port_mapper.harness.agent import keepers
from mesos_cni_port_mapper.harness.agent.keepers import Keepers
from mesos_cni_port_mapper.harness.isolation import Options


class Processes:
    """Stands in for the processes that are started: the ends of their channels."""

    def __init__(self) -> None:
        self.cradles: list[socket.socket] = []
        self.keepers: list[socket.socket] = []
        self.failures: list[OSError] = []
        self._all: list[socket.socket] = []

    def channels(self) -> tuple[socket.socket, socket.socket]:
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._all += pair
        return pair

    def start_cradle(self) -> socket.socket:
        if self.failures:
            raise self.failures.pop(0)
        ours, theirs = self.channels()
        self.cradles.append(theirs)
        return ours

    def be_keeper(self, channel: socket.socket, *_: object) -> None:
        self.keepers.append(channel.dup())

    def fork_away(self, work: Callable[[int], None]) -> int:
        work(-1)
        return os.open("/dev/null", os.O_RDONLY)

    def kill(self) -> None:
        for channel in (*self.cradles, *self.keepers):
            channel.close()

    def forget(self) -> None:
        self.kill()
        for channel in self._all:
            channel.close()


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Processes]:
    made = Processes()
    monkeypatch.setattr(keepers, "_channels", made.channels)
    monkeypatch.setattr(keepers, "_start_cradle", made.start_cradle)
    monkeypatch.setattr(keepers, "be_keeper", made.be_keeper)
    monkeypatch.setattr(keepers, "fork_away", made.fork_away)
    yield made
    made.forget()


def launch(subject: Keepers) -> None:
    request = os.open("/dev/null", os.O_RDONLY)
    try:
        os.close(subject.launch(request))
    finally:
        os.close(request)


def test_a_keeper_that_could_not_be_started_is_started_for_the_next_launch(
    processes: Processes,
) -> None:
    subject = Keepers(Options(runtime_dir="/nowhere"))
    launch(subject)
    processes.kill()
    processes.failures.append(OSError(errno.EAGAIN, "Resource temporarily unavailable"))

    with pytest.raises(OSError, match="temporarily"):
        launch(subject)
    launch(subject)

    assert len(processes.keepers) == 2
    assert processes.keepers[-1].recv(1) == b"."
