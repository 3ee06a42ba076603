"""host-local as a program, and in turn with Debian's on the same files."""

from pathlib import Path

import pytest

from mesos_cni_port_mapper.linux.lock import is_held
from tests.netns.injection import Held, assert_failed
from tests.netns.leases import DATA, DIRECTORY, Leases, given
from tests.support.gate import need
from tests.support.host import Host
from tests.support.plugin import PLUGIN_DIRECTORY, Plugin
from tests.support.waiting import eventually

BOTH_FAMILIES = [[{"subnet": "10.1.2.0/29"}], [{"subnet": "fd00:1::/125"}]]


@pytest.fixture
def leases(host: Host, delegates_dir: Path) -> Leases:
    return Leases(host, Plugin(host, str(delegates_dir / "host-local")))


@pytest.fixture
def debian(leases: Leases) -> Leases:
    need(f"{PLUGIN_DIRECTORY}/host-local")
    return leases.debian()


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
def test_the_program_speaks_every_version(leases: Leases, version: str) -> None:
    netconf = {"cniVersion": version}

    added = leases.run("ADD", netconf=netconf)
    checked = leases.run("CHECK", netconf=netconf)
    leases.delete(netconf=netconf)

    assert (added.status, added.document["cniVersion"]) == (0, version)
    assert (checked.code == 1) == (version < "0.4.0")
    assert leases.taken == {}


def test_the_program_says_which_versions_it_speaks(leases: Leases) -> None:
    assert "1.1.0" in leases.plugin.version().document["supportedVersions"]


def test_an_address_given_back_is_the_last_to_be_given_again(
    leases: Leases, debian: Leases
) -> None:
    addresses = []

    for user in (leases, debian, debian, leases, debian, leases):
        addresses += user.add()
        leases.delete()

    assert addresses == [f"10.1.2.{number}" for number in range(2, 8)]


@pytest.mark.parametrize("requested", [None, "IP=fd00:1::5"])
def test_files_are_the_same_whoever_writes_them(
    leases: Leases, debian: Leases, requested: str | None
) -> None:
    written = []
    for user in (leases, debian):
        user.of(ranges=BOTH_FAMILIES).add(CNI_ARGS=requested)
        written.append(user.files)
        leases.host.run(["rm", "-r", DATA])

    assert written[0] == written[1]


def test_each_frees_what_the_other_gave(leases: Leases, debian: Leases) -> None:
    for giver, taker in ((leases, debian), (debian, leases)):
        giver.of(ranges=BOTH_FAMILIES).add("web-1")
        giver.add("web-10")

        taker.of(ranges=BOTH_FAMILIES).delete("web-1")

        assert list(taker.taken.values()) == ["web-10\r\neth0"]
        taker.delete("web-10")


def test_each_knows_what_the_other_gave(leases: Leases, debian: Leases) -> None:
    for giver, checker in ((leases, debian), (debian, leases)):
        (address,) = giver.add()

        assert checker.run("CHECK").status == 0
        assert checker.run("CHECK", "web-2").code == 999
        assert checker.run("ADD").code == 999
        assert checker.run("ADD", "web-2", CNI_ARGS=f"IP={address}").code == 999
        giver.delete()


def test_what_a_dead_writer_of_ours_left_is_no_address_to_debians(
    leases: Leases, debian: Leases
) -> None:
    need("strace")
    leases.add("web-9")
    kill = ("-e", "trace=?link,linkat", "-e", "inject=?link,linkat:signal=KILL:when=1")
    assert leases.through("strace", "-o", "/dev/null", *kill).run("ADD").status == -9
    assert b"web-1\r\neth0" in [words for _, words in leases.files.values()]

    assert debian.add("web-1") == ["10.1.2.3"]
    debian.delete("web-1")

    assert leases.taken == {"10.1.2.2": "web-9\r\neth0"}


def read_only(host: Host) -> None:
    host.run(["mount", "--bind", DATA, DATA])
    host.run(["mount", "-o", "remount,bind,ro", DATA])


def test_in_a_read_only_directory_nothing_is_given_or_freed(host: Host, leases: Leases) -> None:
    leases.add()
    before = leases.files
    read_only(host)

    for command, container_id in (("ADD", "web-2"), ("DEL", "web-1")):
        assert_failed(leases.run(command, container_id), 5, "Read-only file system")
    assert leases.run("CHECK").status == 0
    assert leases.files == before


def test_below_a_read_only_directory_no_network_is_made(host: Host, leases: Leases) -> None:
    host.path(DATA).mkdir()
    read_only(host)

    assert_failed(leases.run("ADD"), 5, f"{DIRECTORY}: Read-only file system")
    leases.delete()


@pytest.mark.parametrize("inodes", [3, 4, 5])
def test_on_a_full_disk_nothing_is_given(host: Host, leases: Leases, inodes: int) -> None:
    """Its root, the network's directory and the lock need an inode each, and the first lease."""
    host.path(DATA).mkdir()
    host.run(["mount", "-t", "tmpfs", "-o", f"nr_inodes={inodes}", "none", DATA])
    network = leases.of(ranges=BOTH_FAMILIES)

    assert_failed(network.run("ADD"), 5, "No space left on device")
    assert leases.taken == {}

    host.run(["mount", "-o", "remount,nr_inodes=0", DATA])
    assert network.add() == ["10.1.2.2", "fd00:1::2"]


@pytest.mark.parametrize("command", ["ADD", "DEL"])
def test_a_lock_held_too_long_is_code_11_with_its_holder(
    host: Host, leases: Leases, command: str
) -> None:
    leases.add("other")
    before = leases.files
    impatient = leases.of(**leases.ipam, timeouts={"lock": 0.2})

    with Held(host, f"{DIRECTORY}/lock") as holder:
        answer = impatient.run(command)

    assert_failed(answer, 11, f"pid {holder} ")
    assert leases.files == before


def test_debians_is_waited_for_while_it_has_the_lock(leases: Leases, debian: Leases) -> None:
    need("strace")
    leases.add("first")
    pause = ("-e", "trace=flock", "-e", "inject=flock:delay_exit=1000000:when=1")
    slow = debian.through("strace", "-f", "-o", "/dev/null", *pause)
    call = slow.start("ADD", "theirs")
    assert eventually(lambda: is_held(f"{leases.path}/lock"), True)

    assert leases.add("ours") == ["10.1.2.4"]
    assert given(call.wait()) == ["10.1.2.3"]


@pytest.mark.parametrize("words", [b"\0\1\2\xff", b"reserved by hand"])
def test_a_corrupt_file_keeps_its_address_and_is_named_when_that_is_missed(
    leases: Leases, words: bytes
) -> None:
    network = leases.of(subnet="10.1.2.0/29", rangeStart="10.1.2.5")
    network.add()
    (leases.path / "10.1.2.6").write_bytes(words)

    full = network.run("ADD", "web-2")
    asked = network.run("ADD", "web-2", CNI_ARGS="IP=10.1.2.6")

    assert_failed(full, 999, "the file 10.1.2.6 names no container")
    assert_failed(asked, 999, "the file 10.1.2.6 names no container")
    assert "no address is free in 10.1.2.5-10.1.2.6" in full.document["msg"]
    network.delete()
    assert (leases.path / "10.1.2.6").read_bytes() == words


def test_an_exhausted_second_set_takes_nothing_of_the_first(leases: Leases) -> None:
    network = leases.of(ranges=[[{"subnet": "10.1.2.0/24"}], [{"subnet": "10.1.3.0/30"}]])
    network.add("other")
    before = leases.files

    assert_failed(network.run("ADD"), 999, "no address is free in 10.1.3.1-10.1.3.2")

    assert leases.files == before


def test_no_namespace_is_needed_to_give_addresses_back(leases: Leases) -> None:
    leases.add()

    leases.delete(CNI_NETNS=None)

    assert leases.taken == {}
