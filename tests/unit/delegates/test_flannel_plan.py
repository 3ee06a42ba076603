"""What configuration flannel's delegate is given."""

from typing import Any

import pytest

from delegates.flannel import plan_delegate
from delegates.flannel_subnet import Subnet
from mesos_cni_port_mapper.cni.request import Request
from tests.unit.delegates.ipam_requests import refusal, request

SUBNET = Subnet(networks=("10.42.0.0/16",), subnets=("10.42.31.0/24",), mtu=1450, masquerades=True)
IPAM = {
    "type": "host-local",
    "ranges": [[{"subnet": "10.42.31.0/24"}]],
    "routes": [{"dst": "10.42.0.0/16"}],
}


def asked(delegate: object = None, ipam: object = None, **top: Any) -> Request:
    return request(ipam, type="flannel", delegate=delegate, **top)


def planned(delegate: object = None, ipam: object = None, **top: Any) -> dict[str, Any]:
    return plan_delegate(asked(delegate, ipam, **top), SUBNET)


def test_without_a_word_the_delegate_is_a_bridge_with_flannels_values() -> None:
    assert planned() == {
        "cniVersion": "1.0.0",
        "name": "net",
        "type": "bridge",
        "ipMasq": False,
        "mtu": 1450,
        "isGateway": True,
        "ipam": IPAM,
    }


def test_the_host_masquerades_where_flannel_does_not() -> None:
    netconf = plan_delegate(asked(), SUBNET.but(masquerades=False))

    assert netconf["ipMasq"] is True


def test_what_the_delegate_is_told_counts_more() -> None:
    own = {"bridge": "br0", "mtu": 1400, "ipMasq": True, "isGateway": False, "whatever": [1]}

    assert planned(own).items() >= own.items()


def test_null_is_nothing_said() -> None:
    given = {"mtu": None, "type": None, "name": None, "ipam": None, "bridge": None}

    assert planned(given) == planned()


def test_only_a_bridge_is_made_a_gateway() -> None:
    netconf = planned({"type": "ipvlan", "master": "eth0"})

    assert "isGateway" not in netconf
    assert (netconf["type"], netconf["master"], netconf["mtu"]) == ("ipvlan", "eth0", 1450)


def test_the_version_is_the_networks_own_or_none() -> None:
    assert planned({"cniVersion": "0.1.0"})["cniVersion"] == "1.0.0"

    unversioned = asked({"cniVersion": "0.1.0"})
    netconf = {key: value for key, value in unversioned.netconf.items() if key != "cniVersion"}
    assert "cniVersion" not in plan_delegate(unversioned.but(netconf=netconf), SUBNET)


def test_what_the_runtime_brings_goes_on_and_args_stay_behind() -> None:
    netconf = planned(
        runtimeConfig={"mac": "02:00:00:00:00:01"},
        args={"cni": {"ips": ["10.42.31.9"]}},
        dns={"nameservers": ["192.0.2.53"]},
        other=1,
    )

    assert netconf == planned() | {"runtimeConfig": {"mac": "02:00:00:00:00:01"}}


def test_ipam_is_completed() -> None:
    default = {"dst": "0.0.0.0/0"}
    given = {
        "dataDir": "/run/leases",
        "ranges": [[{"subnet": "192.0.2.0/24"}]],
        "routes": [default],
    }

    assert planned(ipam=given)["ipam"] == {
        **IPAM,
        "dataDir": "/run/leases",
        "routes": [default, {"dst": "10.42.0.0/16"}],
    }
    assert planned(ipam={"type": "other-ipam"})["ipam"] == {**IPAM, "type": "other-ipam"}


def test_both_families_and_several_networks() -> None:
    subnet = SUBNET.but(
        networks=("10.42.0.0/16", "10.43.0.0/16", "fd00:42::/48"),
        subnets=("10.42.31.0/24", "fd00:42:0:1f::/64"),
    )

    ipam = plan_delegate(asked(), subnet)["ipam"]
    assert ipam["ranges"] == [[{"subnet": "10.42.31.0/24"}], [{"subnet": "fd00:42:0:1f::/64"}]]
    assert [route["dst"] for route in ipam["routes"]] == list(subnet.networks)


def test_the_request_is_left_as_it_is() -> None:
    routes: list[object] = [{"dst": "0.0.0.0/0"}]
    delegate: dict[str, object] = {"bridge": "br0"}

    planned(delegate, {"routes": routes})

    assert (routes, delegate) == ([{"dst": "0.0.0.0/0"}], {"bridge": "br0"})


@pytest.mark.parametrize(
    ("delegate", "ipam", "path"),
    [
        ({"name": "other"}, None, "delegate.name"),
        ({"name": ""}, None, "delegate.name"),
        ({"ipam": {}}, None, "delegate.ipam"),
        ({"type": 1}, None, "delegate.type"),
        ({"type": "flannel"}, None, "delegate.type"),
        ([], None, "delegate"),
        (None, [], "ipam"),
        (None, {"type": 1}, "ipam.type"),
        (None, {"routes": {}}, "ipam.routes"),
    ],
)
def test_a_field_that_cannot_be_is_named(delegate: object, ipam: object, path: str) -> None:
    code, message = refusal(lambda: planned(delegate, ipam))

    assert (code, message.partition(":")[0]) == (7, path)
