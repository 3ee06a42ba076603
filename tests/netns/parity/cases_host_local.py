"""`host-local` by itself: ranges, requests, files, and what it refuses."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.netns.parity.cases import (
    ADD,
    ADD_2,
    CHECK,
    DEL,
    DEL_2,
    ONE,
    REFUSED,
    TWO,
    Call,
    Case,
    Shell,
    Step,
)
from tests.netns.parity.networks import (
    CHECKED,
    LATEST,
    V4,
    V6,
    alone,
    latest,
    local,
    only,
    with_args,
)

_NET = "/var/lib/cni/networks/net"
# After the first has come and gone, the second gets what follows.
_ROUND: tuple[Step, ...] = (ADD, DEL, ADD, ADD_2, DEL, DEL_2)


def _ranges(*sets: Any) -> dict[str, Any]:
    return alone(local(ranges=list(sets)))


def _subnet(subnet: Any = V4, **keys: Any) -> dict[str, Any]:
    """Return a configuration of the older form, without sets."""
    return alone({"type": "host-local", "subnet": subnet, **keys})


def _asked(name: str, args: str, *subnets: str, steps: Sequence[Step] = TWO) -> Case:
    return Case(name, alone(local(*(subnets or (V4,)))), steps, env=with_args(args))


def _found(name: str, files: Mapping[str, str], steps: Sequence[Step] = TWO) -> Case:
    return Case(
        name, _subnet(), steps, files={f"{_NET}/{path}": text for path, text in files.items()}
    )


RANGES = (
    Case("subnet", _subnet(), TWO),
    Case("rangeStart", _subnet(rangeStart="10.1.0.100"), TWO),
    Case("rangeEnd", _subnet("10.1.0.0/24", rangeEnd="10.1.0.2"), TWO),
    Case("rangeStart and rangeEnd", _subnet(rangeStart="10.1.0.5", rangeEnd="10.1.0.6"), _ROUND),
    Case("gateway", _subnet(gateway="10.1.0.2"), TWO),
    Case("gateway between the addresses", _subnet(rangeStart="10.1.0.4", gateway="10.1.0.5"), TWO),
    Case("gateway outside the subnet", _subnet(gateway="10.2.0.1"), REFUSED),
    Case("one set", alone(local(V4)), TWO),
    Case("two sets", alone(local(V4, "10.2.0.0/16")), TWO),
    Case("both families", alone(local(V4, V6)), TWO),
    Case("IPv6", alone(local(V6)), _ROUND),
    Case(
        "IPv6 with a start",
        _ranges([{"subnet": V6, "rangeStart": "fd00:1::ff", "gateway": "fd00:1::1"}]),
    ),
    Case("IPv6 in the older form", _subnet(V6)),
    Case("IPv6 written at length", _subnet("FD00:0001:0000::/64")),
    Case("an IPv6 network of 127 bits", _subnet("fd00:1::/127"), REFUSED),
    Case("an IPv6 network of 120 bits", _subnet("fd00:1::/120"), TWO),
    Case(
        "a set of two ranges", _ranges([{"subnet": "10.1.0.0/30"}, {"subnet": "10.2.0.0/24"}]), TWO
    ),
    Case(
        "two ranges of one subnet",
        _ranges(
            [
                {"subnet": V4, "rangeStart": "10.1.0.10", "rangeEnd": "10.1.0.10"},
                {"subnet": V4, "rangeStart": "10.1.0.20", "rangeEnd": "10.1.0.21"},
            ]
        ),
        _ROUND,
    ),
    Case("subnet and ranges", alone(local("10.2.0.0/24", subnet=V4)), TWO),
    Case(
        "ranges of runtimeConfig",
        alone(local(V4), runtimeConfig={"ipRanges": [[{"subnet": "10.3.0.0/24"}]]}),
    ),
    Case(
        "only ranges of runtimeConfig",
        alone(local(), runtimeConfig={"ipRanges": [[{"subnet": "10.3.0.0/24"}]]}),
    ),
    Case("a subnet with host bits", _subnet("10.1.0.7/24"), REFUSED),
    Case("a subnet without a prefix", _subnet("10.1.0.0"), REFUSED),
    Case("a subnet that is no address", _subnet("elsewhere"), REFUSED),
    Case("a subnet that is a number", _subnet(10), REFUSED),
    Case("a subnet of 30 bits", _subnet("10.1.0.0/30"), TWO),
    Case("a subnet of 31 bits", _subnet("10.1.0.0/31"), REFUSED),
    Case("a subnet of 32 bits", _subnet("10.1.0.0/32"), REFUSED),
    Case("no subnet", _subnet(None), REFUSED),
    Case("no ranges", _ranges(), REFUSED),
    Case("an empty set", _ranges([]), REFUSED),
    Case("an empty set beside another", _ranges([{"subnet": V4}], []), REFUSED),
    Case("a range without a subnet", _ranges([{"rangeStart": "10.1.0.1"}]), REFUSED),
    Case("ranges of one list", _ranges({"subnet": V4}), REFUSED),
    Case("rangeStart before the subnet", _subnet(rangeStart="10.0.0.1"), REFUSED),
    Case("rangeEnd behind the subnet", _subnet(rangeEnd="10.1.1.1"), REFUSED),
    Case(
        "rangeEnd before rangeStart", _subnet(rangeStart="10.1.0.9", rangeEnd="10.1.0.8"), REFUSED
    ),
    Case("rangeStart is the network", _subnet(rangeStart="10.1.0.0"), TWO),
    Case("rangeEnd is the broadcast", _subnet(rangeStart="10.1.0.254", rangeEnd="10.1.0.255"), TWO),
    Case("rangeStart is no address", _subnet(rangeStart="x"), REFUSED),
    Case("rangeStart of the other family", _subnet(rangeStart="fd00::1"), REFUSED),
    Case("gateway is no address", _subnet(gateway="x"), REFUSED),
    Case("a set with both families", _ranges([{"subnet": V4}, {"subnet": V6}]), REFUSED),
    Case(
        "ranges that overlap in a set",
        _ranges([{"subnet": V4}, {"subnet": "10.1.0.0/16"}]),
        REFUSED,
    ),
    Case("ranges that overlap between sets", _ranges([{"subnet": V4}], [{"subnet": V4}]), REFUSED),
    Case(
        "a large network",
        _subnet("10.0.0.0/8", rangeStart="10.255.255.250"),
        TWO,
    ),
)

OTHER_KEYS = (
    Case(
        "routes", _subnet(routes=[{"dst": "0.0.0.0/0"}, {"dst": "10.9.0.0/16", "gw": "10.1.0.7"}])
    ),
    Case("a route with host bits", _subnet(routes=[{"dst": "10.9.0.1/16"}])),
    Case("a route without a destination", _subnet(routes=[{"gw": "10.1.0.7"}]), REFUSED),
    Case("a bad route", _subnet(routes=[{"dst": "x"}]), REFUSED),
    Case("a route by a bad gateway", _subnet(routes=[{"dst": "10.9.0.0/16", "gw": "x"}]), REFUSED),
    Case("routes is an object", _subnet(routes={"dst": "0.0.0.0/0"}), REFUSED),
    Case(
        "resolvConf",
        _subnet(resolvConf="/run/resolv.conf"),
        files={
            "/run/resolv.conf": "# of a test\nnameserver 10.1.0.53\n nameserver 10.1.0.54 \n"
            "domain a.test\nsearch a.test b.test\noptions ndots:2 rotate\nsortlist 10.0.0.0\n;x\n"
        },
    ),
    Case("resolvConf is empty", _subnet(resolvConf="/run/empty"), files={"/run/empty": ""}),
    Case("resolvConf does not exist", _subnet(resolvConf="/run/none"), ONE),
    Case(
        "resolvConf without values",
        _subnet(resolvConf="/run/r"),
        files={"/run/r": "nameserver\nsearch\n"},
    ),
    Case("dataDir", _subnet(dataDir="/var/lib/cni/elsewhere"), TWO),
    Case("dataDir is a number", _subnet(dataDir=5), REFUSED),
    Case("dns of the network", alone(local(V4), dns={"nameservers": ["10.1.0.1"]})),
    Case("unknown keys", _subnet(foo=1, exclude=["10.1.0.2"])),
    Case("no ipam", {"type": "host-local"}, REFUSED),
    Case("ipam is a list", {"type": "host-local", "ipam": []}, REFUSED),
    Case("no name", alone(local(V4), name=None), REFUSED),
    Case("VERSION", _subnet(), [Call("VERSION")], versions=LATEST),
)

REQUESTS = (
    _asked("an IP in CNI_ARGS", "IP=10.1.0.50", steps=(ADD, ADD_2, DEL, DEL_2)),
    _asked("an IP among other arguments", "IgnoreUnknown=1;K8S_POD=x;IP=10.1.0.50", steps=ONE),
    _asked("the gateway in CNI_ARGS", "IP=10.1.0.1", steps=REFUSED),
    _asked("the network in CNI_ARGS", "IP=10.1.0.0", steps=REFUSED),
    _asked("the broadcast in CNI_ARGS", "IP=10.1.0.255", steps=REFUSED),
    _asked("an IP outside", "IP=10.2.0.1", steps=REFUSED),
    _asked("no IP in CNI_ARGS", "IP=", steps=REFUSED),
    _asked("a bad IP in CNI_ARGS", "IP=10.1.0", steps=REFUSED),
    _asked("an IP with a prefix in CNI_ARGS", "IP=10.1.0.50/24", steps=REFUSED),
    _asked("two IPs in CNI_ARGS", "IP=10.1.0.50,fd00:1::50", V4, V6, steps=REFUSED),
    _asked("an IP of one of two sets", "IP=fd00:1::50", V4, V6, steps=ONE),
    _asked("an unknown argument", "FOO=1", steps=REFUSED),
    Case(
        "IPs in runtimeConfig",
        alone(local(V4, V6), runtimeConfig={"ips": ["10.1.0.50/24", "fd00:1::50/64"]}),
    ),
    Case("IPs in args", alone(local(V4, V6), args={"cni": {"ips": ["10.1.0.50", "fd00:1::50"]}})),
    Case(
        "an IP in runtimeConfig and one in args",
        alone(
            local(V4, V6),
            runtimeConfig={"ips": ["10.1.0.50"]},
            args={"cni": {"ips": ["fd00:1::51"]}},
        ),
    ),
    Case("a bad IP in runtimeConfig", alone(local(V4), runtimeConfig={"ips": ["x"]}), REFUSED),
    Case("a bad IP in args", alone(local(V4), args={"cni": {"ips": ["10.1.0.300"]}}), REFUSED),
    Case(
        "a second IP that no set has",
        alone(local(V4), runtimeConfig={"ips": ["10.1.0.50", "10.9.0.50"]}),
        REFUSED,
    ),
    Case("an IP outside in args", alone(local(V4), args={"cni": {"ips": ["10.9.0.1"]}}), REFUSED),
)

_OTHER = {"CNI_CONTAINERID": "c1-and-more"}
_ETH1 = {"CNI_IFNAME": "eth1"}
_ALL = ("ADD", "CHECK", "DEL")

LIVES = (
    Case("one after the other", _subnet(), _ROUND),
    Case("ADD twice", _subnet(), (ADD, ADD, DEL)),
    Case("two interfaces", _subnet(), (ADD, Call("ADD", env=_ETH1), DEL, Call("DEL", env=_ETH1))),
    Case(
        "an ID that begins like another",
        _subnet(),
        (ADD, Call("ADD", env=_OTHER), DEL, Call("DEL", env=_OTHER)),
    ),
    Case(
        "a full range",
        _subnet(rangeStart="10.1.0.2", rangeEnd="10.1.0.2"),
        (ADD, ADD_2, DEL, ADD_2, DEL_2),
    ),
    Case("one of two sets is full", alone(local(V4, "10.2.0.0/30")), (ADD, ADD_2, DEL, DEL_2)),
    Case("a second network", _subnet(), (ADD, Call("ADD", conf={"name": "other"}), DEL)),
    Case("DEL without ADD", _subnet(), (DEL, DEL)),
    Case("DEL without the interface's name", _subnet(), (ADD, *only("DEL", CNI_IFNAME=""), DEL)),
    Case("no namespace", _subnet(), only(*_ALL, CNI_NETNS="/run/netns/none")),
    Case("CNI_NETNS is empty", _subnet(), only(*_ALL, CNI_NETNS="")),
    Case("CNI_CONTAINERID is missing", _subnet(), only(*_ALL, CNI_CONTAINERID=None)),
    Case("CHECK without ADD", _subnet(), (CHECK,), versions=CHECKED),
    Case("CHECK without a result", _subnet(), (ADD, Call("CHECK", previous=""), DEL)),
    Case(
        "CHECK when the lease is gone",
        _subnet(),
        (ADD, Shell(f"rm {_NET}/10.1.0.2"), CHECK, DEL),
        versions=CHECKED,
    ),
    Case(
        "CHECK of another interface", _subnet(), (ADD, Call("CHECK", env=_ETH1)), versions=CHECKED
    ),
    Case("ADD with a prevResult", _subnet(prevResult={"ips": []}), ONE),
)

FILES = (
    _found("the next in turn is the first", {"last_reserved_ip.0": "10.1.0.254"}),
    _found("the last was in the middle", {"last_reserved_ip.0": "10.1.0.99"}),
    _found("the last was another network's", {"last_reserved_ip.0": "10.7.0.9"}),
    _found("the last is no address", {"last_reserved_ip.0": "x"}),
    _found("the last is empty", {"last_reserved_ip.0": ""}),
    _found("the last ends with a newline", {"last_reserved_ip.0": "10.1.0.99\n"}),
    _found("the last is of another set", {"last_reserved_ip.1": "10.1.0.99"}),
    _found("leases of others", {"10.1.0.2": "x\r\neth0", "10.1.0.4": "y\r\neth0"}),
    _found("our own lease", {"10.1.0.9": "c1\r\neth0"}, (ADD, DEL)),
    _found("our own lease of another interface", {"10.1.0.9": "c1\r\neth9"}, (ADD, DEL)),
    _found("a lease of the older form", {"10.1.0.9": "c1"}, (DEL,)),
    _found("a lease of the older form is checked", {"10.1.0.9": "c1"}, (ADD, CHECK, DEL)),
    _found("a lease with Unix lines", {"10.1.0.9": "c1\neth0"}, (DEL,)),
    _found("a lease with spaces", {"10.1.0.9": " c1\r\neth0 \n"}, (DEL,)),
    _found("an empty lease", {"10.1.0.2": ""}),
    _found("a lease of bytes", {"10.1.0.2": "\xff\x00\xfe"}),
    _found("a stray file", {"README": "c1\r\neth0", "x/y": "c1\r\neth0"}),
    _found("the lock is there", {"lock": ""}),
    _found("the lock is a directory", {"lock/x": ""}, REFUSED),
    _found("the next address is a directory", {"10.1.0.2/x": ""}),
    Case(
        "dataDir is a file",
        _subnet(dataDir="/var/lib/cni/file"),
        REFUSED,
        files={"/var/lib/cni/file": ""},
    ),
    Case(
        "dataDir cannot be written", _subnet(), REFUSED, before="mount -o remount,ro /var/lib/cni"
    ),
    Case(
        "dataDir cannot be written any more",
        _subnet(),
        (ADD, Shell("mount -o remount,ro /var/lib/cni"), CHECK, DEL),
    ),
)

# The version shows in results, and those of the others are no other.
CASES = (*RANGES, *latest((*OTHER_KEYS, *REQUESTS, *LIVES, *FILES)))
