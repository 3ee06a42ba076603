"""Whose state is it: hosts that share a directory for it, and those of an earlier boot."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.netns.behaviour.site import (
    NOTHING,
    STATE,
    Imagined,
    Member,
    Site,
    everything,
    mapping,
    owners,
    settle,
)
from tests.support.host import Host
from tests.support.plugin import Plugin

EVERY_TABLE = {"localhost": True, "snat": True}
TABLES = ("raw", "nat")


@pytest.fixture
def other_site(site: Site, frozen: Path) -> Iterator[Site]:
    """Stand in for another host beside the first, a container host in a container say."""
    with Host(site.back_end.variant) as host:
        settle(host)
        yield Site(host, Plugin(host, str(frozen)), site.back_end)


def kept_in(directory: Path) -> dict[str, list[str]]:
    """Return what is on record for each host, without its lock."""
    return {
        host.name: sorted(
            str(path.relative_to(host))
            for path in host.rglob("*")
            if path.is_file() and path.name != "lock"
        )
        for host in directory.iterdir()
    }


def test_hosts_that_share_a_state_directory_know_nothing_of_each_other(
    site: Site, other_site: Site, tmp_path: Path
) -> None:
    # The same container, network and ports; nobody takes anything over.
    options = {"stateDir": str(tmp_path), "onConflict": "fail"}
    one, other = (
        Imagined(each).member("web", mapping(8080), **options) for each in (site, other_site)
    )
    assert one.attach().stderr == ""
    result = other.attach()
    assert result.stderr == ""
    rules, records = other_site.host.ruleset(), kept_in(tmp_path)
    assert len(records) == 2
    assert len({tuple(files) for files in records.values()}) == 1

    one.detach()

    assert everything(site) == NOTHING
    assert other_site.host.ruleset() == rules
    assert other.run("CHECK", prevResult=result.document).status == 0
    (gone,) = [host for host, files in kept_in(tmp_path).items() if not files]
    assert kept_in(tmp_path) == {**records, gone: []}

    other.detach()

    assert everything(other_site) == NOTHING
    assert list(kept_in(tmp_path).values()) == [[], []]


def test_a_host_that_got_the_inode_of_one_that_is_gone_has_all_its_ports(
    site: Site, other_site: Site, tmp_path: Path
) -> None:
    options = {"stateDir": str(tmp_path), "onConflict": "fail"}
    # The addresses differ: nobody is told apart by those.
    gone, new = (
        Imagined(each, first).member(name, mapping(8080), **options)
        for each, first, name in ((site, 2, "gone"), (other_site, 9, "new"))
    )
    gone.attach()
    (left,) = tmp_path.iterdir()
    inode = other_site.host.run(["stat", "-Lc", "%i", "/proc/self/ns/net"]).text.strip()
    left.rename(tmp_path / inode)

    answer = new.attach()

    assert "takes tcp 8080 over from container gone on network net-1 (eth0), which is gone" in (
        answer.stderr
    )
    assert new.run("CHECK", prevResult=answer.document).status == 0

    new.detach()

    assert everything(other_site) == NOTHING


def reboot(site: Site) -> None:
    """Leave a host as after a boot that kept the state directory, and made the inode again."""
    for family in ("", "6"):
        for table in TABLES:
            site.host.run([f"ip{family}tables", "-t", table, "-F"])
            site.host.run([f"ip{family}tables", "-t", table, "-X"])
    site.host.run(["sysctl", "-q", "-w", "net.ipv4.conf.eth0.route_localnet=0"])
    for path in site.host.path(STATE).glob("*/attachments/*"):
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "bootID": "of-an-earlier-boot"}))


@pytest.fixture
def imagined(site: Site) -> Imagined:
    """Return networks whose containers the host has a way to."""
    site.host.run(["ip", "route", "add", "10.77.0.0/24", "dev", "eth0"])
    return Imagined(site)


@pytest.fixture
def old(site: Site, imagined: Imagined) -> Member:
    """Return a container that had ports before the host was booted again."""
    member = imagined.member("old", mapping(8080), mapping(53, 53, "udp"), **EVERY_TABLE)
    member.attach()
    reboot(site)
    return member


def test_what_an_earlier_boot_left_on_record_holds_no_port(
    site: Site, imagined: Imagined, old: Member
) -> None:
    new = imagined.member(
        "new", mapping(8080), mapping(53, 53, "udp"), onConflict="fail", **EVERY_TABLE
    )

    answer = new.attach()

    assert answer.stderr == (
        "mesos-cni-port-mapper: container new on network net-1 (eth0) takes tcp 8080, udp 53 over "
        "from container old on network net-1 (eth0), which is gone\n"
    )
    assert new.run("CHECK", prevResult=answer.document).status == 0
    assert owners(site) == {"new"}

    old.detach()
    assert new.run("CHECK", prevResult=answer.document).status == 0

    new.detach()
    assert everything(site) == NOTHING


def test_a_container_of_an_earlier_boot_comes_again(site: Site, old: Member) -> None:
    answer = old.attach()

    assert answer.stderr == ""
    assert old.run("CHECK", prevResult=answer.document).status == 0

    old.detach()
    assert everything(site) == NOTHING


def test_a_container_of_an_earlier_boot_can_be_deleted(site: Site, old: Member) -> None:
    old.detach()

    assert everything(site) == NOTHING
