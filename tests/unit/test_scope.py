"""What the text of a rule says about the packets it is for."""

import pytest

from mesos_cni_port_mapper.portmap.scope import Scope, scope_of
from tests.unit.plans import FORWARD

PORT = ((8080, 8080),)


@pytest.mark.parametrize(
    ("rule", "scope"),
    [
        ("-j RETURN", Scope(target="RETURN")),
        ("-g ELSEWHERE", Scope(target="ELSEWHERE")),
        ("-p tcp -m tcp --dport 8080", Scope(protocol="tcp", ports=PORT)),
        (
            "-d 192.0.2.1/32 ! -i docker0 -p udp -m udp --dport 8080 -j DNAT --to-destination "
            "192.0.2.9:80",
            Scope(target="DNAT", protocol="udp", destination="192.0.2.1/32", ports=PORT),
        ),
        (
            "-p tcp -m multiport --dports 22,8000:8090 -j REDIRECT --to-ports 1",
            Scope(target="REDIRECT", protocol="tcp", ports=((22, 22), (8000, 8090))),
        ),
        (
            "-p sctp -m sctp --dport 90: -j DROP",
            Scope(target="DROP", protocol="sctp", ports=((90, 65535),)),
        ),
        (
            "-p sctp -m sctp --dport :90 -j DROP",
            Scope(target="DROP", protocol="sctp", ports=((0, 90),)),
        ),
        (
            '-m comment --comment "-j X -d 1 --dport 5" -j DROP',
            Scope(target="DROP"),
        ),
        ("-m comment --comment -j -j DROP", Scope(target="DROP")),
    ],
)
def test_all_that_a_rule_asks_for_is_read(rule: str, scope: Scope) -> None:
    assert scope_of(rule) == scope


@pytest.mark.parametrize(
    "more",
    [
        "-s 192.0.2.0/24",
        "-i eth0",
        "! -d 192.0.2.1/32",
        "! -o eth0",
        "! -p udp",
        "-m tcp ! --dport 22",
        "-m tcp --dport ssh",
        "-m multiport --dports 22,",
        "-m multiport --ports 22",
        "-m mark --mark 0x1",
        "-m socket",
        "-f",
    ],
)
def test_what_else_it_asks_for_is_noticed(more: str) -> None:
    assert scope_of(f"{more} -j DROP") == Scope(target="DROP", narrowed=True)


@pytest.mark.parametrize(
    ("scope", "has"),
    [
        (Scope(), True),
        (Scope(protocol="tcp"), True),
        (Scope(protocol="udp"), False),
        (Scope(ports=((1, 8079),)), False),
        (Scope(ports=((1, 8080),)), True),
        (Scope(ports=((8082, 9000),)), True),
        (Scope(ports=((8083, 9000),)), False),
        (Scope(ports=((22, 22), (8081, 8081))), True),
    ],
)
def test_a_port_of_ours_is_among_those_of_a_rule(scope: Scope, has: bool) -> None:
    assert scope.has_port_of(FORWARD.but(port_count=3)) == has
