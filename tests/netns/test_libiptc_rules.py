"""Without iptables(8), rules go in and come out to the letter as they do with it."""

from collections.abc import Iterator

import pytest

from mesos_cni_port_mapper.netfilter.batch import plan_agreement, plan_insertion
from mesos_cni_port_mapper.portmap.listing import parse_listing
from mesos_cni_port_mapper.portmap.mapping import PortMapping
from mesos_cni_port_mapper.portmap.plan import plan_forwarding
from mesos_cni_port_mapper.portmap.rule import IPV4, IPV6, NAT, RAW, Plan
from tests.netns.libiptc import Tables, tables_of
from tests.support.gate import need_host
from tests.support.host import Host
from tests.unit.wishes import mapping, wish

TABLES = ((IPV4, RAW), (IPV4, NAT), (IPV6, NAT))
BOTH = ("192.0.2.2/24", "2001:db8::2/64")
MAPPINGS = (
    mapping(8080),
    mapping(8080, 80, "udp"),
    mapping(8080, 80, "sctp"),
    mapping(9000, host_address="127.0.0.1"),
    mapping(9001, host_address="198.51.100.1"),
    mapping(9001, host_address="2001:db8:1::1"),
    *[mapping(5000 + index, 5000 + index) for index in range(10)],
    *[mapping(6000 + index, 7000 + index, "udp") for index in range(10)],
)
PLANS = {
    "plain": wish("web-1", *MAPPINGS, addresses=BOTH),
    "devices": wish("web-2", *MAPPINGS, addresses=BOTH, devices=("cni0", "br+", "veth1")),
    "traffic": wish(
        "web-3", *MAPPINGS, addresses=BOTH, devices=("cni0",), snat=True, localhost=True
    ),
    "mark": wish("web-4", *MAPPINGS, addresses=BOTH, snat=True, mark=0x2000),
    "mark chain": wish("web-5", *MAPPINGS, addresses=BOTH, snat=True, mark_chain="MARKS"),
    "everything": wish("web-6", *MAPPINGS, addresses=BOTH, masquerade_all=True),
    "conditions": wish(
        "web-7",
        *MAPPINGS,
        addresses=BOTH,
        conditions_v4=("-m", "limit", "--limit", "5/min", "--limit-burst", "7"),
        conditions_v6=("-m", "iprange", "--src-range", "2001:db8::1-2001:db8::9"),
    ),
    "source": wish("web-8", *MAPPINGS, conditions_v4=("!", "-s", "203.0.113.0/24")),
}

OTHERS = {
    4: """
        -s 10.1.0.0/255.255.0.255 ! -i + -j ACCEPT
        -i eth0 ! -o eth+ -j RETURN
        -o fifteen-letters -p 47 -g C
        ! -f -g C
        -f -j C
        ! -p tcp -j C

        -m comment --comment plain
        -m limit --limit 5/min -m limit --limit 6/hour -m comment --comment two -j C
        -m comment --comment "'single' \\"double\\" \\\\ back"
        -p tcp -m tcp --tcp-flags SYN,RST SYN ! --dport 1:5 --sport 7 -j C
        -p tcp --syn --dport 80 -j REDIRECT --to-ports 5-7 --random
        -p tcp -m multiport --dports 1,3:5 -m state --state NEW -j C
        -j DNAT --to-destination 1.2.3.4-1.2.3.9 --random --persistent
        -m conntrack ! --ctstate INVALID --ctorigdst 1.2.3.0/24 --ctdir ORIGINAL -j C
        -m conntrack --ctstatus SEEN_REPLY,EXPECTED -j C
        -p icmp -m icmp --icmp-type 8 -j LOG --log-prefix "x y" --log-level 3
        -m recent --name foo --update --seconds 5 --hitcount 3 -j C
        -m statistic --mode random --probability 0.3 -j C
        -m addrtype ! --src-type LOCAL,BROADCAST --limit-iface-in -j C
        -m mark ! --mark 5 -j MARK --set-mark 7
        -m connmark --mark 0x1/0xff -j CONNMARK --save-mark
        -m hashlimit --hashlimit-upto 5/sec --hashlimit-name x --hashlimit-mode srcip,dstport -j C
        -m mac --mac-source 00:11:22:33:44:55 -j C
        -m string --string "a b" --algo bm -j C
        -m u32 --u32 0>>22&0x3C@0>>24=0 -j C
        ! -s 0.0.0.0/0 -j C
        -s 0.0.0.0 -d 10.0.0.0/0 -j C
        -p 58 -j C
        -p 112 -j C
        -p udplite -j NFLOG --nflog-group 3 --nflog-prefix hi
        -j NETMAP --to 10.0.0.0/24
    """,
    6: """
        ! -s fd00::/64 -d ::1 -j RETURN
        -s fd00::/ffff:0:ffff:: -d ::/0 -j C
        ! -p ipv6-icmp -j C
        -p icmpv6 -m icmp6 --icmpv6-type 128 -j C
        -i veth+ ! -o eth0 -p esp -g C
        -m frag --fragfirst -m hl --hl-eq 5 -j C
        -p mh -j C
    """,
}
CASES = [
    (family, rule.strip()) for family, rules in OTHERS.items() for rule in rules.split("\n")[1:-1]
]


@pytest.fixture(scope="module")
def shared() -> Iterator[Tables]:
    """Return the tables of a host that all tests here share."""
    need_host("legacy")
    with Host("legacy") as host:
        yield tables_of(host)


@pytest.fixture
def tables(shared: Tables) -> Tables:
    """Return them, empty."""
    for family, table in TABLES:
        shared.empty(family, table)
    return shared


def insertion(plan: Plan) -> list[str]:
    """Return the first lines of a plan in a table where the chain for marks is somebody else's."""
    others = ["-N MARKS"] if "MARKS" in str(plan) else []
    return [*others, *plan_insertion(plan, ())]


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_s_rules_are_those_that_iptables_restore_makes(tables: Tables, name: str) -> None:
    for plan in plan_forwarding(PLANS[name]):
        lines = insertion(plan)
        assert tables.real_restore(*lines, family=plan.family, table=plan.table) == 0
        wanted = tables.real_save(plan.family, plan.table)
        tables.empty(plan.family, plan.table)

        assert tables.restore(*lines, family=plan.family, table=plan.table) == (0, "")

        assert tables.real_save(plan.family, plan.table) == wanted
        assert tables.save(plan.family, plan.table) == wanted
        tables.empty(plan.family, plan.table)


# A condition that is no match is printed in another place than it was asked for in.
@pytest.mark.parametrize("name", [name for name in PLANS if name != "source"])
def test_what_a_listing_says_is_what_the_planner_finds_and_what_goes(
    tables: Tables, name: str
) -> None:
    for plan in plan_forwarding(PLANS[name]):
        tables.restore(*insertion(plan), family=plan.family, table=plan.table)
        listing = parse_listing("\n".join(tables.save(plan.family, plan.table)).encode())
        leaving = plan.but(chains=tuple(chain.but(rules=()) for chain in plan.chains))

        assert plan_agreement(listing, [plan]) == []
        gone = plan_agreement(listing, [leaving])
        assert tables.restore(*gone, family=plan.family, table=plan.table) == (0, "")

        assert [line for line in tables.real_save(plan.family, plan.table) if "-A" in line] == []
        tables.empty(plan.family, plan.table)


@pytest.mark.parametrize(("family", "rule"), CASES)
def test_others_rules_come_out_and_go_in_as_they_are(
    tables: Tables, family: int, rule: str
) -> None:
    lines = ["-N C", "-N OTHERS", "-A PREROUTING -j OTHERS", f"-A OTHERS {rule}"]
    if "-o " in rule:
        lines[2] = "-A POSTROUTING -j OTHERS"
    assert tables.real_restore(*lines, family=family) == 0
    wanted = tables.real_save(family)
    assert tables.save(family) == wanted
    tables.empty(family)

    assert tables.restore(*lines, family=family) == (0, "")

    assert tables.real_save(family) == wanted
    [printed] = [line[3:] for line in wanted if line.startswith("-A OTHERS")]
    # Not all that is printed is found again, by neither program: "! -i +" is not even printed.
    found = tables.real_restore(f"-C {printed}", family=family) == 0
    assert (tables.restore(f"-D {printed}", family=family)[0] == 0) == found
    assert (tables.rules("OTHERS", family) == []) == (found or printed == "OTHERS")


def test_bytes_that_are_no_text_come_back_as_they_were(tables: Tables) -> None:
    line = '-A OUTPUT -m comment --comment "caf\udce9" -j ACCEPT'
    tables.restore("-N CH\udce9", line)

    assert line in tables.save()
    assert ":CH\udce9 - [0:0]" in tables.save()

    assert tables.restore(line.replace("-A", "-D"), "-X CH\udce9") == (0, "")
    assert line not in tables.real_save()


def test_the_tag_of_another_is_not_taken_for_it(tables: Tables) -> None:
    rule = '-m comment --comment "container_id: {} network: net ifname: eth0" -j RETURN'
    tables.restore("-N CHAIN", *[f"-A CHAIN {rule.format(name)}" for name in ("web-1", "web-10")])

    assert tables.restore(f"-D CHAIN {rule.format('web')}")[0] == 1
    assert tables.restore(f"-D CHAIN {rule.format('web-1')}") == (0, "")

    assert tables.rules("CHAIN") == [f"-A CHAIN {rule.format('web-10')}"]


def test_five_hundred_ports_go_in_and_out(tables: Tables) -> None:
    ports: tuple[PortMapping, ...] = tuple(mapping(10_000 + 2 * index) for index in range(500))
    [plan] = plan_forwarding(wish("web-1", *ports))
    lines = plan_insertion(plan, ())

    assert tables.restore(*lines) == (0, "")

    assert len(tables.rules("CHAIN")) == 500
    assert tables.save() == tables.real_save()
