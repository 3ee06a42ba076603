"""The files of host-local: what they look like, and what is never left behind."""

import os
from pathlib import Path
from typing import Any

import pytest

from delegates.host_local import HostLocal
from tests.unit.delegates.host_local_network import BOTH, V4, WEB, Network
from tests.unit.delegates.ipam_requests import refusal, request


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return Network(tmp_path, BOTH)


def test_files_are_those_of_the_reference_plugin(network: Network) -> None:
    before = os.umask(0o022)
    network.add()
    os.umask(before)

    assert network.files == {
        "192.0.2.2": WEB,
        "fd00::2": WEB,
        "last_reserved_ip.0": "192.0.2.2",
        "last_reserved_ip.1": "fd00::2",
    }
    modes = {path.name: path.stat().st_mode & 0o777 for path in network.directory.iterdir()}
    assert modes.pop("lock") == 0o750
    assert set(modes.values()) == {0o644}
    assert network.directory.stat().st_mode & 0o777 == 0o755
    assert {path.stat().st_nlink for path in network.directory.iterdir()} == {1}


def test_directories_are_made_as_far_as_they_are_missing(tmp_path: Path) -> None:
    assert Network(tmp_path / "a" / "b", BOTH).add() == ["192.0.2.2/29", "fd00::2/126"]


def test_each_version_is_answered_in_its_shape(network: Network) -> None:
    old = HostLocal().add(request(network.ipam, version="0.2.0"))
    new = HostLocal().add(request(network.ipam, version="1.1.0", ifname="eth1"))

    assert old["ip4"] == {"ip": "192.0.2.2/29", "gateway": "192.0.2.1"}
    assert old["ip6"] == {"ip": "fd00::2/126", "gateway": "fd00::1"}
    assert new == {
        "cniVersion": "1.1.0",
        "ips": [
            {"address": "192.0.2.3/29", "gateway": "192.0.2.1"},
            {"address": "fd00::3/126", "gateway": "fd00::1"},
        ],
        "dns": {},
    }


def test_name_servers_come_from_a_file(tmp_path: Path) -> None:
    conf = tmp_path / "resolv"
    conf.write_text("nameserver 192.0.2.53\n")
    network = Network(tmp_path, {**V4, "resolvConf": str(conf)})

    answer = HostLocal().add(request(network.ipam))

    assert answer["dns"] == {"nameservers": ["192.0.2.53"]}


@pytest.mark.parametrize("name", ["missing", ""])
def test_without_the_file_of_name_servers_no_address_is_given(tmp_path: Path, name: str) -> None:
    network = Network(tmp_path, {**V4, "resolvConf": f"{tmp_path}/{name}"})

    code, message = refusal(network.add)

    assert (code, message) == (5, f"ipam.resolvConf: cannot read {tmp_path}/{name}")
    assert not network.directory.exists()


def test_del_gives_back_the_attachments_addresses_and_no_others(network: Network) -> None:
    network.add()
    network.add("web-10")
    network.put("192.0.2.6", "web-1\r\neth1")

    network.delete()
    network.delete()

    assert network.leases == {
        "192.0.2.3": "web-10\r\neth0",
        "fd00::3": "web-10\r\neth0",
        "192.0.2.6": "web-1\r\neth1",
    }


@pytest.mark.parametrize(
    "changed",
    [{"subnet": "10.9.0.0/24"}, {"subnet": "junk"}, {}, {"ranges": [[V4], [V4]]}],
)
def test_del_gives_back_whatever_the_ranges_are_now(
    network: Network, changed: dict[str, Any]
) -> None:
    network.add()

    Network(network.directory.parent, changed).delete(cni_args="junk")

    assert network.leases == {}


def test_del_of_a_network_that_never_was_leaves_no_directory(tmp_path: Path) -> None:
    Network(tmp_path, BOTH).delete()

    assert list(tmp_path.iterdir()) == []


def test_del_gives_back_a_bare_id_if_there_is_nothing_else(network: Network) -> None:
    network.put("192.0.2.5", "web-1")
    network.put("192.0.2.4", WEB)

    network.delete()
    assert network.leases == {"192.0.2.5": "web-1"}
    network.delete()
    assert network.leases == {}


def test_words_may_have_blanks_around_them(network: Network) -> None:
    network.put("192.0.2.5", f" {WEB}\n")

    network.check()
    network.delete()

    assert network.leases == {}


def test_files_that_no_address_names_are_nobodys_business(network: Network) -> None:
    network.put("note", WEB)
    network.put(".192.0.2.3", WEB)
    before = network.files

    network.delete()

    assert network.files == before
    assert refusal(network.check)[0] == 999


def test_check_wants_an_address_of_the_attachment(network: Network) -> None:
    assert refusal(network.check) == (
        999,
        f"no address in {network.directory} is held by container web-1 (eth0)",
    )
    network.add()

    network.check()

    assert refusal(lambda: network.check(ifname="eth1"))[0] == 999
    assert refusal(lambda: Network(network.directory.parent, {}).check())[0] == 7


def test_when_the_second_set_is_exhausted_nothing_of_the_first_is_taken(network: Network) -> None:
    network.put("fd00::2", "a\r\neth0")
    network.put("fd00::3", "b\r\neth0")
    before = network.files

    assert refusal(network.add) == (999, "no address is free in fd00::1-fd00::3")

    assert network.files == before


@pytest.mark.parametrize("words", ["", "\n", "\0\0\0\0"])
def test_what_a_dead_writer_left_is_free(tmp_path: Path, words: str) -> None:
    network = Network(tmp_path, {"subnet": "192.0.2.0/30"})
    network.put("192.0.2.2", words)
    network.put(".lease.new", WEB)

    assert network.add() == ["192.0.2.2/30"]
    assert network.leases == {"192.0.2.2": WEB}


def test_del_sweeps_what_a_dead_writer_left(network: Network) -> None:
    for name, words in (("192.0.2.2", ""), ("192.0.2.3", "ops"), (".lease.new", WEB)):
        network.put(name, words)

    network.delete()

    assert network.leases == {"192.0.2.3": "ops"}


@pytest.mark.parametrize("kind", ["directory", "link", "socket"])
def test_what_is_no_file_keeps_its_address(tmp_path: Path, kind: str) -> None:
    network = Network(tmp_path, {"subnet": "192.0.2.0/29"})
    path = network.directory / "192.0.2.2"
    network.directory.mkdir()
    if kind == "directory":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("nowhere")
    else:
        make_socket(path)

    assert network.add() == ["192.0.2.3/29"]
    network.delete()
    assert os.path.lexists(path)


def make_socket(path: Path) -> None:
    os.mknod(path, 0o140644)


def test_a_corrupt_note_of_the_last_address_is_no_hindrance(network: Network) -> None:
    network.put("last_reserved_ip.0", "\ufffdjunk")

    assert network.add() == ["192.0.2.2/29", "fd00::2/126"]
