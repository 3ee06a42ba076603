"""`ports ls` and `ports check`: what is forwarded, and in what the kernel differs."""

import os

import pytest

from tests.netns.behaviour.site import (
    OWN,
    STATE,
    Imagined,
    Site,
    everything,
    mapping,
    name_of,
    serve_at,
)
from tests.netns.ports import Ports, flush
from tests.support.host import SEARCH_PATH
from tests.support.traffic import connect_tcp

TITLES = "CONTAINER NETWORK INTERFACE HOST-ADDRESS PORT PROTOCOL TARGET BACKEND PACKETS BYTES STATE"


def test_a_row_says_everything_about_a_mapping(site: Site) -> None:
    site.web(mapping(8080), mapping(8053, 53, "udp", OWN[4]), name="web")
    for family in (4, 6):
        assert name_of(connect_tcp(site.host.client, OWN[family], 8080)) == "web"
    backend = site.back_end.keys.get("backend", "iptables")

    rows = [line.split() for line in Ports(site.host).succeed("ls").splitlines()]

    assert " ".join(rows[0]) == TITLES
    counted = [row.pop(9) for row in rows[1:]]
    assert [" ".join(row) for row in rows[1:]] == [
        f"web net-1 eth0 192.0.2.1 8053 udp 10.1.0.2:53 {backend} 0 live",
        f"web net-1 eth0 0.0.0.0 8080 tcp 10.1.0.2:80 {backend} 1 live",
        f"web net-1 eth0 :: 8080 tcp [fd00:1::2]:80 {backend} 1 live",
    ]
    assert [int(each) > 0 for each in counted] == [False, True, True]


def test_a_run_of_ports_is_one_row_and_loopback_counts_too(site: Site) -> None:
    ports = [mapping(port, port) for port in range(7000, 7010)]
    site.web(*ports, mapping(8080), name="web", localhost=True)
    for address in (OWN[4], "127.0.0.1"):
        assert name_of(connect_tcp(site.host, address, 8080)) == "web"

    rows = Ports(site.host).json("ls")

    assert [(row["first_port"], row["last_port"], row["family"]) for row in rows] == [
        (7000, 7009, 4),
        (7000, 7009, 6),
        (8080, 8080, 4),
        (8080, 8080, 6),
    ]
    assert rows[2] == {
        "container_id": "web",
        "network": "net-1",
        "interface": "eth0",
        "family": 4,
        "host_address": "0.0.0.0",
        "first_port": 8080,
        "last_port": 8080,
        "protocol": "tcp",
        "target_address": "10.1.0.2",
        "target_port": 80,
        "backend": site.back_end.keys.get("backend", "iptables"),
        "packets": 2,
        "bytes": rows[2]["bytes"],
        "state": "live",
        "reason": "",
    }


def test_a_container_that_is_gone_is_stale_and_one_without_rules_not_counted(site: Site) -> None:
    networks = Imagined(site)
    members = [networks.member(f"c{number}", mapping(9000 + number)) for number in range(2)]
    for member in members:
        member.attach()
    members[0].container.remove()
    flush(site)
    before = site.host.nftables()

    rows = Ports(site.host).json("ls")

    assert [(row["container_id"], row["state"]) for row in rows if row["family"] == 4] == [
        ("c0", "stale"),
        ("c1", "live"),
    ]
    assert rows[0]["reason"] == "its network namespace /run/netns/c0 is gone"
    assert {row["packets"] for row in rows} == {None}
    # To look at a table that is not there may make it.
    assert site.host.nftables() == before


def test_what_cannot_be_counted_is_listed_and_told(maps_site: Site) -> None:
    Imagined(maps_site).member("web", mapping(8080)).attach()
    directory = maps_site.host.path("/run/refusing")
    directory.mkdir()
    (directory / "nft").write_text("#!/bin/sh\necho out of order >&2\nexit 3\n")
    (directory / "nft").chmod(0o755)

    left = Ports(maps_site.host, f"/run/refusing:{SEARCH_PATH}").run("ls")

    assert left.status == 1
    assert len(left.stdout.splitlines()) == 3
    assert "out of order" in left.stderr


def test_nothing_is_listed_where_nothing_is(site: Site) -> None:
    ports = Ports(site.host)

    assert ports.json("ls") == []
    assert ports.succeed("ls").split() == TITLES.split()
    assert ports.succeed("check") == "0 checked, all as on record\n"


def test_check_names_what_differs_and_whose_it_is(site: Site) -> None:
    networks = Imagined(site)
    members = [networks.member(f"c{number}", mapping(9000 + number)) for number in range(3)]
    for member in members:
        member.attach()
    members[2].container.remove()
    ports = Ports(site.host)
    assert ports.succeed("check") == "2 checked, all as on record\n"
    flush(site)
    before = everything(site)

    left = ports.run("check")

    assert (left.status, left.stderr) == (1, "")
    assert "container c0 on network net-1 (eth0): missing: " in left.stdout
    assert "container c1 on network net-1 (eth0): missing: " in left.stdout
    assert "c2" not in left.stdout
    document = ports.run("check", "--json")
    assert document.status == 1
    assert '"differences": [' in document.stdout
    assert everything(site) == before

    ports.run("restore")

    assert ports.succeed("check") == "2 checked, all as on record\n"


def test_check_expects_a_port_with_the_newest_of_its_owners(maps_site: Site) -> None:
    site = maps_site
    networks = Imagined(site)
    networks.member("old", mapping(9000)).attach()
    (record,) = site.host.path(STATE).glob("*/attachments/*")
    before = record.read_bytes()
    networks.member("new", mapping(9000), onConflict="takeover").attach()
    # As a takeover leaves it that was killed before the record of the loser was written.
    record.write_bytes(before)
    os.utime(record, (1, 1))

    assert Ports(site.host).succeed("check") == "2 checked, all as on record\n"


@pytest.mark.parametrize("port", [8080])
def test_check_tells_who_listens_in_vain(site: Site, port: int) -> None:
    Imagined(site).member("web", mapping(port)).attach()
    serve_at(site.host, OWN[4], port)

    left = Ports(site.host).run("check")

    assert left.status == 0
    assert f"tcp {port} of {OWN[4]} is also listened on by pid " in left.stderr
