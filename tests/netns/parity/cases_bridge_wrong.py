"""What `bridge` is asked wrongly, and what happens to it between its calls."""

from tests.netns.parity.cases import (
    ADD,
    ADD_2,
    CHECK,
    DEL,
    ONE,
    REFUSED,
    Call,
    Case,
    Forget,
    Shell,
)
from tests.netns.parity.networks import (
    CHECKED,
    LATEST,
    V4,
    bridge,
    latest,
    local,
    only,
    tampered,
    without,
)

_PLAIN = bridge(local(V4), isGateway=True)
_ALL = ("ADD", "CHECK", "DEL")
_RESULT = {"ips": [{"version": "4", "address": "10.1.0.9/24", "interface": 0}], "interfaces": []}


def _plain(**keys: object) -> dict[str, object]:
    return _PLAIN | keys


def _stdin(text: str) -> tuple[Call, ...]:
    return tuple(Call(command, stdin=text) for command in _ALL)


KEYS = (
    Case("bridge is missing", bridge(local(V4), bridge=None, isGateway=True)),
    Case("bridge is empty", _plain(bridge="")),
    Case("bridge is a number", _plain(bridge=5), REFUSED),
    Case("bridge of 15 letters", _plain(bridge="fifteen-letters")),
    Case("bridge of 16 letters", _plain(bridge="sixteen--letters"), REFUSED),
    Case("bridge with a slash", _plain(bridge="cni/0"), REFUSED),
    Case("name is missing", _plain(name=None), REFUSED),
    Case("name is empty", _plain(name=""), REFUSED),
    Case("name with a slash", _plain(name="a/b"), REFUSED),
    Case("name is a number", _plain(name=5), REFUSED),
    Case("type is missing", _PLAIN, (Call("ADD", conf={"type": None}), DEL)),
    Case("mtu is a string", _plain(mtu="1400"), REFUSED),
    Case("mtu is a fraction", _plain(mtu=1400.5), REFUSED),
    Case("isGateway is a string", _plain(isGateway="true"), REFUSED),
    Case(
        "isGateway is null",
        _PLAIN,
        (
            Call(
                "ADD",
                stdin='{"cniVersion":"1.0.0","name":"net",'
                '"bridge":"cni0","isGateway":null,"ipam":null}',
            ),
            DEL,
        ),
        versions=LATEST,
    ),
    Case("ipMasq is a number", _plain(ipMasq=1), REFUSED),
    Case("unknown keys", _plain(foo={"bar": [1, None]}, Bridge2="x")),
    Case("keys in other letters", _plain(isGateway=None, ISGATEWAY=True)),
    Case("ipam is a string", _plain(ipam="host-local"), REFUSED),
    Case("ipam is empty", _plain(ipam={})),
    Case("ipam without a type", _plain(ipam={"subnet": V4}), REFUSED),
    Case("ipam of an unknown type", _plain(ipam={"type": "nobody-has-this"}), REFUSED),
    Case("ipam type with a slash", _plain(ipam={"type": "../host-local"}), REFUSED),
    Case("ipam type is a number", _plain(ipam={"type": 5}), REFUSED),
    Case("a bad subnet", _plain(ipam=local("10.1.0.0/33")), REFUSED),
    Case("no subnet", _plain(ipam=local()), REFUSED),
    Case("a full network", _plain(ipam=local("10.1.0.0/30")), (ADD, ADD_2, DEL)),
    Case("runtimeConfig is a list", _plain(runtimeConfig=[]), REFUSED),
    Case("args is a string", _plain(args="x"), REFUSED),
)

VERSIONS = (
    Case("cniVersion is missing", _plain(cniVersion=None), versions=LATEST),
    Case("cniVersion is empty", _plain(cniVersion=""), versions=LATEST),
    Case("cniVersion is unknown", _plain(cniVersion="9.9.9"), versions=LATEST),
    Case("cniVersion is 0.3", _plain(cniVersion="0.3"), versions=LATEST),
    Case("cniVersion is a number", _plain(cniVersion=1), versions=LATEST),
    Case("cniVersion is 1.1.0", _plain(cniVersion="1.1.0"), versions=LATEST),
    Case("VERSION", _PLAIN, [Call("VERSION")]),
    Case("VERSION without stdin", _PLAIN, [Call("VERSION", stdin="")], versions=LATEST),
)

STDIN = (
    Case("stdin is empty", _PLAIN, _stdin(""), versions=LATEST),
    Case("stdin is not JSON", _PLAIN, _stdin("{"), versions=LATEST),
    Case("stdin is a list", _PLAIN, _stdin("[]"), versions=LATEST),
    Case("stdin is null", _PLAIN, _stdin("null"), versions=LATEST),
    Case("stdin is a string", _PLAIN, _stdin('"x"'), versions=LATEST),
    Case("stdin is an empty object", _PLAIN, _stdin("{}"), versions=LATEST),
    Case("stdin is no UTF-8", _PLAIN, _stdin('{"name": "\xff"}'), versions=LATEST),
)

ENVIRONMENT = (
    Case("CNI_COMMAND is missing", _PLAIN, [Call("ADD", env=without("CNI_COMMAND"))]),
    Case("CNI_COMMAND is unknown", _PLAIN, only("FOO", "add", "")),
    Case("CNI_CONTAINERID is missing", _PLAIN, only(*_ALL, CNI_CONTAINERID=None)),
    Case("CNI_CONTAINERID is empty", _PLAIN, only(*_ALL, CNI_CONTAINERID="")),
    Case("CNI_CONTAINERID with a slash", _PLAIN, only(*_ALL, CNI_CONTAINERID="a/b")),
    Case("CNI_CONTAINERID begins with a dash", _PLAIN, only(*_ALL, CNI_CONTAINERID="-a")),
    Case("CNI_CONTAINERID is long", _PLAIN, only(*_ALL, CNI_CONTAINERID="a" * 300)),
    Case("CNI_NETNS is missing", _PLAIN, only(*_ALL, CNI_NETNS=None)),
    Case("CNI_NETNS is empty", _PLAIN, only(*_ALL, CNI_NETNS="")),
    Case("CNI_NETNS does not exist", _PLAIN, only(*_ALL, CNI_NETNS="/run/netns/none")),
    Case(
        "CNI_NETNS is a file", _PLAIN, only(*_ALL, CNI_NETNS="/run/file"), files={"/run/file": ""}
    ),
    Case("CNI_NETNS is a directory", _PLAIN, only(*_ALL, CNI_NETNS="/run")),
    Case("CNI_IFNAME is missing", _PLAIN, only(*_ALL, CNI_IFNAME=None)),
    Case("CNI_IFNAME of 15 letters", _PLAIN, only(*_ALL, CNI_IFNAME="fifteen-letters")),
    Case("CNI_IFNAME of 16 letters", _PLAIN, only(*_ALL, CNI_IFNAME="sixteen--letters")),
    Case("CNI_IFNAME with a slash", _PLAIN, only(*_ALL, CNI_IFNAME="a/b")),
    Case("CNI_IFNAME with a colon", _PLAIN, only(*_ALL, CNI_IFNAME="a:b")),
    Case("CNI_IFNAME with a space", _PLAIN, only(*_ALL, CNI_IFNAME="a b")),
    Case("CNI_IFNAME is two dots", _PLAIN, only(*_ALL, CNI_IFNAME="..")),
    Case("CNI_PATH is missing", _PLAIN, only(*_ALL, CNI_PATH=None)),
    Case("CNI_PATH leads nowhere", _PLAIN, only("ADD", CNI_PATH="/run/none")),
    Case("several variables are missing", _PLAIN, only(*_ALL, CNI_NETNS=None, CNI_IFNAME=None)),
    Case("GC and STATUS", _PLAIN, only("GC", "STATUS")),
)

_ETH1 = {"CNI_IFNAME": "eth1"}

LIVES = (
    Case(
        "the interface's name is taken",
        _PLAIN,
        (Shell("ip link add eth0 type veth", "c1"), ADD, DEL),
    ),
    Case("ADD twice", _PLAIN, (ADD, ADD, DEL, DEL)),
    Case("two interfaces", _PLAIN, (ADD, Call("ADD", env=_ETH1), DEL, Call("DEL", env=_ETH1))),
    Case("DEL without ADD", _PLAIN, (DEL, DEL)),
    Case(
        "DEL without the namespace's path", _PLAIN, (ADD, Call("DEL", env={"CNI_NETNS": ""}), DEL)
    ),
    Case("DEL when the namespace is gone", _PLAIN, (ADD, Forget(), DEL, DEL)),
    Case("DEL when the link is gone", _PLAIN, (ADD, Shell("ip link delete eth0", "c1"), DEL)),
    Case("DEL when the leases are gone", _PLAIN, (ADD, Shell("rm -r /var/lib/cni/networks"), DEL)),
    Case("DEL without a result", _PLAIN, (ADD, Call("DEL", previous="")), versions=CHECKED),
    Case("DEL of another network's name", _PLAIN, (ADD, Call("DEL", conf={"name": "other"}), DEL)),
    Case(
        "DEL with a broken prevResult",
        _PLAIN,
        (ADD, Call("DEL", conf={"prevResult": {"ips": 5}}, previous=""), DEL),
    ),
    Case("ADD with a prevResult", _plain(prevResult=_RESULT), ONE),
    Case("CHECK without a result", _PLAIN, (ADD, Call("CHECK", previous=""), DEL)),
    Case("CHECK without ADD", _PLAIN, (CHECK,), versions=CHECKED),
    Case("CHECK with the result of another", _PLAIN, (ADD, ADD_2, Call("CHECK", previous="c2"))),
    Case(
        "CHECK with a broken result",
        _PLAIN,
        (ADD, Call("CHECK", conf={"prevResult": {"ips": "x"}}, previous=""), DEL),
        versions=CHECKED,
    ),
    Case(
        "CHECK with another configuration",
        _PLAIN,
        (ADD, Call("CHECK", conf={"bridge": "cni1"}), DEL),
        versions=CHECKED,
    ),
    Case("CHECK when the namespace is gone", _PLAIN, (ADD, Forget(), CHECK, DEL), versions=CHECKED),
)

TAMPERED = tuple(
    Case(f"CHECK when {what}", conf, tampered(script, place), versions=CHECKED)
    for what, conf, script, place in (
        ("the address is gone", _PLAIN, "ip address flush dev eth0", "c1"),
        ("there is one more address", _PLAIN, "ip address add 10.5.0.1/24 dev eth0", "c1"),
        ("the link is gone", _PLAIN, "ip link delete eth0", "c1"),
        ("the link is down", _PLAIN, "ip link set eth0 down", "c1"),
        ("the link has another MAC", _PLAIN, "ip link set eth0 address 02:00:00:00:00:dd", "c1"),
        ("the link has another MTU", _plain(mtu=1400), "ip link set eth0 mtu 1300", "c1"),
        ("the port has left the bridge", _PLAIN, "for p in /sys/class/net/veth*; do "
         "ip link set ${p##*/} nomaster; done", "host"),
        ("the bridge is gone", _PLAIN, "ip link delete cni0", "host"),
        ("the bridge has no address", _PLAIN, "ip address flush dev cni0", "host"),
        ("the bridge is down", _PLAIN, "ip link set cni0 down", "host"),
        ("hairpin mode is off", _plain(hairpinMode=True), "for p in /sys/class/net/veth*; do "
         "bridge link set dev ${p##*/} hairpin off; done", "host"),
        ("promiscuous mode is off", _plain(promiscMode=True), "ip link set cni0 promisc off",
         "host"),
        ("the route is gone", _plain(ipam=local(V4, routes=[{"dst": "10.9.0.0/16"}])),
         "ip route delete 10.9.0.0/16", "c1"),
        ("the lease is gone", _PLAIN, "rm /var/lib/cni/networks/net/10.*", "host"),
        ("the lease is another's", _PLAIN,
         "printf 'other\\r\\neth0' >/var/lib/cni/networks/net/10.1.0.2", "host"),
    )
)  # fmt: skip

# What is refused is refused in every version.
CASES = latest((*KEYS, *VERSIONS, *STDIN, *ENVIRONMENT, *LIVES, *TAMPERED))
