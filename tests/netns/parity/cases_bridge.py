"""What `bridge` makes: gateways, existing bridges, masquerading, links."""

from tests.netns.parity.cases import (
    ADD,
    ADD_2,
    CHECK,
    DEL,
    DEL_2,
    DEL_AGAIN,
    REFUSED,
    TWO,
    VERSIONS,
    Call,
    Case,
    Probe,
    Shell,
)
from tests.netns.parity.networks import (
    CHECKED,
    DEFAULTS,
    LATEST,
    V4,
    V6,
    bridge,
    local,
    static,
    with_args,
)

_MADE = "ip link add cni0 address 02:00:00:00:00:aa type bridge; ip link set cni0 up\n"
_MAC = "02:00:00:00:00:bb"
_OUTSIDE = (Probe("c1", "192.0.2.2"), Probe("c1", "2001:db8:1::2"))
_BOTH_FORWARD = "sysctl -q net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"


def _gateway(*subnets: str, **keys: object) -> dict[str, object]:
    return bridge(local(*(subnets or (V4,))), isGateway=True, **keys)


GATEWAYS = (
    Case("nothing but an address", bridge(local(V4)), TWO),
    Case("isGateway", _gateway(), TWO),
    Case("isGateway, IPv6", _gateway(V6), TWO),
    Case("isGateway, both families", _gateway(V4, V6), TWO),
    Case("isGateway, two IPv4 networks", _gateway(V4, "10.2.0.0/16"), TWO),
    Case(
        "isGateway, two IPv6 networks",
        _gateway(V6, "fd00:2::/96"),
        versions=VERSIONS[2:],
    ),
    Case("isDefaultGateway", bridge(local(V4), isDefaultGateway=True)),
    Case("isDefaultGateway, IPv6", bridge(local(V6), isDefaultGateway=True)),
    Case("isDefaultGateway, both families", bridge(local(V4, V6), isDefaultGateway=True)),
    Case("isDefaultGateway, two networks", bridge(local(V4, "10.2.0.0/16"), isDefaultGateway=True)),
    Case(
        "isDefaultGateway beside isGateway false",
        bridge(local(V4), isDefaultGateway=True, isGateway=False),
    ),
    Case(
        "isDefaultGateway and a default route of IPAM",
        bridge(local(V4, V6, routes=DEFAULTS), isDefaultGateway=True),
    ),
    Case(
        "isDefaultGateway and a default route by another gateway",
        bridge(
            local(V4, routes=[{"dst": "0.0.0.0/0", "gw": "10.1.0.9"}]),
            isDefaultGateway=True,
        ),
    ),
    Case(
        "a gateway that is named",
        bridge(
            {"type": "host-local", "ranges": [[{"subnet": V4, "gateway": "10.1.0.254"}]]},
            isGateway=True,
        ),
    ),
    Case(
        "a set of two ranges",
        bridge(
            local(ranges=[[{"subnet": "10.1.0.0/30"}, {"subnet": "10.2.0.0/24"}]]), isGateway=True
        ),
        TWO,
    ),
    Case("routes without a gateway", _gateway(V4, V6) | {"ipam": local(V4, V6, routes=DEFAULTS)}),
    Case(
        "routes with and without a gateway",
        _gateway()
        | {
            "ipam": local(
                V4, routes=[{"dst": "10.9.0.0/16", "gw": "10.1.0.7"}, {"dst": "10.8.0.0/16"}]
            )
        },
    ),
    Case("a route, and no gateway on the host", bridge(local(V4, routes=[{"dst": "10.9.0.0/16"}]))),
    Case(
        "a route by an unreachable gateway",
        bridge(local(V4, routes=[{"dst": "10.9.0.0/16", "gw": "172.16.0.1"}])),
        REFUSED,
    ),
    Case(
        "the same route twice",
        bridge(local(V4, routes=[{"dst": "10.9.0.0/16"}, {"dst": "10.9.0.0/16"}])),
        REFUSED,
    ),
    Case("an IPv6 route and no IPv6 address", bridge(local(V4, routes=[{"dst": "::/0"}]))),
    Case("forwarding is on before", _gateway(V4, V6), before=_BOTH_FORWARD),
    Case(
        "duplicate addresses are looked for",
        _gateway(V4, V6),
        (ADD, CHECK, DEL),
        dad=True,
        versions=LATEST,
    ),
    Case(
        "enabledad",
        _gateway(V4, V6, enabledad=True),
        (ADD, CHECK, DEL),
        dad=True,
        versions=LATEST,
    ),
)

EXISTING = (
    Case("the bridge is there", _gateway(), before=_MADE),
    Case("the bridge is there and down", _gateway(), before="ip link add cni0 type bridge"),
    Case("the bridge has the address", _gateway(), before=_MADE + "ip a add 10.1.0.1/24 dev cni0"),
    Case(
        "the bridge has an address elsewhere",
        _gateway(),
        before=_MADE + "ip address add 10.77.0.1/24 dev cni0",
    ),
    Case(
        "the bridge has another address",
        _gateway(),
        before=_MADE + "ip address add 10.1.0.9/24 dev cni0",
    ),
    Case(
        "the bridge has another address, forceAddress",
        _gateway(forceAddress=True),
        before=_MADE + "ip address add 10.1.0.9/24 dev cni0",
    ),
    Case(
        "the bridge has a wider network",
        _gateway(),
        before=_MADE + "ip address add 10.1.0.9/16 dev cni0",
    ),
    Case(
        "the bridge has a wider network, forceAddress",
        _gateway(forceAddress=True),
        before=_MADE + "ip address add 10.1.0.9/16 dev cni0",
    ),
    Case(
        "the bridge has the address with another prefix",
        _gateway(),
        before=_MADE + "ip address add 10.1.0.1/16 dev cni0",
    ),
    Case(
        "the bridge has another IPv6 address",
        _gateway(V6),
        before=_MADE + "ip address add fd00:1::9/64 dev cni0",
    ),
    Case(
        "the bridge has another IPv6 address, forceAddress",
        _gateway(V6, forceAddress=True),
        before=_MADE + "ip address add fd00:1::9/64 dev cni0",
    ),
    Case(
        "forceAddress, two networks",
        _gateway(V4, "10.2.0.0/16", forceAddress=True),
    ),
    Case(
        "the bridge has an MTU",
        _gateway(mtu=1300),
        before=_MADE + "ip link set cni0 mtu 1400",
    ),
    Case(
        "another port has a smaller MTU",
        _gateway(),
        before=_MADE + "ip link add p0 mtu 1200 type veth peer p1; ip link set p0 master cni0",
    ),
    Case(
        "a link of another kind has the name",
        _gateway(),
        REFUSED,
        before="ip link add cni0 type veth",
    ),
    Case("the bridge is gone at DEL", _gateway(), (ADD, Shell("ip link delete cni0"), CHECK, DEL)),
)

LINKS = (
    Case("mtu", _gateway(mtu=1400), TWO),
    Case("mtu 0", _gateway(mtu=0)),
    Case("mtu below what IPv6 needs", _gateway(V4, V6, mtu=1000), REFUSED),
    Case("mtu too small", _gateway(mtu=60), REFUSED),
    Case("mtu too big", _gateway(mtu=70000), REFUSED),
    Case("mtu negative", _gateway(mtu=-1), REFUSED),
    Case("hairpinMode", _gateway(hairpinMode=True)),
    Case("promiscMode", _gateway(promiscMode=True)),
    Case("hairpinMode and promiscMode", _gateway(hairpinMode=True, promiscMode=True), REFUSED),
    Case(
        "vlan",
        bridge(local(V4), vlan=100),
        (ADD, Shell("bridge -j vlan show", show=True), CHECK, DEL),
    ),
    Case("vlan and isGateway", _gateway(vlan=100)),
    Case("vlan too big", bridge(local(V4), vlan=5000), REFUSED),
    Case("no ipam", bridge(None), TWO),
    Case("no ipam, isGateway", bridge(None, isGateway=True)),
    Case("no ipam, ipMasq", bridge(None, ipMasq=True)),
    Case("static", bridge(static("10.1.0.5/24"), isGateway=True)),
    Case(
        "static with a gateway",
        bridge(
            {
                "type": "static",
                "addresses": [{"address": "10.1.0.5/24", "gateway": "10.1.0.1"}],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
            isGateway=True,
        ),
    ),
    Case("static, both families", bridge(static("10.1.0.5/24", "fd00:1::5/64"), isGateway=True)),
    Case("static without addresses", bridge(static()), REFUSED),
    Case("dns of the network", _gateway(dns={"nameservers": ["10.1.0.1"], "domain": "test"})),
    Case(
        "dns of IPAM and of the network",
        bridge(local(V4, resolvConf="/run/resolv.conf"), dns={"nameservers": ["10.9.9.9"]}),
        files={"/run/resolv.conf": "nameserver 10.1.0.53\nsearch a.test b.test\n"},
    ),
    Case("a MAC in CNI_ARGS", _gateway(), env=with_args(f"MAC={_MAC}")),
    Case("a MAC in args", _gateway(args={"cni": {"mac": _MAC}})),
    Case(
        "a MAC in runtimeConfig", _gateway(capabilities={"mac": True}, runtimeConfig={"mac": _MAC})
    ),
    Case(
        "three MACs",
        _gateway(
            args={"cni": {"mac": "02:00:00:00:00:c1"}}, runtimeConfig={"mac": "02:00:00:00:00:c2"}
        ),
        env=with_args("MAC=02:00:00:00:00:c3"),
    ),
    Case("a MAC in capital letters", _gateway(), env=with_args("MAC=02:00:00:00:00:BB")),
    Case("a bad MAC", _gateway(), REFUSED, env=with_args("MAC=02:00:00:00:00")),
    Case("a bad MAC in runtimeConfig", _gateway(runtimeConfig={"mac": "x"}), REFUSED),
    Case("a multicast MAC", _gateway(), REFUSED, env=with_args("MAC=01:00:5e:00:00:01")),
    Case("an IP in CNI_ARGS", _gateway(), env=with_args("IP=10.1.0.77")),
    Case("an IP outside in CNI_ARGS", _gateway(), REFUSED, env=with_args("IP=10.9.0.77")),
    Case("an IP in runtimeConfig", _gateway(runtimeConfig={"ips": ["10.1.0.78/24"]})),
    Case(
        "a MAC and an IP in CNI_ARGS, the unknown ignored",
        _gateway(),
        env=with_args(f"IgnoreUnknown=true;MAC={_MAC};IP=10.1.0.77"),
    ),
    Case("an IP in args", _gateway(args={"cni": {"ips": ["10.1.0.79"]}})),
    Case("an unknown key in CNI_ARGS", _gateway(), REFUSED, env=with_args("FOO=BAR")),
    Case(
        "an unknown key in CNI_ARGS, ignored",
        _gateway(),
        env=with_args("IgnoreUnknown=1;FOO=BAR;K8S_POD_NAME=x"),
    ),
    Case("CNI_ARGS that are none", _gateway(), REFUSED, env=with_args("FOO")),
)

MASQUERADE = (
    Case(
        "ipMasq",
        _gateway(ipMasq=True) | {"ipam": local(V4, routes=DEFAULTS[:1])},
        (ADD, CHECK, _OUTSIDE[0], ADD_2, DEL, DEL_2),
        uplink=True,
    ),
    Case(
        "ipMasq, IPv6",
        _gateway(ipMasq=True) | {"ipam": local(V6, routes=DEFAULTS[1:])},
        (ADD, CHECK, _OUTSIDE[1], DEL),
        uplink=True,
    ),
    Case(
        "ipMasq, both families",
        bridge(local(V4, V6), ipMasq=True, isDefaultGateway=True),
        (ADD, *_OUTSIDE, DEL, DEL_AGAIN),
        uplink=True,
    ),
    Case(
        "no ipMasq",
        bridge(local(V4, V6), isDefaultGateway=True),
        (ADD, *_OUTSIDE, DEL),
        uplink=True,
    ),
    Case("ipMasq and no gateway", bridge(local(V4), ipMasq=True)),
    Case("ipMasq, two networks", _gateway(V4, "10.2.0.0/16", ipMasq=True), versions=LATEST),
    Case(
        "ipMasq, DEL without the namespace",
        _gateway(ipMasq=True),
        (ADD, Call("DEL", env={"CNI_NETNS": ""}), DEL),
        versions=CHECKED,
    ),
    Case(
        "ipMasq, DEL without a result",
        _gateway(ipMasq=True),
        (ADD, Call("DEL", previous="")),
        versions=CHECKED,
    ),
    Case(
        "ipMasq, the rules are flushed",
        _gateway(ipMasq=True),
        (ADD, Shell("iptables -t nat -F"), CHECK, DEL),
        versions=CHECKED,
    ),
)

CASES = (*GATEWAYS, *EXISTING, *LINKS, *MASQUERADE)
