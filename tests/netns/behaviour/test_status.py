"""STATUS: whether an ADD would work, and whether containers that are there can be reached."""

import json
from typing import Any

import pytest

from tests.netns.behaviour.site import STATE, Imagined, Member, Site, everything, mapping
from tests.support.delegates import Delegates
from tests.support.host import SEARCH_PATH
from tests.support.plugin import Answer

IMPAIRED, UNAVAILABLE = 51, 50


def ask(member: Member, **keys: Any) -> Answer:
    """Run STATUS for a member's network."""
    netconf = {**member.netconf, "cniVersion": "1.1.0", **keys}
    return member.plugin.status(json.dumps(netconf).encode())


def without(member: Member, directory: str) -> Answer:
    """Run STATUS where a directory is hidden."""
    hide = f'mount -t tmpfs none {directory} && exec "$0"'
    plugin = member.plugin.wrapped("unshare", "--mount", "sh", "-c", hide)
    netconf = {**member.netconf, "cniVersion": "1.1.0"}
    return plugin.status(json.dumps(netconf).encode())


def forward(site: Site, setting: str, name: str = "ipv4/ip_forward") -> None:
    site.host.run(["sh", "-c", f"echo {setting} >/proc/sys/net/{name}"])


def test_all_is_well_and_nothing_is_changed_by_asking(site: Site) -> None:
    member = site.member(site.host.container("web"), mapping(8080))
    before = everything(site)

    assert ask(member).status == 0
    assert everything(site) == before

    member.attach()

    assert ask(member).status == 0


def test_without_tools_nothing_can_be_forwarded(tools_site: Site) -> None:
    site = tools_site
    answer = without(Imagined(site).member("web", mapping(8080)), "/usr/sbin")

    assert answer.code == UNAVAILABLE, answer.document
    assert "not installed" in answer.document["msg"]


@pytest.mark.parametrize("program", ["iptables", "ip6tables"])
def test_a_kernel_that_takes_no_rules_is_told_of(iptables_site: Site, program: str) -> None:
    site = iptables_site
    member = Imagined(site).member("web", mapping(8080))
    member.attach()
    directory = site.host.path("/run/refusing")
    directory.mkdir()
    for name in ("restore", "save"):
        tool = directory / f"{program}-{name}"
        tool.write_text("#!/bin/sh\necho no such table >&2\nexit 3\n")
        tool.chmod(0o755)

    netconf = json.dumps({**member.netconf, "cniVersion": "1.1.0"}).encode()
    answer = member.plugin.status(netconf, PATH=f"/run/refusing:{SEARCH_PATH}")

    assert answer.code == UNAVAILABLE, answer.document
    assert f"{program}-restore cannot work on the nat table" in answer.document["msg"]
    assert answer.document["details"] == "no such table"


def test_without_its_delegate_nothing_can_be_attached(site: Site) -> None:
    member = Imagined(site).member("web", mapping(8080), delegate={"type": "nowhere"})

    answer = ask(member)

    assert answer.code == UNAVAILABLE, answer.document
    assert "'nowhere'" in answer.document["msg"]


def test_a_state_directory_that_cannot_be_kept_is_no_use(site: Site) -> None:
    member = Imagined(site).member("web", mapping(8080), stateDir="/proc/nowhere")

    answer = ask(member)

    assert answer.code == UNAVAILABLE, answer.document
    assert "stateDir" in answer.document["msg"]


def test_somebody_who_keeps_the_lock_is_named(site: Site) -> None:
    member = Imagined(site).member("web", mapping(8080), timeouts={"lock": 0.2})
    member.attach()
    (directory,) = {name.partition("/")[0] for name in site.host.files(STATE)}
    lock = f"{STATE}/{directory}/lock"
    holder = site.host.start(["flock", "--no-fork", lock, "sleep", "60"])
    site.host.run(["sh", "-c", f"while flock -n {lock} true; do sleep 0.01; done"])

    answer = ask(member)

    holder.kill()
    holder.wait(10)
    holder.close()
    assert answer.code == UNAVAILABLE, answer.document
    assert "(sleep)" in answer.document["msg"]


@pytest.mark.parametrize("name", ["ipv4/ip_forward", "ipv6/conf/all/forwarding"])
def test_a_host_that_does_not_forward_impairs_who_is_there(site: Site, name: str) -> None:
    member = site.member(site.host.container("web"), mapping(8080))
    forward(site, "0", name)
    # The bridge turns it on with its first container.
    assert ask(member).status == 0

    member.attach()
    forward(site, "0", name)
    answer = ask(member)

    assert answer.code == IMPAIRED, answer.document
    assert f"net.{name.replace('/', '.')} is 0" in answer.document["msg"]


def test_who_has_no_ports_is_not_impaired(maps_site: Site) -> None:
    member = Imagined(maps_site).member("web")
    member.attach()
    forward(maps_site, "0")

    assert ask(member).code == UNAVAILABLE


def test_ptp_turns_forwarding_on_as_the_bridge_does(maps_site: Site) -> None:
    delegate = {"type": "ptp", "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"}}
    member = maps_site.member(maps_site.host.container("web"), mapping(8080), delegate=delegate)
    forward(maps_site, "0")

    assert ask(member).status == 0

    member.attach()

    assert ask(member).status == 0


def test_a_delegate_that_leaves_forwarding_to_others_needs_it_on(site: Site) -> None:
    member = Imagined(site).member("web", mapping(8080))
    forward(site, "0")

    assert ask(member).code == UNAVAILABLE

    forward(site, "1")

    assert ask(member).status == 0


def test_tables_that_are_gone_impair_who_is_there(maps_site: Site) -> None:
    member = Imagined(maps_site).member("web", mapping(8080))
    member.attach()
    maps_site.host.run(["nft", "flush", "ruleset"])

    answer = ask(member)

    assert answer.code == IMPAIRED, answer.document
    assert "nftables table ip mesos-cni-port-mapper" in answer.document["msg"]


@pytest.mark.parametrize(
    ("code", "passed_on"), [(50, 50), (51, 51), (11, 11), (7, 102), (4, None), (104, None)]
)
def test_what_the_delegate_says_is_passed_on(
    maps_site: Site, code: int, passed_on: int | None
) -> None:
    delegates = Delegates(maps_site.host)
    delegates.failing("moody", code, "no addresses left", ["STATUS"])
    forward(maps_site, "1")
    found = maps_site.finding(delegates.directory)
    member = found.member(maps_site.host.container("web"), delegate={"type": "moody"})

    answer = ask(member)

    assert answer.code == passed_on, answer.document
    if passed_on:
        assert "no addresses left" in answer.document["details"]
