"""macvlan, ipvlan and vlan: what they plan, and what they refuse before anything is done."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from delegates import operations as ops
from delegates.facts import Link, Route
from delegates.ipvlan import Ipvlan
from delegates.link_plugin import Plan
from delegates.macvlan import Macvlan
from delegates.results import make_result
from delegates.sublink import SublinkPlugin
from delegates.vlan import Vlan
from mesos_cni_port_mapper.cni.request import Request
from tests.unit.delegates.ipam_requests import refusal

GIVEN = make_result(
    [],
    [
        {"address": "192.0.2.5/24", "gateway": "192.0.2.1"},
        {"address": "2001:db8::5/64", "gateway": "2001:db8::1"},
    ],
    [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}, {"dst": "10.0.0.0/8", "gw": "192.0.2.9"}],
)
BEFORE = {
    "cniVersion": "1.0.0",
    "interfaces": [{"name": "eth1"}],
    "ips": [{"address": "192.0.2.9/24"}],
}


def link(name: str, index: int, **fields: Any) -> Link:
    common = {"mac": "02:00:00:00:00:01", "mtu": 1500, "up": True, "running": True}
    rest = {"promiscuous": False, "master": 0, "parent": 0, "kind": "", "data": {}}
    return Link(index=index, name=name, **{**common, **rest, **fields})


@dataclass
class KnownKernel:
    """A host with two links and the routes given; a container with one link, if any."""

    ways: list[Route] = field(default_factory=list)
    inside: Link | None = None

    def link(self, where: str, name: str, with_data: bool = False) -> Link | None:
        if where == ops.SANDBOX:
            return self.inside
        return {"eth0": link("eth0", 2), "eth1": link("eth1", 3)}.get(name)

    def link_at(self, where: str, index: int) -> Link | None:
        return {2: link("eth0", 2), 3: link("eth1", 3)}[index]

    def routes(self, where: str) -> list[Route]:
        return self.ways


def request(cni_args: str = "", **netconf: Any) -> Request:
    base = {"name": "net", "master": "eth0", "ipam": {"type": "host-local"}}
    return Request(
        command="ADD",
        container_id="web",
        ifname="eth0",
        netns="/run/netns/web",
        path=("/opt/cni/bin",),
        environ={"CNI_ARGS": cni_args} if cni_args else {},
        netconf={**base, **netconf},
        version="1.0.0",
    )


def completed(plugin: SublinkPlugin, asked: Request, kernel: Any = None) -> Any:
    known: Any = kernel or KnownKernel()
    return plugin.complete(asked, plugin.parse(asked), known)


def plan(plugin: SublinkPlugin, given: Any = GIVEN, **netconf: Any) -> Plan:
    asked = request(**netconf)
    return plugin.plan(asked, completed(plugin, asked), given)


def created(made: Plan) -> ops.CreateLink:
    (create,) = [step for step in made.operations if isinstance(step, ops.CreateLink)]
    return create


def setting(name: str, value: str) -> ops.SetSysctl:
    return ops.SetSysctl(where=ops.SANDBOX, name=name, value=value, optional=True)


def test_a_macvlan_is_planned_in_the_order_it_needs() -> None:
    made = plan(Macvlan())

    def route(destination: str, gateway: str) -> ops.AddRoute:
        place = {"where": ops.SANDBOX, "link": "eth0", "shared": True}
        return ops.AddRoute(destination=destination, gateway=gateway, **place)  # type: ignore[arg-type]

    assert list(made.operations) == [
        ops.CreateLink(name="eth0", kind="macvlan", parent="eth0", mode=4),
        setting("net/ipv4/conf/eth0/arp_notify", "1"),
        setting("net/ipv6/conf/lo/disable_ipv6", "0"),
        setting("net/ipv6/conf/eth0/disable_ipv6", "0"),
        ops.AddAddress(where=ops.SANDBOX, link="eth0", address="192.0.2.5/24"),
        ops.AddAddress(where=ops.SANDBOX, link="eth0", address="2001:db8::5/64"),
        ops.SetUp(where=ops.SANDBOX, link="eth0"),
        route("0.0.0.0/0", "192.0.2.1"),
        route("::/0", "2001:db8::1"),
        route("10.0.0.0/8", "192.0.2.9"),
        ops.AwaitAddresses(where=ops.SANDBOX, link="eth0"),
    ]


def test_a_result_lists_one_interface_which_has_the_addresses() -> None:
    made = plan(Vlan(), vlanId=5)

    assert made.interfaces == [(ops.SANDBOX, "eth0")]
    assert [ip["interface"] for ip in made.ips] == [0, 0]
    assert list(made.routes) == GIVEN.document["routes"]


@pytest.mark.parametrize(
    ("plugin", "mode", "number"),
    [
        (Macvlan(), "", 4),
        (Macvlan(), "bridge", 4),
        (Macvlan(), "private", 1),
        (Macvlan(), "vepa", 2),
        (Macvlan(), "passthru", 8),
        (Ipvlan(), "", 0),
        (Ipvlan(), "l2", 0),
        (Ipvlan(), "l3", 1),
        (Ipvlan(), "l3s", 2),
    ],
)
def test_a_mode_is_the_kernels_number(plugin: SublinkPlugin, mode: str, number: int) -> None:
    assert created(plan(plugin, mode=mode)).mode == number


@pytest.mark.parametrize("plugin", [Macvlan(), Ipvlan()])
def test_an_unknown_mode_is_refused_by_add_and_of_no_interest_to_del(plugin: Any) -> None:
    asked = request(mode="source")

    assert refusal(lambda: completed(plugin, asked))[0] == 7
    assert plugin.plan_removal(asked, plugin.parse(asked)) == [
        ops.DeleteLink(where=ops.SANDBOX, name="eth0")
    ]


@pytest.mark.parametrize(("configured", "expected"), [(None, 0), (0, 0), (5, 5), (4094, 4094)])
def test_a_vlan_has_the_configured_id(configured: int | None, expected: int) -> None:
    assert created(plan(Vlan(), vlanId=configured)).vlan_id == expected


@pytest.mark.parametrize("configured", [-1, 4095, "5", True])
def test_an_id_that_no_vlan_has_is_refused(configured: object) -> None:
    code, words = refusal(lambda: Vlan().parse(request(vlanId=configured)))

    assert (code, words.partition(":")[0]) == (7, "vlanId")


def default(index: int, family: int = 4) -> Route:
    return Route(index=index, family=family, destination="", prefix=0)


@pytest.mark.parametrize("plugin", [Macvlan(), Ipvlan()])
def test_the_first_default_route_names_the_master(plugin: Any) -> None:
    near = Route(index=2, family=4, destination="10.0.0.0", prefix=8)
    # A route with several next hops has no link of its own.
    kernel = KnownKernel([near, default(0), default(3), default(2, family=6)])

    assert completed(plugin, request(master=""), kernel).master == "eth1"


@pytest.mark.parametrize("plugin", [Macvlan(), Ipvlan()])
def test_without_a_default_route_a_master_is_missed(plugin: Any) -> None:
    code, words = refusal(lambda: completed(plugin, request(master="")))

    assert (code, words.partition(":")[0]) == (999, "master")


def test_a_vlan_is_never_put_on_the_default_routes_link() -> None:
    assert refusal(lambda: Vlan().parse(request(master="")))[0] == 7


@pytest.mark.parametrize("plugin", [Macvlan(), Ipvlan(), Vlan()])
def test_a_master_that_is_not_there_is_named(plugin: Any) -> None:
    code, words = refusal(lambda: completed(plugin, request(master="eth9")))

    assert code == 999
    assert "eth9" in words


@pytest.mark.parametrize(("plugin", "code"), [(Macvlan(), 7), (Vlan(), 7), (Ipvlan(), 0)])
def test_who_cannot_carry_a_larger_mtu_than_the_master_says_so(plugin: Any, code: int) -> None:
    if code:
        assert refusal(lambda: plan(plugin, mtu=1501)) == (
            code,
            "mtu: 1501 is more than the 1500 of eth0",
        )
    assert created(plan(plugin, mtu=1500)).mtu == 1500


def test_without_ipam_a_macvlan_is_a_link_that_is_up() -> None:
    made = plan(Macvlan(), given=None, ipam=None)

    assert [type(step) for step in made.operations] == [ops.CreateLink, ops.SetUp]
    assert (list(made.ips), list(made.routes)) == ([], [])


@pytest.mark.parametrize("plugin", [Ipvlan(), Vlan()])
def test_without_ipam_others_are_refused(plugin: Any) -> None:
    code, words = refusal(lambda: completed(plugin, request(ipam={})))

    assert (code, words.partition(":")[0]) == (7, "ipam.type")


def test_an_ipam_that_gives_no_address_fails_the_add() -> None:
    assert refusal(lambda: plan(Macvlan(), given=make_result([])))[0] == 999


def test_an_ipvlan_takes_master_and_addresses_from_what_came_before() -> None:
    made = plan(Ipvlan(), given=None, master="", ipam=None, prevResult=BEFORE)

    assert created(made).parent == "eth1"
    assert [ip["address"] for ip in made.ips] == ["192.0.2.9/24"]


def test_an_ipvlan_with_ipam_of_its_own_takes_the_master_alone() -> None:
    made = plan(Ipvlan(), master="", prevResult=BEFORE)

    assert created(made).parent == "eth1"
    assert made.ips[0]["address"] == "192.0.2.5/24"


@pytest.mark.parametrize("interfaces", [[], [{"name": "a"}, {"name": "b"}]])
def test_what_came_before_names_no_master_unless_it_is_one_interface(interfaces: Any) -> None:
    before = {**BEFORE, "interfaces": interfaces}

    assert refusal(lambda: completed(Ipvlan(), request(master="", prevResult=before)))[0] == 7


MACS = {
    "": ({}, ""),
    "02:00:00:00:00:01": ({"mac": "02-00-00-00-00-01"}, ""),
    "02:00:00:00:00:02": ({"mac": "02:00:00:00:00:01"}, "MAC=0200.0000.0002"),
    "02:00:00:00:00:03": ({"runtimeConfig": {"mac": "02:00:00:00:00:03"}}, "MAC=02:00:00:00:00:02"),
}


@pytest.mark.parametrize(("expected", "asked"), MACS.items())
def test_the_runtimes_hardware_address_counts_most(
    expected: str, asked: tuple[dict[str, Any], str]
) -> None:
    netconf, cni_args = asked

    assert completed(Macvlan(), request(cni_args, **netconf)).mac == expected


@pytest.mark.parametrize(
    ("netconf", "cni_args", "code"),
    [({"mac": "zz"}, "", 7), ({}, "MAC=zz", 4), ({"runtimeConfig": {"mac": "02:00"}}, "", 7)],
)
def test_what_is_no_hardware_address_is_refused(
    netconf: dict[str, Any], cni_args: str, code: int
) -> None:
    assert refusal(lambda: completed(Macvlan(), request(cni_args, **netconf)))[0] == code


CHECKED = [
    (Macvlan(), "macvlan", {"IFLA_MACVLAN_MODE": "bridge"}, {}),
    (Ipvlan(), "ipvlan", {"IFLA_IPVLAN_MODE": 1}, {"mode": "l3"}),
    (Vlan(), "vlan", {"IFLA_VLAN_ID": 5}, {"vlanId": 5, "mtu": 1500}),
]


def check(plugin: Any, inside: Link | None, **netconf: Any) -> None:
    asked = request(**netconf)
    plugin.check_links(asked, plugin.parse(asked), KnownKernel(inside=inside), make_result([]))


@pytest.mark.parametrize(("plugin", "kind", "data", "netconf"), CHECKED)
def test_check_is_content_with_what_was_planned(
    plugin: Any, kind: str, data: dict[str, Any], netconf: dict[str, Any]
) -> None:
    check(plugin, link("eth0", 7, kind=kind, parent=2, data=data), **netconf)


@pytest.mark.parametrize("difference", [{"kind": "veth"}, {"parent": 3}, {"data": {}}])
@pytest.mark.parametrize(("plugin", "kind", "data", "netconf"), CHECKED)
def test_check_tells_a_difference(
    plugin: Any,
    kind: str,
    data: dict[str, Any],
    netconf: dict[str, Any],
    difference: dict[str, Any],
) -> None:
    other = link("eth0", 7, kind=kind, parent=2, data=data).but(**difference)

    assert refusal(lambda: check(plugin, other, **netconf))[0] == 999


def test_check_tells_another_mtu_of_a_vlan() -> None:
    other = link("eth0", 7, kind="vlan", parent=2, mtu=1400, data={"IFLA_VLAN_ID": 5})

    assert refusal(lambda: check(Vlan(), other, vlanId=5, mtu=1500))[0] == 999
