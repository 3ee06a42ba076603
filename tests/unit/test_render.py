"""Rules in the words of iptables."""

import pytest

from mesos_cni_port_mapper.portmap.render import render_rule
from mesos_cni_port_mapper.portmap.rule import (
    Dnat,
    Drop,
    Jump,
    Mark,
    Masquerade,
    Return,
    Rule,
)

TAG = "container_id: web-1 network: net ifname: eth0"
COMMENT = f'-m comment --comment "{TAG}"'
ONE = Rule(
    target=Dnat(address="192.0.2.2", first_port=80, matched_from=8080),
    protocol="tcp",
    host_port=8080,
    tag=TAG,
)
TO_ONE = "-j DNAT --to-destination 192.0.2.2:80"


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        pytest.param(ONE, f"-p tcp -m tcp --dport 8080 {COMMENT} {TO_ONE}", id="one port"),
        pytest.param(
            ONE.but(not_in_device="cni0"),
            f"! -i cni0 -p tcp -m tcp --dport 8080 {COMMENT} {TO_ONE}",
            id="an excluded device",
        ),
        pytest.param(
            ONE.but(in_device="veth+", target=Return()),
            f"-i veth+ -p tcp -m tcp --dport 8080 {COMMENT} -j RETURN",
            id="a guard",
        ),
        pytest.param(
            ONE.but(destination="198.51.100.1/32"),
            f"-d 198.51.100.1/32 -p tcp -m tcp --dport 8080 {COMMENT} {TO_ONE}",
            id="an address of the host",
        ),
        pytest.param(
            ONE.but(protocol="sctp"),
            f"-p sctp -m sctp --dport 8080 {COMMENT} {TO_ONE}",
            id="another protocol",
        ),
        pytest.param(
            ONE.but(port_count=3, target=Dnat(address="192.0.2.2", count=3, matched_from=8080)),
            f"-p tcp -m tcp --dport 8080:8082 {COMMENT} -j DNAT --to-destination 192.0.2.2",
            id="a run to itself",
        ),
        pytest.param(
            ONE.but(
                port_count=3,
                target=Dnat(address="192.0.2.2", first_port=80, count=3, matched_from=8080),
            ),
            f"-p tcp -m tcp --dport 8080:8082 {COMMENT} "
            "-j DNAT --to-destination 192.0.2.2:80-82/8080",
            id="a run that is shifted",
        ),
        pytest.param(
            ONE.but(
                port_count=2,
                target=Dnat(address="192.0.2.2", first_port=80, count=2, matched_from=8080),
            ),
            f"-p tcp -m tcp --dport 8080:8081 {COMMENT} "
            "-j DNAT --to-destination 192.0.2.2:80-81/8080",
            id="the shortest run",
        ),
        pytest.param(
            ONE.but(target=Dnat(address="2001:db8::2", first_port=80)),
            f"-p tcp -m tcp --dport 8080 {COMMENT} -j DNAT --to-destination [2001:db8::2]:80",
            id="an IPv6 address with a port",
        ),
        pytest.param(
            ONE.but(target=Dnat(address="2001:db8::2", count=2), port_count=2),
            f"-p tcp -m tcp --dport 8080:8081 {COMMENT} -j DNAT --to-destination 2001:db8::2",
            id="an IPv6 address without",
        ),
        pytest.param(
            Rule(target=Jump(chain="CHAIN"), to_local_address=True),
            "-m addrtype --dst-type LOCAL -j CHAIN",
            id="the jump from PREROUTING",
        ),
        pytest.param(
            Rule(target=Jump(chain="CHAIN"), not_destination="127.0.0.0/8", to_local_address=True),
            "! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j CHAIN",
            id="the jump from OUTPUT",
        ),
        pytest.param(Rule(target=Return()), "-j RETURN", id="a rule for everything"),
        pytest.param(
            Rule(
                target=Masquerade(),
                source="192.0.2.0/24",
                destination="192.0.2.2/32",
                translated=True,
                tag=TAG,
            ),
            f"-s 192.0.2.0/24 -d 192.0.2.2/32 -m conntrack --ctstate DNAT {COMMENT} -j MASQUERADE",
            id="what is masqueraded by its source",
        ),
        pytest.param(
            Rule(target=Masquerade(), destination="192.0.2.2/32", marked=0x2000, tag=TAG),
            f"-d 192.0.2.2/32 -m mark --mark 0x2000/0x2000 {COMMENT} -j MASQUERADE",
            id="what is masqueraded by its mark",
        ),
        pytest.param(
            ONE.but(target=Mark(bits=0x80000000), source="192.0.2.0/24"),
            f"-s 192.0.2.0/24 -p tcp -m tcp --dport 8080 {COMMENT} "
            "-j MARK --set-xmark 0x80000000/0x80000000",
            id="a mark",
        ),
        pytest.param(
            ONE.but(target=Jump(chain="KUBE-MARK-MASQ")),
            f"-p tcp -m tcp --dport 8080 {COMMENT} -j KUBE-MARK-MASQ",
            id="another's mark",
        ),
        pytest.param(
            Rule(target=Drop(), destination="127.0.0.0/8", not_in_device="lo", tag=TAG),
            f"-d 127.0.0.0/8 ! -i lo {COMMENT} -j DROP",
            id="the guard of loopback",
        ),
        pytest.param(
            ONE.but(conditions=("!", "-s", "192.0.2.0/24")),
            f"-p tcp -m tcp --dport 8080 ! -s 192.0.2.0/24 {COMMENT} {TO_ONE}",
            id="conditions",
        ),
    ],
)
def test_a_rule_is_rendered(rule: Rule, text: str) -> None:
    assert render_rule(rule) == text
