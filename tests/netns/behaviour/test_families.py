"""Mappings of one family: where it is missing an error names who lacks it, and nothing is left."""

import pytest

from tests.netns.behaviour.site import CLIENT, NOTHING, OWN, Imagined, Site, everything, mapping
from tests.support.agent import TOOLS
from tests.support.gate import need
from tests.support.traffic import Saw, connect_tcp

FIXED = {4: {"address": "10.77.0.2/24"}, 6: {"address6": "fd00:77::2/64"}}
"""What the delegate that only names addresses is given, by family."""

UNSPECIFIED = {4: "0.0.0.0", 6: "::"}
BOTH = {"type": "fixed", **FIXED[4], **FIXED[6]}


@pytest.mark.parametrize("asked", [4, 6])
@pytest.mark.parametrize("spelling", [OWN, UNSPECIFIED], ids=["own", "all"])
def test_a_family_of_which_the_container_has_no_address_is_refused(
    site: Site, asked: int, spelling: dict[int, str]
) -> None:
    given = FIXED[10 - asked]
    imagined = Imagined(site)
    web = imagined.member(
        "web",
        mapping(8080),
        mapping(8081, host_ip=spelling[asked]),
        delegate={"type": "fixed", **given},
    )

    answer = web.run("ADD")

    assert (answer.status, answer.code) == (1, 102)
    assert answer.document["msg"] == (
        f"delegate fixed returned no address for eth0 to forward tcp 8081 of {spelling[asked]} to"
    )
    assert answer.document["details"] == f"addresses: {next(iter(given.values()))}"
    assert everything(site) == NOTHING


@pytest.mark.parametrize("asked", [4, 6])
def test_of_two_families_an_address_of_the_host_means_its_own(site: Site, asked: int) -> None:
    web = site.web(mapping(8080, host_ip=OWN[asked]))

    outcomes = {family: connect_tcp(site.host.client, OWN[family], 8080) for family in (4, 6)}

    assert outcomes == {asked: Saw("web", CLIENT[asked], 80), 10 - asked: "refused"}
    web.detach()
    assert everything(site) == NOTHING


def without_ip6tables(site: Site) -> None:
    """Have iptables alone, where nothing else is that could be found."""
    variant = f"xtables-{site.host.variant}-multi"
    site.host.run(["cp", f"/usr/sbin/{variant}", "/run"])
    for tool in site.host.path(TOOLS).glob("*tables*"):
        tool.unlink()
    for name in ("iptables-restore", "iptables-save"):
        site.host.path(f"{TOOLS}/{name}").symlink_to(f"/run/{variant}")
    for directory in ("/usr/sbin", "/sbin"):
        site.host.hide(directory)


def test_a_family_whose_tools_are_missing_is_not_the_delegate_s_fault(iptables_site: Site) -> None:
    site = iptables_site
    imagined = Imagined(site)
    without_ip6tables(site)
    web = imagined.member("web", mapping(8080), mapping(8081, host_ip=OWN[6]), delegate=BOTH)

    answer = web.run("ADD")

    assert (answer.status, answer.code) == (1, 103)
    assert answer.document["msg"] == (
        f"cannot forward tcp 8081 of {OWN[6]}: "
        "ip6tables-restore and ip6tables-save are not installed"
    )
    state = site.host.path("/run/mesos-cni-port-mapper").rglob("*")
    assert [path.name for path in state if path.is_file()] == ["lock"]


def test_without_its_tools_a_family_goes_unforwarded_where_the_other_serves(
    iptables_site: Site,
) -> None:
    site = iptables_site
    imagined = Imagined(site)
    without_ip6tables(site)
    web = imagined.member("web", mapping(8080), delegate=BOTH)

    web.attach()
    web.detach()


def test_a_host_without_ipv6_says_so(site: Site) -> None:
    need("strace")
    imagined = Imagined(site)
    web = imagined.member("web", mapping(8081, host_ip=OWN[6]), delegate=BOTH)
    # Where the kernel has no IPv6, there is no such file.
    plugin = web.plugin.wrapped(
        *("strace", "-f", "-o", "/dev/null", "-P", "/proc/net/if_inet6"),
        *("-e", "inject=stat,newfstatat,statx:error=ENOENT"),
    )

    answer = plugin.run("ADD", web.container, web.request())

    assert (answer.status, answer.code) == (1, 103)
    assert answer.document["msg"] == f"cannot forward tcp 8081 of {OWN[6]}: this host has no IPv6"
    assert everything(site) == NOTHING
