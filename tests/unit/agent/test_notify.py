"""What systemd is told."""

import os
import socket
from pathlib import Path

import pytest

from mesos_cni_port_mapper.harness.agent.notify import notify, watchdog_interval


@pytest.mark.parametrize("abstract", [False, True])
def test_lines_go_in_one_datagram(tmp_path: Path, abstract: bool) -> None:
    path = f"@mesos-cni-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind("\0" + path[1:] if abstract else path)
        supervisor.settimeout(5)

        notify({"NOTIFY_SOCKET": path}, "READY=1", "STATUS=x")

        assert supervisor.recv(100) == b"READY=1\nSTATUS=x"


@pytest.mark.parametrize("address", ["", "/no/such/socket", "vsock:1:2"])
def test_nobody_listening_is_no_failure(address: str) -> None:
    notify({"NOTIFY_SOCKET": address}, "READY=1")
    notify({}, "READY=1")


@pytest.mark.parametrize(
    ("environment", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_a_watchdog_is_fed_twice_as_often_as_it_asks(
    environment: dict[str, str], interval: float | None
) -> None:
    assert watchdog_interval(environment) == interval
