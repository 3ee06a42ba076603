"""A packet's way through chains as iptables-save prints them: what decides, shadows, and may."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from mesos_cni_port_mapper.explain.iptables import parse_tables
from mesos_cni_port_mapper.explain.journey import Journey, doubtful, travel
from mesos_cni_port_mapper.explain.model import LEGACY, NFT, Go, Match, Rule, Table, Translate
from mesos_cni_port_mapper.explain.packet import HOST, OUTSIDE, Packet, Surroundings
from mesos_cni_port_mapper.explain.walk import walk

OWN = "192.0.2.1"
ROUTES = {OWN: "lo", "192.0.2.2": "eth0", "10.1.0.2": "br1", "10.1.0.3": "br1", "127.0.0.1": "lo"}
HERE = Surroundings(
    interfaces={"lo": ("127.0.0.1/8",), "eth0": (f"{OWN}/24",), "br1": ("10.1.0.1/24",)},
    route=lambda address: ROUTES.get(address, ""),
    setting=lambda _: "1",
)
PACKET = Packet(protocol="tcp", destination=OWN, port=8080, in_device="eth0")
WEB = "-j DNAT --to-destination 10.1.0.2:80"


def table(name: str, *lines: str, policy: str = "ACCEPT") -> bytes:
    """Return a table with the rules in it, and the chains that they are in."""
    built_in = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
    own = dict.fromkeys(line.split()[1] for line in lines)
    policies = {"FORWARD": policy}
    chains = [f":{each} {policies.get(each, 'ACCEPT')} [0:0]" for each in built_in]
    chains += [f":{each} - [0:0]" for each in own if each not in built_in]
    return "\n".join([f"*{name}", *chains, *lines, "COMMIT", ""]).encode()


def send(
    *tables: bytes, packet: Packet = PACKET, origin: str = OUTSIDE, world: str = NFT
) -> Journey:
    found = [each for data in tables for each in parse_tables(data, world, packet.family, {})]
    return travel(found, packet, origin, HERE)


def nat(*lines: str, packet: Packet = PACKET, origin: str = OUTSIDE) -> str:
    """Return where a packet goes, "" for where it was sent."""
    journey = send(table("nat", *lines), packet=packet, origin=origin)
    arrived = journey.arrived
    return f"{arrived.destination}:{arrived.port}" if journey.translation else ""


@pytest.mark.parametrize(
    "match",
    [
        "",
        "-p tcp",
        "-p 6",
        "! -p udp",
        "-d 192.0.2.1/32",
        "-d 192.0.2.0/24",
        "! -d 127.0.0.0/8",
        "-i eth0",
        "-i eth+",
        "! -i br1",
        "-m addrtype --dst-type LOCAL",
        "-m addrtype ! --dst-type UNICAST",
        "-p tcp -m tcp --dport 8080",
        "-p tcp -m tcp --dport 8000:9000",
        "-p tcp -m tcp --dport 8000:",
        "-p tcp -m tcp ! --dport 8081",
        "-p tcp -m tcp --sport 0:65535",
        "-p tcp -m multiport --dports 1,8080,9:10",
        "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN",
        "-m conntrack --ctstate NEW",
        "-m state --state NEW,ESTABLISHED",
        "! -f",
        "-m mark --mark 0x0/0xff",
        "-m mark ! --mark 0x1",
        '-m comment --comment "-p udp -j DROP"',
        '-m comment --comment "-j"',
        "-s 0.0.0.0/0",
        "! -s 10.1.0.0/24",
        "! -s 127.0.0.0/8",
    ],
)
def test_a_match_that_holds(match: str) -> None:
    assert nat(f"-A PREROUTING {match} {WEB}") == "10.1.0.2:80"


@pytest.mark.parametrize(
    "match",
    [
        "-p udp",
        "-d 192.0.2.2/32",
        "-i eth1",
        "! -i eth+",
        "-o eth0",
        "-m addrtype --dst-type UNICAST",
        "-p tcp -m tcp --dport 8081",
        "-p tcp -m tcp --dport :80",
        "-p tcp -m multiport --dports 1,2",
        "-m conntrack --ctstate RELATED,ESTABLISHED",
        "-m conntrack --ctstate DNAT",
        "-m conntrack --ctstate INVALID",
        "-m mark --mark 0x1/0x1",
        "-s 10.1.0.0/24",
        "-s 127.0.0.0/8",
        "-f",
        '-m comment --comment "-j" -p udp',
    ],
)
def test_a_match_that_does_not(match: str) -> None:
    journey = send(table("nat", f"-A PREROUTING {match} {WEB}"))

    assert (journey.translation, doubtful(journey)) == (None, [])


@pytest.mark.parametrize(
    "match",
    [
        "-s 192.0.2.0/28",
        "-s 198.51.100.0/24",
        "-p tcp -m tcp --sport 1024:65535",
        "-m set --match-set known src",
        "-m set ! --match-set known src,dst",
        "-m statistic --mode random --probability 0.5",
        "-m owner --uid-owner 1000",
        "-m connmark --mark 0x1",
        "-m physdev --physdev-is-bridged",
        "-m conntrack --ctproto 6 --ctstate NEW",
        "--unheard-of",
        "-p tcp -m tcp --dport http",
    ],
)
def test_a_match_that_may_hold_is_an_if(match: str) -> None:
    journey = send(table("nat", f"-A PREROUTING {match} {WEB}"))

    assert journey.translation is None
    ((hook, event),) = doubtful(journey)
    assert (hook, len(event.doubts)) == ("prerouting", 1)
    assert event.doubts[0].replace("! ", "") in match.replace("! ", "")


@pytest.mark.parametrize(
    ("target", "where"),
    [
        ("DNAT --to-destination 10.1.0.2:81", "10.1.0.2:81"),
        ("DNAT --to-destination 10.1.0.2", "10.1.0.2:8080"),
        ("DNAT --to-destination 10.1.0.2:80-90/8078", "10.1.0.2:82"),
        ("DNAT --to-destination 10.1.0.2:80-90", "10.1.0.2:0"),
        ("DNAT --to-destination 10.1.0.2:80 --persistent", "10.1.0.2:80"),
        ("REDIRECT --to-ports 81", f"{OWN}:81"),
        ("REDIRECT", f"{OWN}:8080"),
    ],
)
def test_a_target_says_where(target: str, where: str) -> None:
    assert nat(f"-A PREROUTING -j {target}") == where


def test_from_the_host_itself_redirect_leads_to_loopback() -> None:
    packet = replace(PACKET, in_device="", source=OWN)
    assert nat("-A OUTPUT -j REDIRECT --to-ports 81", packet=packet, origin=HOST) == "127.0.0.1:81"


ANOTHER = "-j DNAT --to-destination 10.1.0.3:80"
IF = "-m set --match-set x src"


@pytest.mark.parametrize(
    ("lines", "where", "shadowed", "ifs"),
    [
        ([f"PREROUTING {WEB}", f"PREROUTING {ANOTHER}"], "10.1.0.2:80", 1, 0),
        (["PREROUTING -j A", f"A {WEB}", f"PREROUTING {ANOTHER}"], "10.1.0.2:80", 1, 0),
        (["PREROUTING -j A", "A -p udp -j ACCEPT", f"PREROUTING {WEB}"], "10.1.0.2:80", 0, 0),
        (["PREROUTING -j A", "A -j RETURN", f"A {ANOTHER}", f"PREROUTING {WEB}"], "10.1.0.2:80",
         1, 0),
        (["PREROUTING -g A", "A -p udp -j RETURN", f"PREROUTING {WEB}"], "", 1, 0),
        (["PREROUTING -j B", "B -g A", f"B {ANOTHER}", "A -p udp -j DROP", f"PREROUTING {WEB}"],
         "10.1.0.2:80", 1, 0),
        (["PREROUTING -j ACCEPT", f"PREROUTING {WEB}"], "", 1, 0),
        ([f"PREROUTING {IF} {ANOTHER}", f"PREROUTING {WEB}"], "10.1.0.2:80", 0, 1),
        ([f"PREROUTING {IF} -j A", f"A {ANOTHER}", f"PREROUTING {WEB}"], "10.1.0.2:80", 0, 1),
        (["PREROUTING -j A", f"A {IF} -j RETURN", f"A {ANOTHER}", f"PREROUTING {WEB}"],
         "10.1.0.2:80", 0, 1),
        ([f"PREROUTING {WEB}", f"PREROUTING {IF} {ANOTHER}"], "10.1.0.2:80", 0, 0),
        (["PREROUTING -j SOMETHING --new", f"PREROUTING {WEB}"], "10.1.0.2:80", 0, 1),
        (["PREROUTING -j LOG --log-prefix x", f"PREROUTING {WEB}"], "10.1.0.2:80", 0, 0),
        (["PREROUTING -j MARK --set-xmark 0x4/0x4", f"PREROUTING -m mark --mark 0x4/0x4 {WEB}"],
         "10.1.0.2:80", 0, 0),
        ([f"PREROUTING {IF} -j MARK --set-xmark 0x4/0x4",
          f"PREROUTING -m mark --mark 0x4/0x4 {WEB}"], "", 0, 1),
    ],
)  # fmt: skip
def test_the_first_that_surely_decides_wins(
    lines: list[str], where: str, shadowed: int, ifs: int
) -> None:
    journey = send(table("nat", *[f"-A {line}" for line in lines]))

    arrived = journey.arrived
    assert (f"{arrived.destination}:{arrived.port}" if journey.translation else "") == where
    events = [
        each
        for each in journey.events("prerouting")
        if each.shadow and not each.doubts and isinstance(each.effect, Translate)
    ]
    assert len(events) == shadowed
    assert len([each for each in doubtful(journey) if each[0] == "prerouting"]) == ifs


def test_a_loop_of_chains_ends() -> None:
    journey = send(table("nat", "-A PREROUTING -j A", "-A A -j B", "-A B -j A"))

    assert journey.translation is None


def test_many_ways_round_a_loop_are_one() -> None:
    asked = []

    def count(_: Packet, __: Surroundings) -> bool:
        asked.append(True)
        # Without an end there would be no answer to compare with what is expected.
        if len(asked) > 100:
            raise RuntimeError("round and round")
        return True

    def doubled(here: str, there: str) -> tuple[Rule, ...]:
        parts = (Match("", count), Go(there))
        return (Rule(place="", chain=here, text="", comment="", parts=parts),) * 2

    found = Table(NFT, "ip", "t", {"A": doubled("A", "B"), "B": doubled("B", "A")})

    walk(found, "A", PACKET, HERE)

    # Both of A's, and for each of them both of B's, which lead back.
    assert len(asked) == 6


def test_hooks_are_passed_in_the_kernels_order() -> None:
    nothing = table("nat", f"-A PREROUTING {WEB}", "-A POSTROUTING -d 10.1.0.2/32 -j MASQUERADE")
    filtered = table("filter", "-A FORWARD -d 10.1.0.2/32 -o br1 -p tcp --dport 80 -j DROP")

    open_way = send(nothing)
    closed = send(filtered, nothing)

    assert open_way.hidden is not None
    assert (closed.stopped_at, closed.hidden) == ("forward", None)
    assert send(table("raw", "-A PREROUTING -j DROP"), nothing).translation is None
    untracked = send(table("raw", "-A PREROUTING -j CT --notrack"), nothing)
    assert (untracked.translation, untracked.device) == (None, "lo")


def test_a_policy_ends_what_nothing_decides() -> None:
    forwarding = table("nat", f"-A PREROUTING {WEB}")
    closed = table("filter", "-A FORWARD -p udp -j ACCEPT", policy="DROP")
    ajar = table("filter", "-A FORWARD -p tcp -j ACCEPT", policy="DROP")

    assert send(forwarding, closed).policy == "chain FORWARD of nf_tables table ip filter"
    assert not send(forwarding, ajar).over


def test_the_host_reaches_itself_by_lo_and_is_translated_once() -> None:
    packet = replace(PACKET, in_device="", source=OWN)
    guard = table("raw", "-A PREROUTING ! -i lo -j DROP")
    both = table("nat", f"-A PREROUTING {WEB}")

    journey = send(guard, both, packet=packet, origin=HOST)

    assert (journey.over, journey.translation, journey.device) == (False, None, "lo")


def test_both_worlds_at_once_are_told() -> None:
    tables = [
        *parse_tables(table("nat", f"-A PREROUTING {WEB}"), NFT, 4, {}),
        *parse_tables(table("nat", f"-A PREROUTING {ANOTHER}"), LEGACY, 4, {}),
    ]

    assert travel(tables, PACKET, OUTSIDE, HERE).ambiguous
    assert not travel(tables[:1], PACKET, OUTSIDE, HERE).ambiguous


def test_the_younger_of_one_priority_is_asked_first() -> None:
    def translated(order: Callable[[str], int]) -> str:
        tables = [
            each
            for name, rule in (("old", WEB), ("young", ANOTHER))
            for each in parse_tables(
                table("nat", f"-A PREROUTING {rule}"),
                NFT,
                4,
                {("ip", "nat", "PREROUTING"): order(name)},
            )
        ]
        return travel(tables, PACKET, OUTSIDE, HERE).arrived.destination

    assert translated(lambda name: {"old": 0, "young": -1}[name]) == "10.1.0.3"
    assert translated(lambda name: {"old": -1, "young": 0}[name]) == "10.1.0.2"
