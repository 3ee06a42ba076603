"""GC: what a runtime no longer knows goes, and nothing else does."""

import json
from typing import Any

import pytest

from tests.netns.behaviour.site import (
    NOTHING,
    OWN,
    STATE,
    Imagined,
    Member,
    Site,
    everything,
    mapping,
    name_of,
    own_tables,
    owners,
)
from tests.support.delegates import RESULT, Delegates
from tests.support.plugin import Answer
from tests.support.traffic import connect_tcp

VALID = "cni.dev/valid-attachments"
OLDER = "cni.dev/attachments"


def collect(member: Member, **keys: Any) -> Answer:
    """Run GC for a member's network."""
    netconf = {**member.netconf, "cniVersion": "1.1.0", **keys}
    return member.plugin.gc(json.dumps(netconf).encode())


def named(*members: Member) -> list[dict[str, str]]:
    return [{"containerID": each.container.name, "ifname": each.ifname} for each in members]


def leases(site: Site) -> list[str]:
    """Return the addresses that are in use, as host-local has them."""
    names = [name.rpartition("/")[2] for name in site.host.files("/var/lib/cni")]
    return sorted(name for name in names if name[0].isdigit() or ":" in name)


@pytest.mark.parametrize("key", [VALID, OLDER])
def test_whom_the_runtime_knows_stays_and_the_others_go(site: Site, key: str) -> None:
    stays = site.web(mapping(8080), name="stays", snat=True, localhost=True)
    site.web(mapping(8081), mapping(8082, 53, "udp"), name="goes", snat=True, localhost=True)

    answer = collect(stays, **{key: named(stays)})

    assert answer.status == 0, answer.document
    assert name_of(connect_tcp(site.host.client, OWN[4], 8080)) == "stays"
    assert connect_tcp(site.host.client, OWN[4], 8081) == "refused"
    assert owners(site) == {"stays"}
    # The delegate is as old as a DEL: it has been asked for one.
    assert leases(site) == ["10.1.0.2", "fd00:1::2"]

    stays.detach()

    assert everything(site) == NOTHING


def test_an_empty_list_knows_nobody(site: Site) -> None:
    imagined = Imagined(site)
    members = [imagined.member(f"web-{port}", mapping(port)) for port in (8080, 8081)]
    for member in members:
        member.attach()

    assert collect(members[0], **{VALID: []}).status == 0

    assert everything(site) == NOTHING


@pytest.mark.parametrize("keys", [{}, {VALID: None}], ids=["no list", "null"])
def test_without_a_list_nothing_of_ours_goes(site: Site, keys: dict[str, Any]) -> None:
    member = Imagined(site).member("web", mapping(8080))
    member.attach()
    before = everything(site)

    assert collect(member, **keys).status == 0

    assert everything(site) == before


@pytest.mark.parametrize(
    "garbage",
    [
        "all",
        {"containerID": "web"},
        [1],
        ["web"],
        [{"containerID": "web"}],
        [{"containerID": "web", "ifname": 1}],
        [{"containerID": "", "ifname": "eth0"}],
        [{"containerID": "web", "ifname": "eth0"}, None],
    ],
    ids=str,
)
def test_garbage_for_a_list_is_an_error_and_takes_nothing(site: Site, garbage: Any) -> None:
    member = Imagined(site).member("web", mapping(8080))
    member.attach()
    before = everything(site)

    answer = collect(member, **{VALID: garbage})

    assert answer.code == 7, answer.document
    assert VALID in answer.document["msg"]
    assert everything(site) == before


def test_other_networks_in_the_chain_are_left_alone(site: Site) -> None:
    imagined = Imagined(site)
    own = imagined.member("own", mapping(8080))
    other = imagined.member("other", mapping(8081), name="another-net")
    # One of the same container, by another interface.
    own.attach()
    other.attach()

    assert collect(own, **{VALID: []}).status == 0

    assert owners(site) == {"other"}
    other.detach()
    assert everything(site) == NOTHING


def test_an_attachment_is_a_container_and_an_interface(site: Site) -> None:
    imagined = Imagined(site)
    member = imagined.member("web", mapping(8080))
    member.attach()

    answer = collect(member, **{VALID: [{"containerID": "web", "ifname": "eth1"}]})

    assert answer.status == 0
    assert everything(site) == NOTHING


def test_what_is_not_on_record_is_found_by_its_mark(site: Site) -> None:
    imagined = Imagined(site)
    stays = imagined.member("stays", mapping(8080), localhost=True)
    goes = imagined.member("goes", mapping(8081), localhost=True)
    other = imagined.member("other", mapping(8082), name="another-net")
    for member in (stays, goes, other):
        member.attach()
    site.host.run(["rm", "-r", STATE])

    assert collect(stays, **{VALID: named(stays)}).status == 0

    assert owners(site) == {"stays", "other"}


def test_the_bare_tags_of_the_original_name_no_network(chains_site: Site) -> None:
    site = chains_site
    member = Imagined(site).member("web", mapping(8080))
    member.attach()
    rule = ["-A", member.netconf["chain"], "-p", "tcp", "--dport", "9000", "-m", "comment"]
    target = ["--comment", "container_id: old", "-j", "DNAT", "--to-destination", "10.9.9.9"]
    site.host.run(["iptables", "-t", "nat", *rule, *target])

    assert collect(member, **{VALID: []}).status == 0

    (left,) = site.host.chain(member.netconf["chain"]) or []
    assert '--comment "container_id: old"' in left


def test_the_delegate_is_asked_too_if_it_knows_how(site: Site) -> None:
    delegates = Delegates(site.host)
    delegates.recording("plain")
    found = site.finding(delegates.directory)
    member = found.member(site.host.container("web"), mapping(8080), delegate={"type": "plain"})
    member.attach()

    assert collect(member, **{VALID: [], "args": {"cni": {}}}).status == 0

    calls = [call for call in delegates.calls("plain") if call.command in ("DEL", "GC")]
    assert [call.command for call in calls] == ["DEL", "GC"]
    assert calls[0].env["CNI_CONTAINERID"] == "web"
    assert calls[0].env["CNI_NETNS"] == "/run/netns/web"
    assert calls[1].config[VALID] == []
    assert calls[1].env["CNI_CONTAINERID"] == ""


def test_who_is_gone_is_detached_without_a_namespace(maps_site: Site) -> None:
    delegates = Delegates(maps_site.host)
    delegates.recording("plain")
    found = maps_site.finding(delegates.directory)
    member = found.member(
        maps_site.host.container("web"), mapping(8080), delegate={"type": "plain"}
    )
    member.attach()
    member.container.remove()

    assert collect(member, **{VALID: []}).status == 0

    (call,) = [call for call in delegates.calls("plain") if call.command == "DEL"]
    assert (call.env["CNI_CONTAINERID"], call.env["CNI_IFNAME"]) == ("web", "eth0")
    assert "CNI_NETNS" not in call.env


def test_one_that_cannot_be_detached_keeps_no_other_from_going(maps_site: Site) -> None:
    delegates = Delegates(maps_site.host)
    fail = "case $CNI_CONTAINERID in bad-*) exit 3 ;; esac"
    delegates.scripted("picky", {"ADD": f"echo '{json.dumps(RESULT)}'", "DEL": fail})
    found = maps_site.finding(delegates.directory)
    members = [
        found.member(maps_site.host.container(name), mapping(port), delegate={"type": "picky"})
        for port, name in enumerate(("bad-1", "good", "bad-2"), 8080)
    ]
    for member in members:
        member.attach()

    answer = collect(members[0], **{VALID: []})

    assert answer.code == 103, answer.document
    for name in ("bad-1", "bad-2"):
        assert f"container {name} on network net-1 (eth0): " in answer.document["details"]
    assert owners(maps_site) == set()
    assert "GC" not in [call.command for call in delegates.calls("picky")]


def test_addresses_are_not_freed_while_rules_may_lead_to_them(tools_site: Site) -> None:
    site = tools_site
    delegates = Delegates(site.host)
    delegates.recording("plain")
    found = site.finding(delegates.directory)
    member = found.member(site.host.container("web"), mapping(8080), delegate={"type": "plain"})
    member.attach()
    before = everything(site)

    # Nothing that could remove a rule is in sight.
    netconf = {**member.netconf, "cniVersion": "1.1.0", VALID: []}
    hidden = 'mount -t tmpfs none /usr/sbin && exec "$0"'
    plugin = member.plugin.wrapped("unshare", "--mount", "sh", "-c", hidden)
    answer = plugin.gc(json.dumps(netconf).encode())

    assert answer.code == 103, answer.document
    assert "container web on network net-1 (eth0)" in answer.document["details"]
    assert everything(site) == before
    assert [call.command for call in delegates.calls("plain")] == ["ADD"]


def test_a_collected_container_can_be_deleted_and_added_again(site: Site) -> None:
    member = Imagined(site).member("web", mapping(8080))
    member.attach()
    assert collect(member, **{VALID: []}).status == 0

    member.detach()
    member.attach()

    assert owners(site) == {"web"}
    assert not site.back_end.has_chains or own_tables(site) == []
