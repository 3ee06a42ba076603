"""ptp: the pair and the routes it plans, and what it refuses."""

from typing import Any

import pytest

from delegates import operations as ops
from delegates.link_plugin import Plan
from delegates.ptp import Ptp, host_link_of, parse_leg
from delegates.results import make_result
from mesos_cni_port_mapper.cni.request import Request
from tests.unit.delegates.ipam_requests import refusal

V4 = {"address": "10.1.2.5/16", "gateway": "10.1.0.1"}
V6 = {"address": "fd00:1::5/64", "gateway": "fd00:1::1"}
LINK_SCOPE, HOST_SCOPE = 253, 254


def request(container_id: str = "web", **netconf: Any) -> Request:
    return Request(
        command="ADD",
        container_id=container_id,
        ifname="eth0",
        netns="/run/netns/web",
        path=("/opt/cni/bin",),
        environ={},
        netconf={"name": "net", "type": "ptp", "ipam": {"type": "host-local"}, **netconf},
        version="1.0.0",
    )


def plan(*ips: dict[str, Any], routes: tuple[dict[str, Any], ...] = (), **netconf: Any) -> Plan:
    asked = request(**netconf)
    given = make_result([], ips, routes, {"domain": "of.ipam"})
    return Ptp().plan(asked, Ptp().parse(asked), given)


def steps(made: Plan, kind: type[ops.Operation]) -> list[Any]:
    return [step for step in made.operations if isinstance(step, kind)]


def test_an_attachment_is_planned_in_the_order_it_needs() -> None:
    made = plan(V4, routes=({"dst": "0.0.0.0/0"},), mtu=1400, ipMasq=True)
    host = host_link_of(request())

    assert list(made.operations) == [
        ops.BeginShared(),
        ops.SetSysctl(where=ops.HOST, name="net/ipv4/ip_forward", value="1"),
        ops.EndShared(),
        ops.CreateVeth(name=host, peer="eth0", mtu=1400),
        ops.SetSysctl(
            where=ops.HOST, name=f"net/ipv6/conf/{host}/accept_ra", value="0", optional=True
        ),
        ops.SetUp(where=ops.HOST, link=host),
        ops.AddAddress(where=ops.SANDBOX, link="eth0", address="10.1.2.5/16"),
        ops.SetUp(where=ops.SANDBOX, link="eth0"),
        ops.AddRoute(
            where=ops.SANDBOX,
            link="eth0",
            destination="0.0.0.0/0",
            gateway="10.1.0.1",
            shared=True,
        ),
        ops.RemoveRoute(
            where=ops.SANDBOX, link="eth0", destination="10.1.0.0/16", scope=LINK_SCOPE
        ),
        ops.AddRoute(
            where=ops.SANDBOX,
            link="eth0",
            destination="10.1.0.1/32",
            scope=LINK_SCOPE,
            source="10.1.2.5",
            shared=True,
        ),
        ops.AddRoute(
            where=ops.SANDBOX,
            link="eth0",
            destination="10.1.0.0/16",
            gateway="10.1.0.1",
            source="10.1.2.5",
        ),
        ops.AddAddress(where=ops.HOST, link=host, address="10.1.0.1/32"),
        ops.AddRoute(where=ops.HOST, link=host, destination="10.1.2.5/32", scope=HOST_SCOPE),
        ops.Masquerade(network="net", container_id="web", ifname="eth0", sources=("10.1.2.5/16",)),
    ]


def test_the_result_lists_the_hosts_end_first() -> None:
    made = plan(V4, V6)

    assert made.interfaces == [(ops.HOST, host_link_of(request())), (ops.SANDBOX, "eth0")]
    assert list(made.ips) == [{**V4, "interface": 1}, {**V6, "interface": 1}]


@pytest.mark.parametrize(
    ("ips", "names"),
    [
        ((V4,), ["net/ipv4/ip_forward"]),
        ((V6,), ["net/ipv6/conf/all/forwarding"]),
        ((V6, V4), ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"]),
    ],
    ids=["IPv4", "IPv6", "both"],
)
def test_the_host_forwards_the_families_in_use(ips: Any, names: list[str]) -> None:
    shared = [step.name for step in steps(plan(*ips), ops.SetSysctl) if not step.optional]

    assert shared == names


def test_ipv6_addresses_are_waited_for_before_their_routes_change() -> None:
    kinds = [type(step) for step in plan(V6).operations]

    assert kinds.index(ops.AwaitAddresses) < kinds.index(ops.RemoveRoute)


def test_a_route_without_a_gateway_leads_to_the_first_of_its_family() -> None:
    second = {"address": "10.2.2.5/16", "gateway": "10.2.0.1"}
    made = plan(V6, V4, second, routes=({"dst": "10.9.0.0/16"}, {"dst": "::/0"}))
    ways = {step.destination: step.gateway for step in steps(made, ops.AddRoute)}

    assert (ways["10.9.0.0/16"], ways["::/0"]) == ("10.1.0.1", "fd00:1::1")


def test_a_gateway_of_two_addresses_is_given_once() -> None:
    made = plan(V4, {"address": "10.1.9.9/16", "gateway": "10.1.0.1"})
    on_host = [step.address for step in steps(made, ops.AddAddress) if step.where == ops.HOST]

    assert on_host == ["10.1.0.1/32"]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.1.2.5/16", "10.1.0.0/16"),
        ("10.1.2.5/32", "10.1.2.5/32"),
        ("10.1.2.5/31", "10.1.2.4/31"),
        ("fd00:1::5/64", "fd00:1::/64"),
        ("fd00:1::5/128", "fd00:1::5/128"),
    ],
)
def test_an_address_is_in_its_network(address: str, network: str) -> None:
    assert parse_leg({"address": address, "gateway": "10.1.0.1"}).network == network


def test_a_network_of_one_address_gets_no_route() -> None:
    made = plan({"address": "10.1.2.5/32", "gateway": "169.254.1.1"})
    inside = [step.destination for step in steps(made, ops.AddRoute) if step.where == ops.SANDBOX]

    assert inside == ["169.254.1.1/32"]


def test_an_address_without_a_gateway_is_refused() -> None:
    code, words = refusal(lambda: plan({"address": "10.1.2.5/16"}))

    assert code == 999
    assert "10.1.2.5/16" in words


def test_no_address_is_refused() -> None:
    assert refusal(plan)[0] == 999


@pytest.mark.parametrize("ipam", [None, {}, {"type": ""}])
def test_no_ipam_is_refused_by_add_and_of_no_interest_to_del(ipam: Any) -> None:
    asked = request(ipam=ipam)
    kernel: Any = None

    assert refusal(lambda: Ptp().complete(asked, Ptp().parse(asked), kernel))[0] == 7
    assert len(Ptp().plan_removal(asked, Ptp().parse(asked))) == 2


@pytest.mark.parametrize("netconf", [{"mtu": -1}, {"mtu": 65536}, {"mtu": "1400"}, {"ipMasq": 1}])
def test_what_is_no_setting_is_refused(netconf: dict[str, Any]) -> None:
    code, words = refusal(lambda: Ptp().parse(request(**netconf)))

    assert (code, words.partition(":")[0]) == (7, next(iter(netconf)))


@pytest.mark.parametrize(
    ("dns", "expected"), [({}, {"domain": "of.ipam"}), ({"domain": "own"}, {"domain": "own"})]
)
def test_name_servers_are_the_networks_or_else_ipams(dns: Any, expected: Any) -> None:
    assert plan(V4, dns=dns).dns == expected


def test_removal_takes_both_ends_and_then_nothing_else() -> None:
    asked = request()

    assert Ptp().plan_removal(asked, Ptp().parse(asked)) == [
        ops.DeleteLink(where=ops.SANDBOX, name="eth0"),
        ops.DeleteLink(where=ops.HOST, name=host_link_of(asked)),
    ]


def test_removal_begins_with_the_rules_while_the_addresses_can_be_looked_up() -> None:
    previous = {"cniVersion": "1.0.0", "ips": [V4]}
    asked = request(ipMasq=True, prevResult=previous)

    assert Ptp().plan_removal(asked, Ptp().parse(asked))[0] == ops.RemoveMasquerade(
        network="net", container_id="web", ifname="eth0", sources=("10.1.2.5/16",)
    )


def test_the_hosts_end_is_named_for_the_attachment() -> None:
    names = {
        host_link_of(request()),
        host_link_of(request("db")),
        host_link_of(request(name="other")),
        host_link_of(request().but(ifname="eth1")),
    }

    assert len(names) == 4
    assert host_link_of(request()) == host_link_of(request(mtu=1400))
    assert all(name.startswith("veth") and len(name) == 15 for name in names)
