"""`ptp` and `macvlan`."""

from typing import Any

from tests.netns.parity.cases import (
    ADD,
    ADD_2,
    CHECK,
    DEL,
    DEL_2,
    REFUSED,
    TWO,
    Call,
    Case,
    Forget,
    Probe,
    Shell,
)
from tests.netns.parity.networks import (
    CHECKED,
    DEFAULTS,
    LATEST,
    V4,
    V6,
    latest,
    local,
    macvlan,
    only,
    ptp,
    static,
    tampered,
    with_args,
)

_ALL = ("ADD", "CHECK", "DEL")
_OUTSIDE = (Probe("c1", "192.0.2.2"), Probe("c1", "2001:db8:1::2"))
_NO_NETNS = {"CNI_NETNS": ""}
_MAC = "02:00:00:00:00:bb"

PTP = (
    Case("an address", ptp(local(V4)), TWO),
    Case("IPv6", ptp(local(V6)), TWO),
    Case("both families", ptp(local(V4, V6, routes=DEFAULTS)), TWO),
    Case("two networks", ptp(local(V4, "10.2.0.0/16"))),
    Case(
        "ipMasq",
        ptp(local(V4, routes=DEFAULTS[:1]), ipMasq=True),
        (ADD, CHECK, _OUTSIDE[0], DEL, DEL),
        uplink=True,
    ),
    Case(
        "ipMasq, IPv6",
        ptp(local(V6, routes=DEFAULTS[1:]), ipMasq=True),
        (ADD, _OUTSIDE[1], DEL),
        uplink=True,
    ),
    Case(
        "ipMasq, both families",
        ptp(local(V4, V6, routes=DEFAULTS), ipMasq=True),
        (ADD, *_OUTSIDE, DEL),
        uplink=True,
        versions=CHECKED,
    ),
    Case(
        "no ipMasq",
        ptp(local(V4, V6, routes=DEFAULTS)),
        (ADD, *_OUTSIDE, DEL),
        uplink=True,
        versions=CHECKED,
    ),
    Case(
        "ipMasq, DEL without the namespace",
        ptp(local(V4), ipMasq=True),
        (ADD, Call("DEL", env=_NO_NETNS), DEL),
        versions=CHECKED,
    ),
    Case("mtu", ptp(local(V4), mtu=1400)),
    Case("mtu too big", ptp(local(V4), mtu=70000), REFUSED),
    Case("mtu is a string", ptp(local(V4), mtu="1400"), REFUSED),
    Case(
        "routes",
        ptp(local(V4, routes=[{"dst": "10.9.0.0/16"}, {"dst": "10.8.0.0/16", "gw": "10.1.0.1"}])),
    ),
    Case(
        "a route by an unreachable gateway",
        ptp(local(V4, routes=[{"dst": "10.9.0.0/16", "gw": "172.16.0.1"}])),
        REFUSED,
    ),
    Case(
        "a gateway that is named",
        ptp({"type": "host-local", "subnet": V4, "gateway": "10.1.0.254"}),
    ),
    Case("dns", ptp(local(V4), dns={"nameservers": ["10.1.0.53"]})),
    Case(
        "dns of IPAM and of the network",
        ptp(local(V4, resolvConf="/run/r"), dns={"nameservers": ["10.9.9.9"]}),
        files={"/run/r": "nameserver 10.1.0.53\n"},
    ),
    Case(
        "static",
        ptp({"type": "static", "addresses": [{"address": "10.1.0.5/24", "gateway": "10.1.0.1"}]}),
    ),
    Case("static without a gateway", ptp(static("10.1.0.5/24")), REFUSED),
    Case("no ipam", ptp(None), REFUSED),
    Case("ipam of an unknown type", ptp({"type": "nobody-has-this"}), REFUSED),
    Case("an IP in CNI_ARGS", ptp(local(V4)), env=with_args("IP=10.1.0.77")),
    Case(
        "the interface's name is taken",
        ptp(local(V4)),
        (Shell("ip link add eth0 type veth", "c1"), ADD, DEL),
    ),
    Case("ADD twice", ptp(local(V4)), (ADD, ADD, DEL)),
    Case("no namespace", ptp(local(V4)), only(*_ALL, CNI_NETNS="/run/netns/none")),
    Case("CNI_NETNS is empty", ptp(local(V4)), only(*_ALL, CNI_NETNS="")),
    Case("DEL without ADD", ptp(local(V4)), (DEL,)),
    Case("DEL when the namespace is gone", ptp(local(V4)), (ADD, Forget(), DEL, DEL)),
    Case(
        "DEL when the link is gone", ptp(local(V4)), (ADD, Shell("ip link delete eth0", "c1"), DEL)
    ),
    Case(
        "CHECK when the address is gone",
        ptp(local(V4)),
        tampered("ip address flush dev eth0"),
        versions=CHECKED,
    ),
    Case(
        "CHECK when the link is gone",
        ptp(local(V4)),
        tampered("ip link delete eth0"),
        versions=CHECKED,
    ),
    Case(
        "CHECK when the route is gone",
        ptp(local(V4, routes=DEFAULTS[:1])),
        tampered("ip route delete default"),
        versions=CHECKED,
    ),
    Case("CHECK without a result", ptp(local(V4)), (ADD, Call("CHECK", previous=""), DEL)),
    Case(
        "duplicate addresses are looked for",
        ptp(local(V4, V6)),
        (ADD, CHECK, DEL),
        dad=True,
        versions=LATEST,
    ),
)

_DEFAULT = "ip route add default via 192.0.2.2"


def _macvlan(name: str, conf: dict[str, Any], steps: Any = None, **keys: Any) -> Case:
    return Case(name, conf, steps or (ADD, CHECK, DEL, DEL), uplink=True, **keys)


MACVLAN = (
    _macvlan("an address", macvlan(local(V4)), TWO),
    *(
        _macvlan(f"mode {mode}", macvlan(local(V4), mode=mode), TWO if mode == "private" else None)
        for mode in ("bridge", "private", "vepa", "passthru", "")
    ),
    _macvlan("mode passthru twice", macvlan(local(V4), mode="passthru"), (ADD, ADD_2, DEL, DEL_2)),
    _macvlan("an unknown mode", macvlan(local(V4), mode="Bridge"), REFUSED),
    _macvlan("mode is a number", macvlan(local(V4), mode=1), REFUSED),
    _macvlan("IPv6", macvlan(local(V6, routes=DEFAULTS[1:]))),
    _macvlan("both families", macvlan(local(V4, V6, routes=DEFAULTS))),
    _macvlan("two networks", macvlan(local(V4, "10.2.0.0/16"))),
    _macvlan("no master, a default route", macvlan(local(V4), master=None), before=_DEFAULT),
    _macvlan("no master, no default route", macvlan(local(V4), master=None), REFUSED),
    _macvlan("an unknown master", macvlan(local(V4), master="eth7"), REFUSED),
    _macvlan("the master is lo", macvlan(local(V4), master="lo"), REFUSED),
    _macvlan("the master is down", macvlan(local(V4)), before="ip link set eth0 down"),
    _macvlan(
        "the master is gone", macvlan(local(V4)), (ADD, Shell("ip link delete eth0"), CHECK, DEL)
    ),
    _macvlan("the master has a small MTU", macvlan(local(V4)), before="ip link set eth0 mtu 1300"),
    _macvlan("mtu", macvlan(local(V4), mtu=1400)),
    _macvlan("mtu 0", macvlan(local(V4), mtu=0)),
    _macvlan("mtu too big", macvlan(local(V4), mtu=1501), REFUSED),
    _macvlan("mtu negative", macvlan(local(V4), mtu=-1), REFUSED),
    _macvlan("a MAC in CNI_ARGS", macvlan(local(V4)), env=with_args(f"MAC={_MAC}")),
    _macvlan("a MAC in args", macvlan(local(V4), args={"cni": {"mac": _MAC}})),
    _macvlan("a MAC in runtimeConfig", macvlan(local(V4), runtimeConfig={"mac": _MAC})),
    _macvlan("a bad MAC", macvlan(local(V4)), REFUSED, env=with_args("MAC=x")),
    _macvlan("no ipam", macvlan(None)),
    _macvlan("ipam is empty", macvlan({})),
    _macvlan("ipam of an unknown type", macvlan({"type": "nobody-has-this"}), REFUSED),
    _macvlan("static", macvlan(static("192.0.2.77/24"))),
    _macvlan("dns", macvlan(local(V4), dns={"nameservers": ["10.1.0.53"]})),
    _macvlan(
        "the interface's name is taken",
        macvlan(local(V4)),
        (Shell("ip link add eth0 type veth", "c1"), ADD, DEL),
    ),
    _macvlan("ADD twice", macvlan(local(V4)), (ADD, ADD, DEL)),
    _macvlan("no namespace", macvlan(local(V4)), only(*_ALL, CNI_NETNS="/run/netns/none")),
    _macvlan("CNI_NETNS is empty", macvlan(local(V4)), only(*_ALL, CNI_NETNS="")),
    _macvlan("DEL when the namespace is gone", macvlan(local(V4)), (ADD, Forget(), DEL)),
    _macvlan(
        "CHECK when the address is gone",
        macvlan(local(V4)),
        tampered("ip address flush dev eth0"),
        versions=CHECKED,
    ),
    _macvlan(
        "CHECK when the link is gone",
        macvlan(local(V4)),
        tampered("ip link delete eth0"),
        versions=CHECKED,
    ),
    _macvlan(
        "CHECK of another mode",
        macvlan(local(V4)),
        (ADD, Call("CHECK", conf={"mode": "vepa"})),
        versions=CHECKED,
    ),
    _macvlan(
        "duplicate addresses are looked for",
        macvlan(local(V4, V6)),
        (ADD, CHECK, DEL),
        dad=True,
        versions=LATEST,
    ),
)

# The version shows in results; the rest differs in none of them.
CASES = (*PTP[:10], *latest(PTP[10:]), *MACVLAN[:12], *latest(MACVLAN[12:]))
