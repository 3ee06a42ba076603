"""All tables of both families or none: what is refused in the middle, and what CHECK misses."""

import re
from typing import Any

import pytest

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
from tests.netns.networks import shim
from tests.support.plugin import Answer
from tests.support.traffic import connect_tcp

TABLES = [(False, "raw"), (False, "nat"), (True, "nat")]
PORTS = (
    mapping(8080),
    mapping(8081, 53, "udp", OWN[4]),
    mapping(8081, 53, "udp", OWN[6]),
    mapping(9000, host_ip=LOOPBACK[4]),
)

# A batch for one table is refused; whatever else is asked of the tool, it does.
_REFUSING = """\
#!/bin/sh
batch=$(cat)
case $batch in
    *"*{table}"*) echo "{tool} was told to refuse" >&2; exit 1 ;;
esac
printf '%s\\n' "$batch" | exec /run/tools/{tool} "$@"
"""


def refusing(site: Site, ipv6: bool, table: str) -> str:
    """Return a PATH on which no batch for a table is accepted."""
    tool = "ip6tables-restore" if ipv6 else "iptables-restore"
    return shim(site.host, tool, _REFUSING.format(tool=tool, table=table))


def add(member: Member, path: str) -> Answer:
    """Run an ADD with another PATH."""
    return member.plugin.run("ADD", member.container, member.request(), PATH=path)


@pytest.mark.parametrize(("ipv6", "table"), TABLES)
def test_what_one_table_refuses_is_in_no_table(iptables_site: Site, ipv6: bool, table: str) -> None:
    site = iptables_site
    path = refusing(site, ipv6, table)
    member = site.member(site.server("web"), *PORTS, snat=True, localhost=True)

    answer = add(member, path)

    assert (answer.status, answer.code) == (1, 103), answer.document
    assert "was told to refuse" in answer.document["details"]
    assert everything(site) == NOTHING
    setting = site.host.run(["cat", "/proc/sys/net/ipv4/conf/br1/route_localnet"])
    assert setting.text.strip() == "0"
    leases = [name for name in site.host.files("/var/lib/cni") if name.endswith((".2", "::2"))]
    assert leases == []


@pytest.mark.parametrize(("ipv6", "table"), TABLES)
def test_ports_about_to_be_taken_go_back_when_a_table_refuses(
    iptables_site: Site, ipv6: bool, table: str
) -> None:
    site = iptables_site
    options: dict[str, Any] = {"snat": True, "localhost": True, "onConflict": "takeover"}
    old = site.member(site.server("old"), *PORTS, **options)
    old.attach()
    before = [sorted(lines) for lines in everything(site)]
    path = refusing(site, ipv6, table)

    answer = add(site.member(site.server("new"), *PORTS, **options), path)

    assert answer.code == 103, answer.document
    for family in FAMILIES:
        assert name_of(connect_tcp(site.host.client, OWN[family], 8080)) == "old"
    assert name_of(connect_tcp(site.host, LOOPBACK[4], 9000)) == "old"
    assert [sorted(lines) for lines in everything(site)] == before

    old.detach()

    assert everything(site) == NOTHING


def test_check_misses_every_rule_of_every_table(chains_site: Site) -> None:
    site = chains_site
    member = site.member(
        site.server("web"), *PORTS, snat=True, localhost=True, excludeDevices=["lo2", "br9+"]
    )
    result = member.attach().document
    assert member.run("CHECK", prevResult=result).status == 0
    missed = 0

    for ipv6, table in TABLES:
        program = "ip6tables" if ipv6 else "iptables"
        whole = site.host.run([f"{program}-save", "-t", table]).stdout
        for rule in [line for line in whole.decode().splitlines() if line.startswith("-A ")]:
            batch = f"*{table}\n{rule.replace('-A', '-D', 1)}\nCOMMIT\n"
            site.host.run([f"{program}-restore", "--noflush"], batch.encode())

            answer = member.run("CHECK", prevResult=result)

            assert (answer.code, len(answer.document["details"].splitlines())) == (103, 1), rule
            assert rule in answer.document["details"]
            where = "" if (program, table) == ("iptables", "nat") else f"{program} {table}: "
            assert re.match(f"{where}(missing|0 times)", answer.document["details"])
            site.host.run([f"{program}-restore"], whole)
            missed += 1

    assert missed > 20
    assert member.run("CHECK", prevResult=result).status == 0


def test_check_notices_that_loopback_is_no_longer_let_out(site: Site) -> None:
    member = site.member(site.server("web"), *PORTS, localhost=True)
    result = member.attach().document
    site.host.run(["sh", "-c", "echo 0 >/proc/sys/net/ipv4/conf/br1/route_localnet"])

    answer = member.run("CHECK", prevResult=result)

    assert answer.code == 103
    assert answer.document["details"] == "off: net.ipv4.conf.br1.route_localnet"


def test_check_sees_a_port_shadowed_in_either_family(chains_site: Site) -> None:
    site = chains_site
    member = site.member(site.server("web"), mapping(8080), mapping(8081))
    result = member.attach().document
    for program in ("iptables", "ip6tables"):
        rule = ["-I", member.netconf["chain"], "-p", "tcp", "--dport", "8080", "-j", "RETURN"]
        site.host.run([program, "-t", "nat", *rule])

    details = member.run("CHECK", prevResult=result).document["details"]

    assert details.count("shadowed by: ") == 2
