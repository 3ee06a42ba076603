"""host-local where the file system or another process is in its way: nothing is half done."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.linux import lock
from tests.unit.children import in_child
from tests.unit.delegates.host_local_network import BOTH, WEB, Network
from tests.unit.delegates.ipam_requests import refusal


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return Network(tmp_path, BOTH)


def failing(name: str, nth: int, number: int) -> Callable[..., Any]:
    """Return os.NAME with its n-th call failing."""
    real: Callable[..., Any] = getattr(os, name)
    calls = []

    def call(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == nth:
            raise OSError(number, os.strerror(number), *map(str, args[:1]))
        return real(*args)

    return call


@pytest.mark.parametrize(
    ("name", "nth"),
    [("write", 1), ("write", 2), ("write", 3), ("write", 4), ("link", 1), ("link", 2)],
)
def test_a_full_disk_leaves_no_address(
    network: Network, monkeypatch: pytest.MonkeyPatch, name: str, nth: int
) -> None:
    network.add("other")
    before = network.leases
    monkeypatch.setattr(os, name, failing(name, nth, errno.ENOSPC))

    code, message = refusal(network.add)

    assert (code, message) == (5, f"cannot work on the addresses in {network.directory}")
    assert network.leases == before


def test_a_full_disk_is_named_with_the_file(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "write", failing("write", 1, errno.ENOSPC))

    with pytest.raises(CniError) as failure:
        network.add()

    assert failure.value.details == f"{network.directory}/.lease.new: No space left on device"


@pytest.mark.parametrize("action", ["add", "delete"])
def test_an_address_that_cannot_be_read_is_an_error_that_names_it(
    network: Network, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    network.put("192.0.2.4", WEB)
    before = network.files
    monkeypatch.setattr(os, "read", failing("read", 1, errno.EIO))

    with pytest.raises(CniError) as failure:
        getattr(network, action)()

    assert failure.value.code == 5
    assert failure.value.details == f"{network.directory}/192.0.2.4: Input/output error"
    assert network.files == before


@pytest.mark.parametrize("action", ["add", "delete"])
def test_a_lock_that_is_none_is_an_error_that_names_it(network: Network, action: str) -> None:
    (network.directory / "lock").mkdir(parents=True)

    with pytest.raises(CniError) as failure:
        getattr(network, action)()

    assert failure.value.code == 5
    assert failure.value.details == f"{network.directory}/lock: Is a directory"


@pytest.mark.parametrize("action", ["add", "delete"])
def test_a_lock_that_is_held_is_waited_for_and_its_holder_named(
    network: Network, action: str
) -> None:
    network.add("other")
    network.ipam["timeouts"] = {"lock": 0.05}
    held = lock.acquire(f"{network.directory}/lock", 1)

    def work() -> tuple[int, str, str]:
        with pytest.raises(CniError) as failure:
            getattr(network, action)()
        return failure.value.code, failure.value.msg, failure.value.details

    code, message, details = in_child(work)
    os.close(held)
    assert (code, message) == (11, f"the addresses in {network.directory} are being worked on")
    assert f"pid {os.getpid()} " in details


def test_check_needs_no_lock(network: Network) -> None:
    network.add()
    network.ipam["timeouts"] = {"lock": 0.05}
    held = lock.acquire(f"{network.directory}/lock", 1)

    in_child(network.check)

    os.close(held)


@pytest.mark.parametrize("action", ["add", "delete"])
def test_the_lock_is_given_back(network: Network, action: str) -> None:
    network.add("other")

    getattr(network, action)()
    refusal(lambda: network.add("other"))

    assert not lock.is_held(f"{network.directory}/lock")


def test_an_address_taken_without_the_lock_is_not_given_twice(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.link

    def link(source: str, target: str) -> None:
        if target.endswith("fd00::2"):
            Path(target).write_text("rogue\r\neth0")
        real(source, target)

    monkeypatch.setattr(os, "link", link)

    with pytest.raises(CniError) as failure:
        network.add()

    assert failure.value.code == 5
    assert failure.value.details == f"{network.directory}/fd00::2: File exists"
    assert network.leases == {"fd00::2": "rogue\r\neth0"}
