"""`loopback` and `static`."""

from typing import Any

from tests.netns.parity.cases import (
    ADD,
    CHECK,
    DEL,
    REFUSED,
    Call,
    Case,
    Forget,
    Probe,
)
from tests.netns.parity.networks import (
    CHECKED,
    LATEST,
    alone,
    only,
    static,
    tampered,
    with_args,
)

_ALL = ("ADD", "CHECK", "DEL")
_OUTSIDE = (Probe("c1", "192.0.2.2"), Probe("c1", "2001:db8:1::2"))
_NO_NETNS = {"CNI_NETNS": ""}
_MAC = "02:00:00:00:00:bb"
_LO = {"type": "loopback"}
_IFNAME_LO = {"CNI_IFNAME": "lo"}
_RESULT = {"ips": [{"version": "4", "address": "10.1.0.9/24"}], "dns": {"domain": "x.test"}}

LOOPBACK = (
    Case("a life", _LO, env=_IFNAME_LO),
    Case("of any name", _LO),
    Case("it is up already", _LO, before="ip -n c1 link set lo up", env=_IFNAME_LO),
    Case(
        "it has no IPv6",
        _LO,
        env=_IFNAME_LO,
        before="ip netns exec c1 sysctl -q net.ipv6.conf.all.disable_ipv6=1",
    ),
    Case(
        "it has one more address",
        _LO,
        before="ip -n c1 address add 10.5.0.1/32 dev lo",
        env=_IFNAME_LO,
    ),
    Case("it goes down", _LO, tampered("ip link set lo down"), env=_IFNAME_LO, versions=CHECKED),
    Case("with a prevResult", _LO | {"prevResult": _RESULT}, env=_IFNAME_LO, versions=CHECKED),
    Case("no namespace", _LO, only(*_ALL, CNI_NETNS="/run/netns/none")),
    Case("CNI_NETNS is empty", _LO, only(*_ALL, CNI_NETNS="")),
    Case("the namespace is gone", _LO, (ADD, Forget(), CHECK, DEL), env=_IFNAME_LO),
    Case("VERSION", _LO, [Call("VERSION")], versions=LATEST),
)


def _static(*addresses: Any, **keys: Any) -> dict[str, Any]:
    return alone({"type": "static", "addresses": list(addresses), **keys})


STATIC = (
    Case("an address", alone(static("10.1.0.5/24"))),
    Case("both families", alone(static("10.1.0.5/24", "fd00:1::5/64"))),
    Case(
        "with all keys",
        _static(
            {"address": "10.1.0.5/24", "gateway": "10.1.0.1"},
            routes=[{"dst": "0.0.0.0/0"}, {"dst": "10.9.0.0/16", "gw": "10.1.0.7"}],
            dns={
                "nameservers": ["10.1.0.53"],
                "domain": "x.test",
                "search": ["y.test"],
                "options": ["rotate"],
            },
        ),
    ),
    Case("an address without a prefix", alone(static("10.1.0.5")), REFUSED),
    Case("a bad address", alone(static("x/24")), REFUSED),
    Case("no addresses", alone(static())),
    Case("no ipam", {"type": "static"}, REFUSED),
    Case(
        "a gateway of another network", _static({"address": "10.1.0.5/24", "gateway": "10.2.0.1"})
    ),
    Case("a bad gateway", _static({"address": "10.1.0.5/24", "gateway": "x"}), REFUSED),
    Case("a bad route", _static({"address": "10.1.0.5/24"}, routes=[{"dst": "x"}]), REFUSED),
    Case("addresses is a string", alone({"type": "static", "addresses": "10.1.0.5/24"}), REFUSED),
    Case("the same address twice", alone(static("10.1.0.5/24", "10.1.0.5/24"))),
    Case("an IP in CNI_ARGS", alone(static()), env=with_args("IP=10.1.0.6/24;GATEWAY=10.1.0.1")),
    Case(
        "IPs in CNI_ARGS",
        alone(static("10.1.0.5/24")),
        env=with_args("IP=10.1.0.6/24,fd00:1::6/64;GATEWAY=10.1.0.1,fd00:1::1"),
    ),
    Case(
        "an IP without a prefix in CNI_ARGS", alone(static()), REFUSED, env=with_args("IP=10.1.0.6")
    ),
    Case(
        "a bad gateway in CNI_ARGS",
        alone(static()),
        REFUSED,
        env=with_args("IP=10.1.0.6/24;GATEWAY=x"),
    ),
    Case("an unknown argument", alone(static("10.1.0.5/24")), REFUSED, env=with_args("FOO=1")),
    Case(
        "IPs in runtimeConfig",
        alone(static("10.1.0.5/24"), runtimeConfig={"ips": ["10.1.0.7/24", "fd00:1::7/64"]}),
    ),
    Case("IPs in args", alone(static("10.1.0.5/24"), args={"cni": {"ips": ["10.1.0.8/24"]}})),
    Case(
        "IPs everywhere",
        alone(
            static("10.1.0.5/24"),
            runtimeConfig={"ips": ["10.1.0.7/24"]},
            args={"cni": {"ips": ["10.1.0.8/24"]}},
        ),
        env=with_args("IP=10.1.0.6/24"),
    ),
    Case("a bad IP in runtimeConfig", alone(static(), runtimeConfig={"ips": ["x"]}), REFUSED),
    Case(
        "an IP in runtimeConfig without a prefix",
        alone(static(), runtimeConfig={"ips": ["10.1.0.7"]}),
        REFUSED,
    ),
    Case(
        "CHECK with another's result",
        alone(static("10.1.0.5/24")),
        (ADD, Call("CHECK", conf={"prevResult": _RESULT, "cniVersion": "0.4.0"}, previous="")),
        versions=LATEST,
    ),
    Case("CNI_NETNS is empty", alone(static("10.1.0.5/24")), only(*_ALL, CNI_NETNS="")),
)


CASES = (*LOOPBACK, *STATIC)
