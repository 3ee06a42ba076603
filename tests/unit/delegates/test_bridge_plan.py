"""What the bridge plugin plans, and what it refuses before anything is done."""

from typing import Any

import pytest

from delegates import operations as ops
from delegates.bridge import Bridge, first_address
from delegates.link_plugin import Plan
from delegates.results import make_result
from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.cni.request import Request

V4 = {"address": "10.1.0.5/16"}
V6 = {"address": "fd00:1::5/64"}


def request(environ: dict[str, str] | None = None, **netconf: Any) -> Request:
    return Request(
        command="ADD",
        container_id="web",
        ifname="eth0",
        netns="/run/netns/web",
        path=("/opt/cni/bin",),
        environ=environ or {},
        netconf={"name": "net", "type": "bridge", **netconf},
        version="1.0.0",
    )


def plan(*ips: dict[str, Any], routes: tuple[dict[str, Any], ...] = (), **netconf: Any) -> Plan:
    asked = request(**netconf)
    bridge = Bridge()
    given = make_result([], ips, routes) if ips else None
    return bridge.plan(asked, bridge.parse(asked), given)


def steps(made: Plan, *kinds: type[ops.Operation]) -> list[ops.Operation]:
    return [step for step in made.operations if isinstance(step, kinds)]


@pytest.mark.parametrize(
    ("address", "first"),
    [
        ("10.1.2.3/16", "10.1.0.1"),
        ("10.1.2.3/32", "10.1.2.4"),
        ("10.1.2.3/31", "10.1.2.3"),
        ("fd00:1::5/64", "fd00:1::1"),
        ("0.0.0.5/0", "0.0.0.1"),
    ],
)
def test_a_gateway_is_the_first_address_of_a_network(address: str, first: str) -> None:
    assert first_address(address) == first


def test_addresses_belong_to_the_third_interface() -> None:
    made = plan(V4)

    assert made.ips == [{**V4, "interface": 2}]
    assert [where for where, _ in made.interfaces] == [ops.HOST, ops.HOST, ops.SANDBOX]
    assert made.interfaces[0][1] == "cni0"
    assert made.interfaces[2][1] == "eth0"


def test_a_gateway_is_computed_for_a_bridge_that_is_one() -> None:
    made = plan(V4, {**V6, "gateway": "fd00:1::9"}, isGateway=True)

    assert [ip["gateway"] for ip in made.ips] == ["10.1.0.1", "fd00:1::9"]
    shared = steps(made, ops.ShareAddress)
    assert [step.address for step in shared if isinstance(step, ops.ShareAddress)] == [
        "10.1.0.1/16",
        "fd00:1::9/64",
    ]


def test_a_bridge_that_is_no_gateway_gets_no_address_and_forwards_nothing() -> None:
    made = plan({**V4, "gateway": "10.1.0.1"})

    assert steps(made, ops.ShareAddress) == []
    settings = [step.name for step in steps(made, ops.SetSysctl) if isinstance(step, ops.SetSysctl)]
    assert "net/ipv4/ip_forward" not in settings


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ((), [{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}, {"dst": "::/0", "gw": "fd00:1::1"}]),
        (
            ({"dst": "0.0.0.0/0", "gw": "10.1.0.8"},),
            [{"dst": "0.0.0.0/0", "gw": "10.1.0.8"}, {"dst": "::/0", "gw": "fd00:1::1"}],
        ),
    ],
)
def test_a_default_gateway_is_the_default_route_where_there_is_none(
    given: tuple[dict[str, Any], ...], wanted: list[dict[str, Any]]
) -> None:
    made = plan(V4, V6, routes=given, isDefaultGateway=True)

    assert made.routes == wanted


def test_what_is_shared_is_done_first_and_under_the_lock() -> None:
    made = plan(V4, isGateway=True, promiscMode=True, ipMasq=True)

    kinds = [type(step) for step in made.operations]
    begin, end = kinds.index(ops.BeginShared), kinds.index(ops.EndShared)
    assert begin == 0
    under_lock = {ops.CreateBridge, ops.SetPromiscuous, ops.ShareAddress, ops.CreateVeth}
    assert under_lock <= set(kinds[begin:end])
    # Waiting and starting programs keeps nobody else waiting.
    assert {ops.Masquerade, ops.AwaitUp, ops.AddAddress} <= set(kinds[end:])


def test_addresses_are_set_before_the_link_comes_up() -> None:
    kinds = [type(step) for step in plan(V4, V6).operations if step.where == ops.SANDBOX]

    assert kinds.index(ops.AddAddress) < kinds.index(ops.SetUp) < kinds.index(ops.AwaitAddresses)


@pytest.mark.parametrize(("wanted", "value"), [(True, "1"), (False, "0")])
def test_duplicates_are_detected_where_that_is_asked_for(wanted: bool, value: str) -> None:
    settings = {
        step.name: step.value
        for step in plan(V6, enabledad=wanted).operations
        if isinstance(step, ops.SetSysctl)
    }

    assert settings["net/ipv6/conf/eth0/accept_dad"] == value


def test_a_vlan_has_a_gateway_of_its_own() -> None:
    made = plan(V4, isGateway=True, vlan=7)

    (port,) = steps(made, ops.CreateVlanPort)
    assert isinstance(port, ops.CreateVlanPort)
    assert (port.name, port.bridge, port.vlan) == ("cni0.7", "cni0", 7)
    (shared,) = steps(made, ops.ShareAddress)
    assert isinstance(shared, ops.ShareAddress)
    assert shared.link == "cni0.7"
    assert port.port != made.interfaces[1][1]


def test_two_attachments_have_two_ports() -> None:
    assert plan(V4).interfaces[1] != plan(V4).interfaces[1]


def test_no_address_is_a_failure() -> None:
    asked = request()

    with pytest.raises(CniError) as caught:
        Bridge().plan(asked, Bridge().parse(asked), make_result([]))

    assert caught.value.code == 999


@pytest.mark.parametrize(
    ("netconf", "field"),
    [
        ({"bridge": ""}, "bridge"),
        ({"bridge": "a/b"}, "bridge"),
        ({"bridge": "sixteen-letters!"}, "bridge"),
        ({"vlan": 4095}, "vlan"),
        ({"vlan": -1}, "vlan"),
        ({"mtu": "1500"}, "mtu"),
        ({"mtu": 65536}, "mtu"),
        ({"isGateway": "yes"}, "isGateway"),
        ({"ipMasq": 1}, "ipMasq"),
        ({"hairpinMode": True, "promiscMode": True}, "promiscMode"),
        ({"args": {"cni": {"mac": "zz"}}}, "args.cni.mac"),
        ({"runtimeConfig": {"mac": "02:00:00:00:00"}}, "runtimeConfig.mac"),
    ],
)
def test_a_bad_field_is_named(netconf: dict[str, Any], field: str) -> None:
    with pytest.raises(CniError) as caught:
        Bridge().parse(request(**netconf))

    assert caught.value.code == 7
    assert caught.value.msg.startswith(f"{field}: ")


def test_the_runtimes_hardware_address_wins() -> None:
    environ = {"CNI_ARGS": "MAC=02:00:00:00:00:03"}
    conventional = {"args": {"cni": {"mac": "02:00:00:00:00:02"}}}
    capability = {"runtimeConfig": {"mac": "02:00:00:00:00:01"}}

    macs = [
        Bridge().parse(request(environ, **conventional, **capability)).mac,
        Bridge().parse(request(environ, **conventional)).mac,
        Bridge().parse(request(environ)).mac,
        Bridge().parse(request()).mac,
    ]

    assert macs == ["02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03", ""]


@pytest.mark.parametrize("arguments", ["MAC=zz", "FOO=1", "FOO"])
def test_bad_cni_args_are_the_environments_fault(arguments: str) -> None:
    with pytest.raises(CniError) as caught:
        Bridge().parse(request({"CNI_ARGS": arguments}))

    assert caught.value.code == 4


def test_a_del_removes_rules_before_the_link() -> None:
    asked = request(ipMasq=True, prevResult={"cniVersion": "1.0.0", "ips": [V4]})

    rules, link = Bridge().plan_removal(asked, Bridge().parse(asked))

    assert rules == ops.RemoveMasquerade(
        network="net", container_id="web", ifname="eth0", sources=("10.1.0.5/16",)
    )
    assert link == ops.DeleteLink(where=ops.SANDBOX, name="eth0")
