"""`ports plan`: the batches that a configuration would have applied, from the plugin's own code."""

import json
from typing import Any

import pytest

from tests.netns.behaviour.site import STATE, Imagined, Member, Site, everything, mapping, owners
from tests.netns.ports import Ports, flush

PREV_RESULT = {
    "cniVersion": "1.0.0",
    "interfaces": [{"name": "eth0", "sandbox": "/run/netns/c"}],
    "ips": [{"address": "10.77.0.9/24", "interface": 0}, {"address": "fd00:77::9/64"}],
}


def plan(site: Site, member: Member, verb: str, **keys: Any) -> list[dict[str, Any]]:
    """Return the batches of a plan, of which none may change anything."""
    arguments = ("plan", "--command", verb, "--container", member.container.name, "--json")
    before, state = everything(site), state_of(site)
    told = Ports(site.host).succeed(*arguments, input=member.request(**keys))
    assert (everything(site), state_of(site)) == (before, state)
    document = json.loads(told)
    assert document["command"] == verb
    batches: list[dict[str, Any]] = document["batches"]
    return batches


def state_of(site: Site) -> dict[str, bytes]:
    return site.host.files(STATE) if site.host.path(STATE).is_dir() else {}


def taught(site: Site, member: Member, verb: str) -> list[str]:
    """Return what the tools are given when the plugin does it, as strace sees it."""
    trace = "/run/trace"
    wrapped = member.plugin.wrapped(
        "strace", "-f", "-qq", "-e", "trace=execve", "-s", "200", "-o", trace
    )
    answer = wrapped.run(verb, member.container, member.request(), member.ifname)
    assert answer.status == 0, (answer.document, answer.stderr)
    lines = site.host.path(trace).read_text().splitlines()
    return [line for line in lines if "--noflush" in line or '"-f", "-"' in line]


@pytest.mark.parametrize("others", [0, 1])
def test_an_add_is_planned_as_it_is_done(tools_site: Site, others: int) -> None:
    site = tools_site
    networks = Imagined(site)
    for number in range(others):
        networks.member(f"c{number}", mapping(9000 + number)).attach()
    member = networks.member("c", mapping(8080), mapping(8081), snat=True, localhost=False)

    batches = plan(site, member, "ADD", prevResult=PREV_RESULT, delegate=None)

    assert len(batches) == len(taught(site, member, "ADD"))
    if site.back_end.has_chains:
        assert [batch["command"][1:] for batch in batches] == [["-w", "5", "--noflush"]] * 2
    member.detach()
    for batch in batches:
        site.host.run(batch["command"], batch["script"].encode())
    assert "c" in owners(site)


def test_what_the_kernel_would_refuse_is_not_in_a_plan(site: Site) -> None:
    networks = Imagined(site)
    networks.member("old", mapping(9000)).attach()
    flush(site)
    # By the record the chain or table is there still; the plugin finds out and so does the plan.
    member = networks.member("c", mapping(8080))

    batches = plan(site, member, "ADD", prevResult=PREV_RESULT)

    for batch in batches:
        site.host.run(batch["command"], batch["script"].encode())
    assert owners(site) == {"c"}


def test_a_del_is_planned_from_the_record(site: Site) -> None:
    networks = Imagined(site)
    members = [networks.member(f"c{number}", mapping(9000 + number)) for number in range(2)]
    for member in members:
        member.attach()

    batches = plan(site, members[0], "DEL")

    assert batches
    for batch in batches:
        site.host.run(batch["command"], batch["script"].encode())
    assert owners(site) == {"c1"}
    assert plan(site, networks.member("unheard-of", mapping(1)), "DEL") == []


def test_a_check_changes_nothing_and_may_fail(site: Site) -> None:
    member = Imagined(site).member("c", mapping(8080))
    member.attach()
    result = {
        **PREV_RESULT,
        "ips": [{"address": "10.77.0.2/24"}, {"address": "fd00:77::2/64"}],
    }
    assert plan(site, member, "CHECK", prevResult=result) == []
    flush(site)

    left = Ports(site.host).run(
        "plan",
        "--command",
        "CHECK",
        "--container",
        "c",
        input=member.request(prevResult=result),
    )

    assert left.status == 1
    assert left.stderr.startswith("mesos-cni: the rules of container c on network net-1 (eth0) are")
    assert len(left.stderr.splitlines()) == 1


def test_an_address_stands_for_the_delegate(site: Site) -> None:
    member = site.member(site.host.container("c"), mapping(8080))
    ports = Ports(site.host)
    arguments = ("plan", "--container", "c")

    told = ports.succeed(*arguments, "--address", "10.1.0.7/24", input=member.request())

    commands = [line for line in told.splitlines() if line.startswith("# ")]
    assert len(commands) == 1
    assert "10.1.0.7" in told
    for wrong in ((), ("--address", "10.1.0.7"), ("--address", "10.1.0.300/24")):
        left = ports.run(*arguments, *wrong, input=member.request())
        assert (left.status, left.stdout) == (2, ""), left
        assert left.stderr.startswith("mesos-cni: --address: ")


def test_a_port_that_somebody_has_is_told_as_an_add_would(site: Site) -> None:
    networks = Imagined(site)
    networks.member("owner", mapping(8080)).attach()
    member = networks.member("c", mapping(8080))

    left = Ports(site.host).run(
        "plan", "--container", "c", input=member.request(prevResult=PREV_RESULT)
    )

    assert left.status == 1
    assert "tcp 8080 is taken by container owner on network net-1 (eth0)" in left.stderr
