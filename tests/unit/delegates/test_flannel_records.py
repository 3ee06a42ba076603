"""What flannel saves: where it is, whose it is, and what becomes of it."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from delegates.flannel_records import Record
from mesos_cni_port_mapper.cni.errors import CniError
from tests.unit.delegates.ipam_requests import refusal, request

NETCONF = {"name": "net", "type": "bridge", "mtu": 1450}
OTHER = {"name": "net", "type": "bridge", "mtu": 1400}


def record(directory: Path, ifname: str = "eth0", container_id: str = "web-1") -> Record:
    return Record(str(directory), request(None, ifname=ifname, container_id=container_id))


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def content(path: Path) -> Any:
    return json.loads(path.read_text())


def test_it_is_where_flannels_own_plugin_looks_for_it(tmp_path: Path) -> None:
    directory = tmp_path / "cni/flannel"
    record(directory).save(NETCONF)

    saved = directory / "web-1"
    assert content(saved) == NETCONF | {"ifname": "eth0"}
    assert (saved.stat().st_mode & 0o777, directory.stat().st_mode & 0o777) == (0o600, 0o700)
    assert names(directory) == ["web-1"]
    assert record(directory).load() == NETCONF


def test_nothing_saved_is_nothing_loaded(tmp_path: Path) -> None:
    assert record(tmp_path).load() is None
    assert record(tmp_path / "gone").load() is None
    (tmp_path / "file").write_text("")
    assert record(tmp_path / "file").load() is None


def test_every_interface_has_its_own(tmp_path: Path) -> None:
    record(tmp_path, "eth0").save(NETCONF)
    record(tmp_path, "eth1").save(OTHER)

    assert names(tmp_path) == ["web-1", "web-1:eth1"]
    assert record(tmp_path, "eth0").load() == NETCONF
    assert record(tmp_path, "eth1").load() == OTHER
    assert record(tmp_path, "eth2").load() is None


@pytest.mark.parametrize(("gone", "left"), [("eth0", ["web-1:eth1"]), ("eth1", ["web-1"])])
def test_one_goes_and_the_other_stays(tmp_path: Path, gone: str, left: list[str]) -> None:
    for ifname in ("eth0", "eth1"):
        record(tmp_path, ifname).save(NETCONF)

    for _ in range(2):
        going = record(tmp_path, gone)
        if going.load() is not None:
            going.remove()
        assert names(tmp_path) == left


def test_a_container_whose_name_looks_like_anothers_interface_is_another(tmp_path: Path) -> None:
    for container_id, ifname in (("web", "x"), ("web.eth0", "x"), ("web", "eth0")):
        record(tmp_path, ifname, container_id).save(NETCONF)

    assert names(tmp_path) == ["web", "web.eth0", "web:eth0"]


def test_interfaces_that_come_at_once_do_not_share(tmp_path: Path) -> None:
    gate = threading.Barrier(8)

    def save(index: int) -> None:
        gate.wait()
        record(tmp_path, f"eth{index}").save({"mtu": 1000 + index})

    threads = [threading.Thread(target=save, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(names(tmp_path)) == 8
    loaded = [record(tmp_path, f"eth{index}").load() for index in range(8)]
    assert loaded == [{"mtu": 1000 + index} for index in range(8)]


def test_what_flannels_own_plugin_saved_is_anybodys(tmp_path: Path) -> None:
    (tmp_path / "web-1").write_text(json.dumps(NETCONF))

    assert record(tmp_path, "eth7").load() == NETCONF


def test_saving_again_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    record(tmp_path, "eth0").save(NETCONF)
    record(tmp_path, "eth1").save(NETCONF)
    for ifname in ("eth0", "eth1"):
        record(tmp_path, ifname).save(OTHER)

    assert names(tmp_path) == ["web-1", "web-1:eth1"]
    assert [record(tmp_path, ifname).load() for ifname in ("eth0", "eth1")] == [OTHER, OTHER]


@pytest.mark.parametrize("ifname", ["eth0", "eth1"])
def test_what_was_there_can_be_restored(tmp_path: Path, ifname: str) -> None:
    record(tmp_path, "eth0").save(NETCONF)
    fresh = record(tmp_path, "eth1")
    fresh.save(NETCONF)
    fresh.restore()
    assert names(tmp_path) == ["web-1"]

    record(tmp_path, ifname).save(NETCONF)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    again = record(tmp_path, ifname)
    again.save(OTHER)
    again.restore()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_a_writer_that_was_killed_left_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / ".web-1:eth0.new").write_text("{")

    record(tmp_path).save(NETCONF)
    assert names(tmp_path) == ["web-1"]
    (tmp_path / ".web-1:eth0.new").write_text("{")
    loaded = record(tmp_path)
    loaded.load()
    loaded.remove()
    assert names(tmp_path) == []


@pytest.mark.parametrize("damaged", ["", "{", "[]", "\xff"])
def test_a_damaged_file_is_named(tmp_path: Path, damaged: str) -> None:
    (tmp_path / "web-1").write_text(damaged)

    code, message = refusal(record(tmp_path).load)
    assert (code, f"{tmp_path}/web-1" in message) == (5, True)


def test_a_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(CniError) as failure:
        record(tmp_path / "file" / "below").save(NETCONF)
    assert (failure.value.code, failure.value.details) == (5, "Not a directory")
    assert failure.value.msg == f"cannot save {tmp_path}/file/below/web-1"


def test_an_id_too_long_for_a_file_is_refused_and_then_has_nothing(tmp_path: Path) -> None:
    long = record(tmp_path, container_id="a" * 300)

    assert refusal(lambda: long.save(NETCONF))[0] == 5
    assert long.load() is None
    assert names(tmp_path) == []
