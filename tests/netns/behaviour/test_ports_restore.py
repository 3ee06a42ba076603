"""`ports restore`: after a flush everything on record comes back, and nothing else."""

import json

import pytest

from tests.netns.behaviour.site import (
    OWN,
    Imagined,
    Member,
    Site,
    entries,
    mapping,
    name_of,
    own_tables,
    owners,
)
from tests.netns.ports import Counted, Ports, flush, rules
from tests.support.traffic import connect_tcp, connect_udp

MANY = 50
NOTHING_TO_DO = "nothing to do\n"


def imagined(site: Site, count: int) -> list[Member]:
    """Attach containers to networks without links."""
    return attach(Imagined(site), range(count))


def attach(networks: Imagined, numbers: range) -> list[Member]:
    members = [networks.member(f"c{number}", mapping(9000 + number)) for number in numbers]
    for member in members:
        member.attach()
    return members


def test_after_a_flush_every_mapping_comes_back_and_nothing_else(site: Site) -> None:
    web = site.web(mapping(8080), mapping(8053, 53, "udp"), name="web", snat=True, localhost=True)
    imagined(site, MANY - 2)
    one = site.web(mapping(8081, host_ip=OWN[4]), name="one")
    before = sorted(rules(site))
    flush(site)
    assert connect_tcp(site.host.client, OWN[4], 8080) == "refused"
    ports = Ports(site.host)

    told = ports.succeed("restore")

    assert len(told.splitlines()) == MANY
    assert told.splitlines()[0] == "container web on network net-1 (eth0): restored"
    assert sorted(rules(site)) == before
    client = site.host.client
    assert name_of(connect_tcp(client, OWN[4], 8080)) == "web"
    assert name_of(connect_tcp(client, OWN[6], 8080)) == "web"
    assert name_of(connect_udp(client, OWN[4], 8053)) == "web"
    assert name_of(connect_tcp(client, OWN[4], 8081)) == "one"
    assert name_of(connect_tcp(site.host, "127.0.0.1", 8080)) == "web"
    there = rules(site)

    assert ports.succeed("restore") == NOTHING_TO_DO

    assert rules(site) == there
    for member in (web, one):
        member.detach()
    assert owners(site) == {f"c{number}" for number in range(MANY - 2)}


def test_running_it_twice_sends_the_kernel_nothing(tools_site: Site) -> None:
    site = tools_site
    imagined(site, 3)
    flush(site)
    Ports(site.host).succeed("restore")
    counted = Counted(site)

    assert counted.ports().succeed("restore") == NOTHING_TO_DO

    told = counted.told()
    assert told
    assert set(told) <= {"iptables-save", "ip6tables-save", "nft"}
    if not site.back_end.has_chains:
        # One listing for each family.
        assert told == ["nft", "nft"]


def test_what_it_costs_does_not_depend_on_how_many_there_are(tools_site: Site) -> None:
    site = tools_site
    counted = Counted(site)
    ports = counted.ports()
    networks = Imagined(site)
    attach(networks, range(1))
    flush(site)
    ports.succeed("restore")
    one = counted.told()
    attach(networks, range(1, MANY))
    flush(site)

    ports.succeed("restore")

    assert counted.told() == one
    assert len([name for name in one if name.endswith("restore")]) == (
        2 if site.back_end.has_chains else 0
    )
    assert entries(site) == MANY


def test_a_container_that_is_gone_is_not_brought_back(site: Site) -> None:
    deleted, gone, stays = imagined(site, 3)
    deleted.detach()
    gone.container.remove()
    flush(site)

    left = Ports(site.host).run("restore")

    assert left.status == 0
    assert left.stdout == "container c2 on network net-1 (eth0): restored\n"
    assert left.stderr == (
        "mesos-cni: container c1 on network net-1 (eth0): not restored, "
        "its network namespace /run/netns/c1 is gone\n"
    )
    assert owners(site) == {stays.container.name}


def test_a_container_whose_del_failed_at_the_delegate_is_not_brought_back(site: Site) -> None:
    member = site.web(mapping(8080))
    # Its bridge cannot be taken down by a plugin that is not there.
    answer = member.run("DEL", delegate={"type": "missing"})
    assert answer.status == 1
    assert owners(site) == set()

    assert Ports(site.host).succeed("restore") == NOTHING_TO_DO

    assert owners(site) == set()
    member.detach()


def test_the_newest_of_those_who_share_a_port_stands_first_again(chains_site: Site) -> None:
    networks = Imagined(chains_site)
    for name in ("old", "new"):
        networks.member(name, mapping(8080), onConflict="ignore").attach()
    before = rules(chains_site)
    ports = Ports(chains_site.host)
    flush(chains_site)

    ports.succeed("restore")

    assert rules(chains_site) == before
    assert ports.succeed("restore") == NOTHING_TO_DO
    # And when the older one's rule alone is lost.
    lost = [line for line in rules(chains_site) if "container_id: old" in line and "DNAT" in line]
    chains_site.host.run(["iptables-restore", "--noflush"], delete(lost[0]))

    assert ports.succeed("restore") == "container old on network net-1 (eth0): restored\n"

    assert rules(chains_site) == before


def test_one_address_is_looked_at_before_all_again(site: Site) -> None:
    networks = Imagined(site)
    one = site.web(mapping(8080, host_ip=OWN[4]), name="one")
    networks.member("all", mapping(8080)).attach()
    flush(site)

    Ports(site.host).succeed("restore")

    assert name_of(connect_tcp(site.host.client, OWN[4], 8080)) == "one"
    one.detach()


def test_loopback_is_let_out_again_behind_its_guard(site: Site) -> None:
    web = site.web(mapping(8080), localhost=True)
    before = sorted(rules(site))
    flush(site)
    site.host.run(["sysctl", "-w", "net.ipv4.conf.br1.route_localnet=0"])
    ports = Ports(site.host)

    assert ports.succeed("restore") == "container web on network net-1 (eth0): restored\n"

    assert name_of(connect_tcp(site.host, "127.0.0.1", 8080)) == "web"
    # Nothing is missing but the way out.
    site.host.run(["sysctl", "-w", "net.ipv4.conf.br1.route_localnet=0"])
    assert ports.succeed("restore") == "container web on network net-1 (eth0): restored\n"
    assert name_of(connect_tcp(site.host, "127.0.0.1", 8080)) == "web"
    assert ports.succeed("restore") == NOTHING_TO_DO
    assert sorted(rules(site)) == before
    web.detach()


def test_without_anything_on_record_there_is_nothing_to_do(site: Site) -> None:
    ports = Ports(site.host)

    assert ports.succeed("restore") == NOTHING_TO_DO
    assert json.loads(ports.succeed("restore", "--json")) == {
        "restored": [],
        "stale": [],
        "problems": [],
    }
    assert own_tables(site) == []


@pytest.mark.parametrize("family", [4, 6])
def test_damage_is_mended_and_the_rest_left_alone(site: Site, family: int) -> None:
    imagined(site, 3)
    before = sorted(rules(site))
    if site.back_end.has_chains:
        program = {4: "iptables-restore", 6: "ip6tables-restore"}[family]
        listed = site.host.ruleset(ipv6=family == 6)
        lost = [line for line in listed if "container_id: c1 " in line and "DNAT" in line]
        site.host.run([program, "--noflush"], delete(lost[0]))
    else:
        word = {4: "ip", 6: "ip6"}[family]
        element = ["mesos-cni-port-mapper", "any", "{ tcp . 9001 }"]
        site.host.run(["nft", "delete", "element", word, *element])

    told = Ports(site.host).succeed("restore")

    assert told == "container c1 on network net-1 (eth0): restored\n"
    assert sorted(rules(site)) == before


def delete(rule: str) -> bytes:
    """Return a batch that deletes a rule."""
    return f"*nat\n-D {rule.removeprefix('-A ')}\nCOMMIT\n".encode()
