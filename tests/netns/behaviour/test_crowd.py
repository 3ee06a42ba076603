"""Many plugins at once over both families: the kernel ends up as the model says, whoever was first.

The model of what is asked for is a port and who has it; nothing here knows how a back end keeps it.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from tests.netns.behaviour.site import (
    FAMILIES,
    NOTHING,
    STATE,
    TAKEN,
    Imagined,
    Member,
    Site,
    everything,
    mapping,
    own_tables,
)
from tests.support.plugin import Answer, Call

MANY, TURNS = 40, 8

Port = tuple[int, str, int]
Owners = dict[Port, str]


def together(work: Iterable[tuple[str, Member]], **more: Any) -> list[Answer]:
    """Start all commands before any of them gets its input, and return their answers."""
    pairs = list(work)
    calls = [_begin(command, member) for command, member in pairs]
    for call, (_, member) in zip(calls, pairs, strict=True):
        call.process.feed(member.request(**more))
    return [call.wait(60) for call in calls]


def _begin(command: str, member: Member) -> Call:
    environ = member.plugin.environment(command, member.container, member.ifname)
    return member.plugin.launch(environ, None)


def assert_good(answers: Iterable[Answer]) -> None:
    assert [answer for answer in answers if answer.status] == []


def expected(members: Iterable[Member]) -> Owners:
    """Return who should have which port of each family."""
    return {
        (family, item["protocol"], item["hostPort"]): member.container.name
        for member in members
        for item in member.mappings
        for family in FAMILIES
    }


def present(site: Site) -> Owners:
    """Return who has which port in the kernel; that two have one is an error."""
    found: Owners = {}
    for family in FAMILIES:
        for owner, protocol, port in _ports_of(site, family):
            assert (family, protocol, port) not in found, (owner, found)
            found[family, protocol, port] = owner
    return found


def _ports_of(site: Site, family: int) -> list[tuple[str, str, int]]:
    if site.back_end.has_chains:
        text = "\n".join(site.host.ruleset(ipv6=family == 6))
        pattern = r"-p (\w+) .*--dport (\d+) .*container_id: (\S+) .*-j DNAT"
    else:
        text = "\n".join(own_tables(site, family))
        pattern = r"\b(\w+) \. (\d+) comment \"container_id: (\S+) "
    return [(owner, protocol, int(port)) for protocol, port, owner in re.findall(pattern, text)]


def recorded(site: Site) -> set[tuple[str, int]]:
    """Return the ports that are claimed, by protocol."""
    return {
        (name.rpartition("/")[2].partition("-")[0], int(port))
        for name, data in site.host.files(STATE).items()
        if "/claims/" in name
        for port in json.loads(data)
    }


def assert_served(site: Site, members: Sequence[Member]) -> None:
    """Insist on the ports, the records and the claims of just these containers."""
    assert present(site) == expected(members)
    assert recorded(site) == {(protocol, port) for _, protocol, port in expected(members)}
    records = [name for name in site.host.files(STATE) if "/attachments/" in name]
    assert len(records) == len(members)


def crowd(fake: Imagined, *numbers: int, **changes: Any) -> list[Member]:
    """Return containers with ports of their own."""
    return [
        fake.member(
            f"web-{number}",
            mapping(20000 + number),
            mapping(30000 + number, 53, "udp"),
            **changes,
        )
        for number in range(*numbers)
    ]


def test_forty_come_and_forty_go_at_once(site: Site) -> None:
    members = crowd(Imagined(site), MANY)

    assert_good(together([("ADD", member) for member in members]))
    assert_served(site, members)
    assert_good(together([("DEL", member) for member in members]))

    assert everything(site) == NOTHING


def test_twenty_come_while_twenty_go(site: Site) -> None:
    members = crowd(Imagined(site), MANY)
    old, new = members[::2], members[1::2]
    assert_good(together([("ADD", member) for member in old]))

    pairs = zip(new, old, strict=True)
    assert_good(together([each for a, b in pairs for each in (("ADD", a), ("DEL", b))]))

    assert_served(site, new)
    assert_good(together([("DEL", member) for member in new]))
    assert everything(site) == NOTHING


def test_a_del_takes_nothing_that_another_has_taken_since(site: Site) -> None:
    fake = Imagined(site)
    ports = [mapping(8080), mapping(8081, 53, "udp"), mapping(9001, 9001), mapping(9002, 9002)]
    options = {"onConflict": "takeover", "snat": True}
    others = [fake.member("other", mapping(7000), **options)]
    others[0].attach()
    owner = fake.member("turn-0", *ports, **options)
    owner.attach()

    for turn in range(1, TURNS):
        successor = fake.member(f"turn-{turn}", *ports, **options)
        work = [("DEL", owner), ("ADD", successor)]
        assert_good(together(work if turn % 2 else work[::-1]))
        if site.back_end.has_chains:
            assert set(present(site).values()) == {"other", successor.container.name}
        assert_served_runs(site, successor, others[0])
        owner = successor

    assert_good(together([("DEL", owner), ("DEL", others[0])]))
    assert everything(site) == NOTHING


def assert_served_runs(site: Site, *members: Member) -> None:
    """Insist that everything of these is as CHECK wants it, and that nobody else has anything."""
    text = f"{site.host.ruleset()} {site.host.ruleset(ipv6=True)} {own_tables(site)}"
    owners = set(re.findall(r"container_id: (\S+)", text))
    assert owners == {member.container.name for member in members}
    for member in members:
        result = json.loads(member.plugin.run("CHECK", *_check(member)).stdout or b"null")
        assert result is None, result


def _check(member: Member) -> tuple[Any, bytes]:
    delegate = member.netconf["delegate"]
    ips = [{"address": delegate[key], "interface": 0} for key in ("address", "address6")]
    previous = {
        "cniVersion": "1.0.0",
        "interfaces": [{"name": "eth0", "sandbox": member.container.netns}],
        "ips": ips,
    }
    return member.container, member.request(prevResult=previous)


def test_of_ten_that_want_one_port_one_has_it_and_nine_change_nothing(site: Site) -> None:
    fake = Imagined(site)
    alone = fake.member("alone", mapping(7000))
    alone.attach()
    members = [
        fake.member(f"web-{number}", mapping(8080), mapping(20000 + number), onConflict="fail")
        for number in range(10)
    ]

    answers = together([("ADD", member) for member in members])

    assert sorted(answer.code or 0 for answer in answers) == [0, *9 * [TAKEN]]
    (winner,) = [
        member for member, answer in zip(members, answers, strict=True) if answer.status == 0
    ]
    assert_served(site, [alone, winner])
    before = [sorted(lines) for lines in everything(site)]
    assert {each.code for each in together([("ADD", m) for m in members if m != winner])} == {TAKEN}
    assert [sorted(lines) for lines in everything(site)] == before

    assert_good(together([("DEL", member) for member in (*members, alone)]))
    assert everything(site) == NOTHING
