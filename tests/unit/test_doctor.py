"""What is thought of a host: one thing wrong at a time."""

from dataclasses import replace

import pytest

from mesos_cni_port_mapper.doctor.facts import Facts, Lock, Network, State, Tables, Tool
from mesos_cni_port_mapper.doctor.judgement import OK, PROBLEM, WARNING, Finding, judge
from mesos_cni_port_mapper.explain.model import LEGACY, NFT

STATE = "/run/mesos-cni-port-mapper"


def tool(name: str, variant: str = "nft", version: str = "1.8.9") -> Tool:
    return Tool(name, f"/usr/sbin/{name}", variant, f"{name} v{version}")


TOOLS = {
    **{
        name: tool(name)
        for name in ("iptables-restore", "iptables-save", "ip6tables-restore", "ip6tables-save")
    },
    "nft": Tool("nft", "/usr/sbin/nft", "", "nftables v1.0.6"),
    "libiptc": Tool("libiptc"),
}
WELL = Facts(
    tools=TOOLS,
    trials={"iptables": "", "ip6tables": "", "nft": ""},
    tables={NFT: Tables(("ip nat",), 4, 2), LEGACY: Tables()},
    settings={"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"},
    locks=(Lock("/run/xtables.lock", 0.001),),
    state=State(STATE, records=1, with_ports=1, local_interfaces=frozenset(("br1",))),
    configurations="/etc/cni/net.d",
    networks=(Network("net", "/etc/cni/net.d/net.conf"),),
)


def without(*names: str, **others: Tool) -> dict[str, Tool]:
    """Return the tools with some missing or others."""
    missing = {name: Tool(name) for name in names}
    return {**TOOLS, **missing, **{name.replace("_", "-"): each for name, each in others.items()}}


def amiss(facts: Facts) -> list[Finding]:
    return [finding for finding in judge(facts) if finding.level != OK]


def test_a_host_that_is_well_has_no_findings_but_good_ones() -> None:
    assert amiss(WELL) == []
    assert {finding.subject for finding in judge(WELL)} >= {"iptables", "nft", "network net"}


@pytest.mark.parametrize(
    ("changes", "level", "subject", "words", "remedy"),
    [
        ({"tools": without("iptables-save", "iptables-restore", "nft")}, PROBLEM, "tools",
         "neither iptables nor nft", "install"),
        ({"tools": without("ip6tables-restore")}, WARNING, "ip6tables", "no IPv6", "install"),
        ({"tools": without("nft")}, WARNING, "nft", "not installed", "install nftables"),
        ({"tools": without(iptables_save=tool("iptables-save", "legacy"))}, PROBLEM, "iptables",
         "iptables-save the legacy one", "update-alternatives --set iptables"),
        ({"tools": without(ip6tables_save=tool("ip6tables-save", "legacy"),
                           ip6tables_restore=tool("ip6tables-restore", "legacy"))},
         WARNING, "ip6tables", "the legacy variant", "update-alternatives --set ip6tables"),
        ({"tools": without(iptables_restore=tool("iptables-restore", version="1.6.1"))}, PROBLEM,
         "iptables", "cannot wait", "1.6.2"),
        ({"privileged": False}, WARNING, "privilege", "not root", "root"),
        ({"trials": {"nft": "no such protocol"}}, PROBLEM, "nft", "no such protocol",
         "modprobe nf_tables"),
        ({"trials": {"iptables": "refused"}, "modules": frozenset(("iptable_nat",))}, PROBLEM,
         "iptables", "refused", "iptables -t nat -S"),
        ({"tables": {NFT: Tables(("ip nat",), 4, 2), LEGACY: Tables(("ip nat",), 3, 0)}}, WARNING,
         "both worlds", "which come first", "iptables-legacy -t nat -F"),
        ({"tables": {NFT: Tables(("ip nat",), 4, 0), LEGACY: Tables(("ip nat",), 3, 2)}}, PROBLEM,
         "both worlds", "2 rules of ours", "legacy variant"),
        ({"settings": {"net.ipv4.ip_forward": "0"}}, PROBLEM, "net.ipv4.ip_forward", "is 0",
         "sysctl -w net.ipv4.ip_forward=1"),
        ({"settings": {"net.ipv4.ip_forward": "0"}, "state": State(STATE)}, WARNING,
         "net.ipv4.ip_forward", "is 0", "sysctl"),
        ({"settings": {"net.ipv6.conf.all.forwarding": "0"}}, WARNING,
         "net.ipv6.conf.all.forwarding", "is 0", "sysctl"),
        ({"settings": {"net.ipv4.conf.all.route_localnet": "1"}}, WARNING,
         "net.ipv4.conf.all.route_localnet", "strangers", "=0"),
        ({"open_interfaces": ("br1", "br2")}, WARNING, "net.ipv4.conf.br2.route_localnet",
         "no port", "=0"),
        ({"flushers": ("firewalld",)}, WARNING, "firewalld", "everybody's rules",
         "mesos-cni ports restore"),
        ({"locks": (Lock("/run/xtables.lock", None, "pid 7 (x)"),)}, PROBLEM, "/run/xtables.lock",
         "held by pid 7 (x)", "waits"),
        ({"locks": (Lock("/run/xtables.lock", 1.5),)}, WARNING, "/run/xtables.lock", "1.5 s",
         "who holds it"),
        ({"state": State(STATE, fault="not writable")}, PROBLEM, "state", "not writable",
         "stateDir"),
        ({"state": State("/var/x", filesystem="ext4")}, WARNING, "state", "outlives", "tmpfs"),
        ({"state": State(STATE, gone=("container a",))}, WARNING, "state", "container a", "GC"),
        ({"state": State(STATE, garbage=(f"{STATE}/x",))}, WARNING, "state", "none of our files",
         f"rm {STATE}/x"),
        ({"tables": {NFT: Tables(("ip nat",)), LEGACY: Tables()}}, PROBLEM, "state",
         "1 containers on record", "ports restore"),
        ({"networks": (Network("net", "/x", faults=("chain: is missing",)),)}, PROBLEM,
         "network net", "chain: is missing", "correct /x"),
        ({"networks": (Network("net", "/x", notices=("odd",)),)}, WARNING, "network net", "odd",
         "/x"),
        ({"problems": ("/x: it is no JSON",)}, PROBLEM, "networks", "no JSON", "file"),
        ({"unseen": ("nf_tables: refused",)}, WARNING, "not seen", "refused", "root"),
    ],
)  # fmt: skip
def test_what_is_amiss_is_named_with_a_remedy(
    changes: dict[str, object], level: str, subject: str, words: str, remedy: str
) -> None:
    (finding, *more) = amiss(replace(WELL, **changes))  # type: ignore[arg-type]

    assert (finding.level, finding.subject) == (level, subject), more
    assert words in finding.text
    assert remedy in finding.remedy
    assert "\n" not in finding.text + finding.remedy


def test_our_own_table_counts_as_rules() -> None:
    tables = {NFT: Tables(("ip mesos-cni-port-mapper",)), LEGACY: Tables()}

    assert amiss(replace(WELL, tables=tables)) == []


@pytest.mark.parametrize(
    "changes",
    [
        # The first that waits for the lock.
        {"tools": without(iptables_restore=tool("iptables-restore", version="1.6.2"))},
        # Nobody who is on record has asked for ports.
        {"tables": {NFT: Tables(("ip nat",)), LEGACY: Tables()}, "state": State(STATE, records=1)},
    ],
    ids=["iptables", "no ports"],
)
def test_what_is_just_good_enough_is_good(changes: dict[str, object]) -> None:
    assert amiss(replace(WELL, **changes)) == []  # type: ignore[arg-type]


def test_rules_that_may_not_be_seen_are_not_called_missing() -> None:
    found = amiss(replace(WELL, privileged=False, tables={}, trials={}))

    assert [finding.subject for finding in found] == ["privilege"]


def test_problems_come_first() -> None:
    facts = replace(WELL, flushers=("ufw",), problems=("/x: broken",))

    assert [finding.level for finding in judge(facts)][:3] == [PROBLEM, WARNING, OK]
