"""What is asked of a plugin and of Debian's of the same name, in a machine that has its links.

The host is `tests.support.host.Host`: eth0 with 192.0.2.1/24 and 2001:db8:1::1/64, and a client
beyond it at .2 and ::2, which has the VLAN 5 as 192.168.5.1/24.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

FIRST, FIRST_IPV6, VLAN_FIRST = "192.0.2.40", "2001:db8:1::40", "192.168.5.40"
CLIENT, CLIENT_IPV6, VLAN_CLIENT = "192.0.2.2", "2001:db8:1::2", "192.168.5.1"
FAILED, WRONG_CONFIGURATION = 999, 7

_DNS = {"nameservers": ["192.0.2.53"], "search": ["example.org"]}
_BEFORE = {
    "cniVersion": "1.0.0",
    "interfaces": [{"name": "eth0"}],
    "ips": [{"address": "192.0.2.90/24", "gateway": "192.0.2.2"}],
    "routes": [{"dst": "0.0.0.0/0"}],
}


@dataclass(frozen=True)
class Case:
    """One attachment's life, or its refusal.

    ``code`` is what our ADD fails with, 0 for success; Debian's fails with 999 for every reason.
    ``ask`` are addresses that are sent a datagram. ``damage`` is done in the container before
    CHECK. ``host`` (with what undoes it), ``container`` and ``damage`` are commands of ip(8). With
    ``neighbour`` a second container is attached and the two talk. With ``again`` DEL is repeated,
    without the namespace too. Without ``debian_checks`` Debian's CHECK finds fault with what its
    own ADD made.
    """

    name: str
    config: Mapping[str, Any]
    code: int = 0
    version: str = "1.0.0"
    host: tuple[str, str] = ("", "")
    container: str = ""
    damage: str = ""
    ask: tuple[str, ...] = ()
    neighbour: bool = False
    again: bool = False
    debian_checks: bool = True


def host_local(*starts: str, routes: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return an ``ipam`` with one range for each address, beginning there."""
    ranges = [[{"subnet": _network_of(start), "rangeStart": start}] for start in starts]
    destinations = [{"dst": route} for route in routes]
    return {"type": "host-local", "ranges": ranges, "routes": destinations}


def _network_of(address: str) -> str:
    return str(ip_network(f"{address}/{64 if ':' in address else 24}", strict=False))


def _ipvlan(**config: Any) -> dict[str, Any]:
    addresses = {"ipam": host_local(FIRST)}
    return {"type": "ipvlan", "master": "eth0", **addresses, **config}


def _vlan(vlan: int | None, **config: Any) -> dict[str, Any]:
    addresses = {"ipam": host_local(VLAN_FIRST)}
    return {"type": "vlan", "master": "eth0", "vlanId": vlan, **addresses, **config}


def _without(key: str, config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != key}


_DUAL = host_local(FIRST, FIRST_IPV6, routes=("0.0.0.0/0", "::/0"))
_DEFAULT_ROUTE = ("route add default via 192.0.2.2", "route delete default")
_TAKEN = ("link add link eth0 name taken type vlan id 8", "link delete taken")

IPVLAN = (
    Case("mode l2", _ipvlan(mode="l2"), ask=(CLIENT,), neighbour=True, again=True),
    Case("mode l3", _ipvlan(mode="l3"), neighbour=True),
    Case("mode l3s", _ipvlan(mode="l3s"), neighbour=True),
    Case("no mode, both families", _ipvlan(ipam=_DUAL), ask=(CLIENT, CLIENT_IPV6)),
    Case("version 0.1.0", _ipvlan(), version="0.1.0"),
    Case("version 0.4.0, mtu, dns", _ipvlan(mtu=1400, dns=_DNS), version="0.4.0"),
    Case(
        "the default route's master",
        _without("master", _ipvlan()),
        host=_DEFAULT_ROUTE,
        debian_checks=False,
    ),
    Case(
        "later in a list",
        {"type": "ipvlan", "prevResult": _BEFORE},
        ask=(CLIENT,),
        debian_checks=False,
    ),
    Case("the link goes down", _ipvlan(), damage="link set eth0 down"),
    Case("the address goes", _ipvlan(), damage="address flush dev eth0 scope global"),
    Case("no default route's master", _without("master", _ipvlan()), FAILED),
    Case("an unknown master", _ipvlan(master="eth9"), FAILED),
    Case("an unknown mode", _ipvlan(mode="l4"), WRONG_CONFIGURATION),
    Case("an mtu that is too small", _ipvlan(mtu=67), FAILED),
    Case("no ipam", _without("ipam", _ipvlan()), WRONG_CONFIGURATION),
    Case("the name is taken", _ipvlan(), FAILED, container="link add eth0 type bridge"),
)

VLAN = (
    Case("an id", _vlan(5), ask=(VLAN_CLIENT,), again=True),
    Case("the largest id, both families", _vlan(4094, ipam=_DUAL)),
    Case("no id", _vlan(None)),
    Case("version 0.1.0", _vlan(5), version="0.1.0"),
    Case("version 0.4.0, mtu, dns", _vlan(5, mtu=1400, dns=_DNS), version="0.4.0"),
    Case("the link goes", _vlan(5), damage="link delete eth0"),
    Case("the address goes", _vlan(5), damage="address flush dev eth0 scope global"),
    Case("an id that is too large", _vlan(4095), WRONG_CONFIGURATION),
    Case("an id that the host uses", _vlan(8), FAILED, host=_TAKEN),
    Case("an unknown master", _vlan(5, master="eth9"), FAILED),
    Case("an mtu above the master's", _vlan(5, mtu=1501), WRONG_CONFIGURATION),
    Case("the name is taken", _vlan(5), FAILED, container="link add eth0 type bridge"),
)

CASES = {"ipvlan": IPVLAN, "vlan": VLAN}
