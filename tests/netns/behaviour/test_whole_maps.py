"""All of a table of maps or nothing: what nft refuses, and what CHECK misses in sets and chains."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from mesos_cni_port_mapper.portmap.nft_listing import NftListing, parse_nft_listing
from mesos_cni_port_mapper.portmap.nft_table import table_of
from tests.netns.behaviour.site import (
    FAMILIES,
    LOOPBACK,
    NOTHING,
    OWN,
    Member,
    Site,
    everything,
    mapping,
    name_of,
)
from tests.netns.behaviour.test_whole import PORTS, add
from tests.netns.networks import shim
from tests.support.traffic import connect_tcp

RUN = tuple(mapping(port, port, "udp") for port in (7000, 7001, 7002))

# It lists, and it refuses whatever changes anything.
_REFUSING = """\
#!/bin/sh
case " $* " in *" -f "*) cat >/dev/null; echo "nft was told to refuse" >&2; exit 1 ;; esac
exec /usr/sbin/nft "$@"
"""


def refusing(site: Site) -> str:
    """Return a PATH on which nft accepts no batch."""
    return shim(site.host, "nft", _REFUSING)


def test_what_nft_refuses_leaves_nothing(maps_site: Site) -> None:
    site = maps_site
    member = site.member(site.server("web"), *PORTS, *RUN, snat=True, localhost=True)

    answer = add(member, refusing(site))

    assert (answer.status, answer.code) == (1, 103), answer.document
    assert "was told to refuse" in answer.document["details"]
    assert everything(site) == NOTHING
    setting = site.host.run(["cat", "/proc/sys/net/ipv4/conf/br1/route_localnet"])
    assert setting.text.strip() == "0"
    leases = [name for name in site.host.files("/var/lib/cni") if name.endswith((".2", "::2"))]
    assert leases == []


@pytest.mark.parametrize("policy", ["takeover", "fail", "ignore", "strict"])
def test_ports_about_to_be_taken_stay_when_nft_refuses(maps_site: Site, policy: str) -> None:
    site = maps_site
    options: dict[str, Any] = {"snat": True, "localhost": True, "onConflict": policy}
    old = site.member(site.server("old"), *PORTS, *RUN, **options)
    old.attach()
    before = everything(site)
    new = site.member(site.server("new"), *PORTS, mapping(7001, 7001, "udp"), **options)

    answer = add(new, refusing(site))

    assert answer.code == (103 if policy in ("takeover", "ignore") else 105), answer.document
    assert everything(site) == before
    for family in FAMILIES:
        assert name_of(connect_tcp(site.host.client, OWN[family], 8080)) == "old"
    assert name_of(connect_tcp(site.host, LOOPBACK[4], 9000)) == "old"

    old.detach()

    assert everything(site) == NOTHING


def test_a_condition_that_nft_does_not_know_is_said_and_undone(maps_site: Site) -> None:
    site = maps_site
    member = site.member(site.server("web"), *PORTS, conditionsV4=["ip", "nonsense", "}"])

    answer = member.run("ADD")

    assert answer.code == 103, answer.document
    assert "syntax error" in answer.document["details"]
    assert everything(site) == NOTHING


class Damage:
    """An attachment, and one thing after the other that is missing or changed."""

    def __init__(self, site: Site, devices: list[str]) -> None:
        self.host = site.host
        self.member: Member = site.member(
            site.server("web"), *PORTS, *RUN, snat=True, localhost=True, excludeDevices=devices
        )
        self.result = self.member.attach().document
        self.tables = {family: table_of(family) for family in FAMILIES}
        self.saved = {
            family: self.host.run(["nft", "list", "table", *table.split(" ")]).text
            for family, table in self.tables.items()
        }

    def listing(self, family: int) -> NftListing:
        words = self.tables[family].split(" ")
        return parse_nft_listing(self.host.run(["nft", "-j", "list", "table", *words]).stdout)

    def nft(self, *lines: str) -> None:
        self.host.run(["nft", "-f", "-"], "\n".join([*lines, ""]).encode())

    def details(self) -> list[str]:
        """Return what CHECK complains about, line by line."""
        answer = self.member.run("CHECK", prevResult=self.result)
        assert answer.status == 0 or answer.code == 103, answer.document
        return [] if answer.status == 0 else answer.document["details"].splitlines()

    def restored(self, family: int) -> list[str]:
        """Return commands that make a table as it was."""
        return [f"delete table {self.tables[family]}", self.saved[family]]

    def cases(self, family: int) -> Iterator[tuple[str, str]]:
        """Return each damage as commands, and what CHECK should say of it."""
        table, listing = self.tables[family], self.listing(family)
        for container, held in listing.containers.items():
            for key, present in held.items():
                quoted = key
                if "-excluded" in container:
                    device, _, port = key.partition(" . ")
                    quoted = f'"{device}" . {port}'
                delete = f"delete element {table} {container} {{ {quoted} }}"
                yield delete, f"missing: {container} {key}"
                other = _other_value(present.value)
                if other:
                    place = f"{table} {container}"
                    yield f"{delete}\nadd element {place} {{ {key} : {other} }}", "changed: "
        for name, (_, rules) in listing.chains.items():
            if rules:
                yield f"flush chain {table} {name}", f"changed: chain {name}: "
                yield f"add rule {table} {name} accept", f"changed: chain {name}: "


def _other_value(value: str) -> str:
    """Return another value of the same kind, "" for none."""
    if not value or value.startswith("jump"):
        return ""
    address, dot, port = value.partition(" . ")
    return f"{'192.0.2.99' if '.' in address else '2001:db8::99'}{dot}{port}"


@pytest.mark.parametrize("devices", [["lo2"], ["lo2", "br9+"]], ids=["elements", "rules"])
def test_check_misses_every_element_and_every_chain(maps_site: Site, devices: list[str]) -> None:
    damage = Damage(maps_site, devices)
    assert damage.details() == []
    told = 0

    for family in FAMILIES:
        for commands, said in damage.cases(family):
            damage.nft(*damage.restored(family), commands)
            details = damage.details()
            assert len(details) == 1, (commands, details)
            assert details[0].startswith(f"{damage.tables[family]}: {said}"), (commands, details)
            told += 1
        damage.nft(*damage.restored(family))

    assert told > 40
    assert damage.details() == []
    damage.member.detach()
    assert everything(maps_site) == NOTHING


def test_check_misses_a_table_and_del_does_not(maps_site: Site) -> None:
    damage = Damage(maps_site, [])
    for table in damage.tables.values():
        damage.nft(f"delete table {table}")

    assert damage.details() == [f"missing: table {table}" for table in damage.tables.values()]

    damage.member.detach()
    assert everything(maps_site) == NOTHING


def test_a_guard_is_made_again_after_somebody_removed_the_tables(maps_site: Site) -> None:
    site = maps_site
    # All addresses are hidden for each, so that loopback is what the third needs besides.
    site.web(*PORTS, name="first", localhost=True, masqAll=True)
    site.host.run(["nft", "flush", "ruleset"])
    site.web(mapping(8085), name="second", masqAll=True)

    third = site.member(site.server("third"), mapping(8086), localhost=True, masqAll=True)
    result = third.attach().document

    assert third.run("CHECK", prevResult=result).status == 0
    listed = json.loads(site.host.run(["nft", "-j", "list", "chains", "ip"]).stdout)
    names = [item["chain"]["name"] for item in listed["nftables"] if "chain" in item]
    assert "guard" in names
