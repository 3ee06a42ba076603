"""`ports repair`: the kernel holds what is on record, and on record is who is there."""

import json

import pytest

from tests.netns.behaviour.site import (
    NOTHING,
    OWN,
    STATE,
    Imagined,
    Member,
    Site,
    entries,
    everything,
    mapping,
    name_of,
    owners,
)
from tests.netns.ports import Counted, Ports, flush, rules
from tests.support.traffic import connect_tcp

WAY_OUT = "/proc/sys/net/ipv4/conf/br1/route_localnet"


def three(site: Site) -> list[Member]:
    networks = Imagined(site)
    members = [networks.member(f"c{number}", mapping(9000 + number)) for number in range(3)]
    for member in members:
        member.attach()
    return members


def lose(site: Site, member: Member) -> None:
    """Take an attachment's record away, as if the directory had been cleared of it."""
    directory = site.host.path(STATE)
    name = member.container.name.encode()
    (record,) = [
        path
        for path in directory.glob("*/attachments/*")
        if json.loads(path.read_bytes())["containerID"].encode() == name
    ]
    record.unlink()


def test_who_is_gone_and_who_is_on_no_record_goes_and_the_others_come_back(site: Site) -> None:
    members = three(site)
    web = site.web(mapping(8080), name="web", snat=True, localhost=True)
    before = sorted(rules(site))
    stale, lost, stays = members
    stale.container.remove()
    lose(site, lost)
    if site.back_end.has_chains:
        site.host.run(["iptables", "-t", "nat", "-D", "PREROUTING", "1"])
    else:
        table = ["ip", "mesos-cni-port-mapper"]
        site.host.run(["nft", "delete", "element", *table, "any", "{ tcp . 9002 }"])
    counted = Counted(site)

    told = counted.ports().succeed("repair")

    assert "container c0 on network net-1 (eth0): removed, its network namespace" in told
    assert "on no record: removed, " in told
    assert "container c2 on network net-1 (eth0): restored" in told
    assert owners(site) == {"c2", "web"}
    assert len([name for name in counted.told() if name.endswith("-restore")]) == (
        2 if site.back_end.has_chains else 0
    )
    gone = [line for line in before if "c0" not in line and "c1" not in line]
    if site.back_end.has_chains:
        assert sorted(rules(site)) == gone
    assert name_of(connect_tcp(site.host.client, OWN[4], 8080)) == "web"
    assert Ports(site.host).succeed("repair") == "nothing to do\n"

    for member in (stays, web):
        member.detach()
    assert everything(site) == NOTHING


def test_a_port_of_one_who_was_removed_is_free(site: Site) -> None:
    stale = three(site)[0]
    stale.container.remove()
    Ports(site.host).succeed("repair")

    answer = site.web(mapping(9000), name="next").run("CHECK", prevResult=None)

    assert answer.code == 7  # It was attached, and the question is a wrong one.
    assert name_of(connect_tcp(site.host.client, OWN[4], 9000)) == "next"


def test_a_dry_run_says_all_of_it_and_changes_nothing(site: Site) -> None:
    members = three(site)
    members[0].container.remove()
    lose(site, members[1])
    before = everything(site)
    ports = Ports(site.host)

    told = ports.succeed("repair", "--dry-run")

    assert everything(site) == before
    assert "# container c0 on network net-1 (eth0): removed, " in told
    commands = [line for line in told.splitlines() if "restore -w" in line or " -f -" in line]
    assert len(commands) == (2 if site.back_end.has_chains else 1)
    document = ports.json("repair", "--dry-run")
    assert everything(site) == before
    # What it says is what makes it so.
    for batch in document["batches"]:
        site.host.run(batch["command"], batch["script"].encode())
    assert owners(site) == {"c2"}
    assert entries(site) == 1
    assert ports.run("repair").status == 0
    assert Ports(site.host).succeed("repair") == "nothing to do\n"


def test_after_a_flush_it_does_what_restore_does(site: Site) -> None:
    three(site)
    before = sorted(rules(site))
    flush(site)

    told = Ports(site.host).succeed("repair")

    assert [line.rpartition(": ")[2] for line in told.splitlines()] == ["restored"] * 3
    assert sorted(rules(site)) == before


def test_loopback_is_kept_in_behind_the_last_who_let_it_out(site: Site) -> None:
    web = site.web(mapping(8080), localhost=True)
    assert site.host.run(["cat", WAY_OUT]).text == "1\n"
    web.container.remove()

    Ports(site.host).succeed("repair")

    assert site.host.run(["cat", WAY_OUT]).text == "0\n"


@pytest.mark.parametrize("command", ["repair", "restore"])
def test_a_plugin_that_is_at_work_is_waited_for(maps_site: Site, command: str) -> None:
    site = maps_site
    Imagined(site).member("web", mapping(8080)).attach()
    flush(site)
    (record,) = [name for name in site.host.files(STATE) if "/attachments/" in name]
    plugin = site.host.start(["flock", "--no-fork", f"{STATE}/{record}", "sleep", "1.5"])
    wait = f"while flock -n {STATE}/{record} true; do sleep 0.01; done"
    site.host.run(["sh", "-c", wait])

    told = Ports(site.host).succeed(command)

    plugin.wait(10)
    plugin.close()
    assert told == "container web on network net-1 (eth0): restored\n"


def test_without_state_rules_are_left_alone(site: Site) -> None:
    three(site)
    before = everything(site)

    left = Ports(site.host).run("repair", "--state-dir", "/run/elsewhere")

    assert left.status == 1
    assert left.stderr.startswith("mesos-cni: --state_dir: there are rules, and /run/elsewhere")
    assert everything(site) == before
    assert not site.host.path("/run/elsewhere").exists()


def test_what_is_forgotten_is_off_the_record_and_its_rules_stay(site: Site) -> None:
    members = three(site)
    before = rules(site)
    ports = Ports(site.host)

    assert ports.run("repair", "--forget", "c1").status == 2
    told = ports.succeed("repair", "--forget", "c1", "--yes")

    assert told == "container c1 on network net-1 (eth0): forgotten\n"
    assert rules(site) == before
    rows = ports.json("ls")
    assert {row["container_id"] for row in rows} == {"c0", "c2"}
    # A DEL still finds its rules by their tag.
    members[1].detach()
    assert owners(site) == {"c0", "c2"}


def test_forgetting_is_the_way_out_when_the_tool_is_gone(tools_site: Site) -> None:
    site = tools_site
    web = site.web(mapping(8080))
    tools = (
        ["/usr/sbin/xtables-nft-multi", "/usr/sbin/xtables-legacy-multi"]
        if site.back_end.has_chains
        else ["/usr/sbin/nft"]
    )
    for tool in tools:
        site.host.hide(tool)
    answer = web.run("DEL")
    assert answer.code == 103, answer.document
    assert "mesos-cni ports repair --forget web" in answer.document["details"]

    Ports(site.host).succeed("repair", "--forget", "web", "--yes")

    web.detach()
