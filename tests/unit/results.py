"""One attachment as the results of all versions tell it."""

from typing import Any

VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")

_DNS = {"nameservers": ["192.0.2.53"], "search": ["example"]}
_INTERFACES = [
    {"name": "cni0", "mac": "02:00:00:00:00:01"},
    {"name": "eth0", "mac": "02:00:00:00:00:02", "sandbox": "/run/netns/web-1"},
]
_IPS = [
    {"interface": 1, "address": "192.0.2.2/24", "gateway": "192.0.2.1"},
    {"interface": 1, "address": "2001:db8::2/64"},
]
_ROUTES = [{"dst": "0.0.0.0/0", "gw": "192.0.2.1"}, {"dst": "2001:db8:1::/48"}]

_SECTIONS = {
    "ip4": {
        "ip": "192.0.2.2/24",
        "gateway": "192.0.2.1",
        "routes": [{"dst": "0.0.0.0/0", "gw": "192.0.2.1"}],
    },
    "ip6": {"ip": "2001:db8::2/64", "routes": [{"dst": "2001:db8:1::/48"}]},
}


def told_in(version: str) -> dict[str, Any]:
    """Return the attachment as a plugin of `version` reports it."""
    if version in ("0.1.0", "0.2.0"):
        return {"cniVersion": version, **_SECTIONS, "dns": _DNS}
    ips = _IPS
    if version in ("0.3.0", "0.3.1", "0.4.0"):
        ips = [{"version": family, **ip} for family, ip in zip("46", _IPS, strict=True)]
    return {
        "cniVersion": version,
        "interfaces": _INTERFACES,
        "ips": ips,
        "routes": _ROUTES,
        "dns": _DNS,
    }


def without_interfaces(document: dict[str, Any]) -> dict[str, Any]:
    """Return a result as it is after a version that knows no interfaces told it."""
    bare = {key: value for key, value in document.items() if key != "interfaces"}
    if "ips" in bare:
        bare["ips"] = [
            {key: value for key, value in ip.items() if key != "interface"} for ip in bare["ips"]
        ]
    return bare
