"""Everything an attachment may leave behind on a host and in a container, for comparing."""

import re
from typing import Any

from tests.support.host import Container, Host, Place

NETWORKS = "/var/lib/cni/networks"
SETTINGS = (
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/ipv6/conf/default/accept_ra",
)
_SUBNET = "10.22.0.0/16"

BRIDGE: dict[str, Any] = {
    "cniVersion": "1.0.0",
    "name": "net",
    "type": "bridge",
    "bridge": "br7",
    "isGateway": True,
    "ipMasq": True,
    "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": _SUBNET}], [{"subnet": "fd00:22::/64"}]],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
    },
}
"""Everything that there is to leave behind."""


def observe(host: Host, container: Container) -> dict[str, object]:
    """Return links, addresses, routes, rules, settings and leases."""
    return {
        "host": _network(host),
        "container": _network(container),
        "rules": host.ruleset() + host.ruleset(ipv6=True),
        "leases": leases(host),
    }


def leases(host: Host) -> list[str]:
    """Return the addresses that host-local has given away."""
    directory = host.path(NETWORKS)
    files = directory.rglob("*") if directory.exists() else ()
    return sorted(file.name for file in files if re.fullmatch(r"[0-9a-f.:]+", file.name))


def _network(place: Place) -> dict[str, object]:
    names = " ".join(f"/proc/sys/{name}" for name in SETTINGS)
    return {
        "links": _lines(place, "ip -details link"),
        "addresses": _lines(place, "ip -brief address"),
        "routes": _lines(place, "ip route show table all; ip -6 route show table all"),
        "settings": _lines(place, f"cat {names}"),
    }


def _lines(place: Place, command: str) -> list[str]:
    text = place.run(["sh", "-c", command]).text
    # What ticks is no difference, nor is that the uplink's own address settles meanwhile.
    lines = re.sub(r"\w+_timer +\S+|expires \S+|link-netns\S* \S+", "", text).splitlines()
    return sorted(line for line in lines if place.netns or not re.search(r"\beth0\b", line))
