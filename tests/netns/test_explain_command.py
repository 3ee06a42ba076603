"""`mesos-cni ports explain` as a command: what it prints, refuses, and cannot see."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.netns.behaviour.backends import BACK_ENDS
from tests.netns.behaviour.site import (
    CLIENT,
    OWN,
    Site,
    addresses,
    bridge,
    gateways,
    mapping,
    settle,
)
from tests.netns.containers import Tool
from tests.netns.explaining import ask_one, codes
from tests.support.gate import give_up, need_host
from tests.support.host import Host
from tests.support.plugin import PLUGIN_DIRECTORY, Plugin
from tests.support.traffic import Saw, connect_tcp, serve_tcp

PORT = f"{OWN[4]}:8080"


@pytest.fixture(scope="module")
def site(frozen: Path) -> Iterator[Site]:
    """Stand in for a machine with one container that has a port."""
    need_host("nft")
    with Host("nft") as host:
        settle(host)
        made = Site(host, Plugin(host, str(frozen)), BACK_ENDS[0])
        made.web(mapping(8080), name="web")
        yield made


@pytest.fixture(scope="module")
def tool(site: Site) -> Tool:
    return Tool(site.host)


def test_people_read_who_wins_and_programs_the_same(site: Site, tool: Tool) -> None:
    said = tool.succeed("ports", "explain", "tcp", PORT)

    first, *rest = said.splitlines()
    assert first == (
        f"tcp {PORT} from somebody beyond eth0: goes to container web on network net-1 (eth0) at "
        f"{addresses(1)[4]} port 80; a program listens there"
    )
    assert {line.split()[0] for line in rest} == {"winner", "rule", "masqueraded", "way"}
    answer = ask_one(site.host, "tcp", PORT)
    assert answer["winner"]["owner"] == {
        "program": "mesos-cni-port-mapper",
        "container": "web",
        "network": "net-1",
        "ifname": "eth0",
        "live": True,
    }
    assert answer["winner"]["target"] == {"address": addresses(1)[4], "port": 80}
    assert answer["from"] == {"origin": "outside", "device": "eth0", "source": None}
    assert answer["unseen"] == []


def test_a_program_that_listens_in_vain_is_named(site: Site) -> None:
    server = serve_tcp(site.host, 8080)
    try:
        (listener,) = ask_one(site.host, "tcp", PORT)["listeners"]
    finally:
        server.stop()

    assert listener["by"].startswith("pid ")
    assert (listener["address"], listener["port"]) == ("::", 8080)


def test_nothing_is_changed_by_looking(site: Site) -> None:
    before = (site.host.nftables(), site.host.files("/run/mesos-cni-port-mapper"))

    ask_one(site.host, "tcp", PORT)

    assert (site.host.nftables(), site.host.files("/run/mesos-cni-port-mapper")) == before
    assert site.host.run(["cat", "/proc/net/ip_tables_names"], check=False).text == ""


def test_a_host_that_forwards_nothing(site: Site) -> None:
    setting = site.host.path("/proc/sys/net/ipv4/ip_forward")
    assert setting.exists()
    site.host.run(["sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_forward"])
    try:
        answer = ask_one(site.host, "tcp", PORT)
        seen = connect_tcp(site.host.client, OWN[4], 8080)
    finally:
        site.host.run(["sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"])

    assert (answer["verdict"], answer["outcome"]) == ("lost", "silence")
    assert codes(answer) == ["no-forwarding"]
    assert seen == "timeout"


def test_a_policy_that_drops(site: Site) -> None:
    site.host.run(["iptables", "-P", "FORWARD", "DROP"])
    try:
        answer = ask_one(site.host, "tcp", PORT)
        seen = connect_tcp(site.host.client, OWN[4], 8080)
    finally:
        site.host.run(["iptables", "-P", "FORWARD", "ACCEPT"])

    assert (answer["verdict"], answer["outcome"]) == ("dropped", "silence")
    assert codes(answer) == ["forward-dropped"]
    assert seen == "timeout"


def test_everything_flushed(site: Site) -> None:
    saved = {name: site.host.run([f"{name}-save"]).stdout for name in ("iptables", "ip6tables")}
    site.host.run(["nft", "flush", "ruleset"])
    try:
        answer = ask_one(site.host, "tcp", PORT)
        seen = connect_tcp(site.host.client, OWN[4], 8080)
    finally:
        for name, rules in saved.items():
            site.host.run([f"{name}-restore"], rules)

    assert (answer["verdict"], answer["outcome"]) == ("host", "refused")
    assert codes(answer) == ["no-listener", "no-rules"]
    assert seen == "refused"


def test_the_real_portmap_is_known_by_its_chains(site: Site) -> None:
    container = site.server("theirs")
    netconf = {**bridge(4), "cniVersion": "1.0.0", "name": "theirs"}
    attached = Plugin(site.host, f"{PLUGIN_DIRECTORY}/bridge").add(container, netconf)
    portmap = {
        "cniVersion": "1.0.0",
        "name": "theirs",
        "type": "portmap",
        "snat": True,
        "prevResult": attached.document,
        "runtimeConfig": {"portMappings": [mapping(8090)]},
    }
    theirs = Plugin(site.host, f"{PLUGIN_DIRECTORY}/portmap")
    assert theirs.add(container, portmap).status == 0
    question = ("tcp", f"{OWN[4]}:8090")

    outside = ask_one(site.host, *question)
    inside = ask_one(site.host, *question, "--from", addresses(4)[4])

    assert outside["winner"]["owner"]["program"] == "the portmap plugin"
    assert outside["winner"]["target"] == {"address": addresses(4)[4], "port": 80}
    assert (outside["masqueraded"], inside["masqueraded"]) == (False, True)
    assert connect_tcp(site.host.client, OWN[4], 8090) == Saw("theirs", CLIENT[4], 80)
    assert connect_tcp(container, OWN[4], 8090) == Saw("theirs", gateways(4)[4], 80)


def test_a_table_that_no_tool_prints_whole_is_told(frozen: Path) -> None:
    need_host("nft")
    with Host("nft") as host:
        settle(host)
        Site(host, Plugin(host, str(frozen)), BACK_ENDS[0]).web(mapping(8080), name="web")
        # iptables 1.8.9 gives up at a match that it has no words for.
        rule = "tcp dport 1-65535 tcp option maxseg size > 1 redirect to :7000"
        host.run(["nft", "insert", "rule", "ip", "nat", "PREROUTING", *rule.split()])
        if "incompatible" not in host.run(["iptables-save"]).text:
            give_up("needs an iptables that gives up at such a table, as 1.8.9 does")
        answer = ask_one(host, "tcp", PORT)

    assert not answer["certain"]
    assert "unreadable" in codes(answer)
    assert "no-rules" not in codes(answer)
    assert "table ip nat" in answer["unseen"][0]


def test_what_cannot_be_seen_is_said(frozen: Path) -> None:
    need_host("nft")
    with Host("nft") as host:
        settle(host)
        Site(host, Plugin(host, str(frozen)), BACK_ENDS[0]).web(mapping(8080), name="web")
        host.hide("/usr/sbin/nft")
        answer = ask_one(host, "tcp", PORT)
        left = Tool(host).run("ports", "explain", "--state-dir", "/run/other", "tcp", PORT)

    assert answer["unseen"] == ["nf_tables: nft is not installed"]
    assert answer["winner"]["owner"]["container"] == "web"
    assert "nothing is on record of container web" in left.stdout


def test_without_privilege_what_is_needed_is_said(site: Site, tool: Tool) -> None:
    weak = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--reuid=65534", "--clear-groups")
    left = site.host.run(
        [*weak, *tool.argv, "ports", "explain", "tcp", PORT], env=tool.environment(), check=False
    )

    assert left.status == 1
    assert left.stderr.decode() == "mesos-cni: needs root to list rules (CAP_NET_ADMIN)\n"
