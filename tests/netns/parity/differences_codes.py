"""Which codes errors have."""

from tests.netns.parity.known import Fact, Known

CALL = r"(ADD|CHECK|DEL) c."
FORWARDING = r"host sysctl net/ipv[46]/(conf/[^/]+/forwarding|ip_forward)"

KNOWN: tuple[Known, ...] = (
    Known(
        title="Wrong configuration is code 7",
        reason="999 is what Debian's say of everything; here the specification's codes.",
        facts=(Fact(rf"{CALL}: code", 999, 7),),
        cases="""
bridge: mtu too big
bridge: hairpinMode and promiscMode
bridge: vlan too big
bridge: a bad MAC in runtimeConfig
bridge: bridge is empty
bridge: bridge is a number
bridge: bridge of 16 letters
bridge: bridge with a slash
bridge: mtu is a string
bridge: mtu is a fraction
bridge: isGateway is a string
bridge: ipMasq is a number
bridge: ipam is a string
bridge: ipam type with a slash
bridge: ipam type is a number
bridge: a bad subnet
bridge: no subnet
bridge: runtimeConfig is a list
bridge: args is a string
bridge: CHECK without a result
bridge: CHECK with a broken result
host-local: an IPv6 network of 127 bits
host-local: a subnet with host bits
host-local: a subnet without a prefix
host-local: a subnet that is no address
host-local: a subnet that is a number
host-local: a subnet of 31 bits
host-local: a subnet of 32 bits
host-local: no subnet
host-local: no ranges
host-local: an empty set
host-local: an empty set beside another
host-local: a range without a subnet
host-local: ranges of one list
host-local: rangeStart before the subnet
host-local: rangeEnd behind the subnet
host-local: rangeEnd before rangeStart
host-local: rangeStart is no address
host-local: rangeStart of the other family
host-local: gateway is no address
host-local: a set with both families
host-local: ranges that overlap in a set
host-local: ranges that overlap between sets
host-local: a bad route
host-local: a route by a bad gateway
host-local: routes is an object
host-local: dataDir is a number
host-local: no ipam
host-local: ipam is a list
host-local: a bad IP in runtimeConfig
host-local: a bad IP in args
static: an address without a prefix
static: a bad address
static: no ipam
static: a bad gateway
static: a bad route
static: addresses is a string
static: a bad IP in runtimeConfig
static: an IP in runtimeConfig without a prefix
ptp: mtu too big
ptp: mtu is a string
ptp: no ipam
ptp: CHECK without a result
macvlan: an unknown mode
macvlan: mode is a number
macvlan: mtu too big
macvlan: mtu negative
""",
    ),
    Known(
        title="Wrong arguments are code 4",
        reason="999 is what Debian's say of everything; CNI_ARGS is a part of the environment.",
        facts=(Fact(rf"{CALL}: code", 999, 4),),
        cases="""
bridge: a MAC in CNI_ARGS
bridge: three MACs
bridge: a MAC in capital letters
bridge: a bad MAC
bridge: a multicast MAC
bridge: an unknown key in CNI_ARGS
bridge: CNI_ARGS that are none
host-local: a bad IP in CNI_ARGS
host-local: two IPs in CNI_ARGS
host-local: an unknown argument
static: an IP without a prefix in CNI_ARGS
static: a bad gateway in CNI_ARGS
static: an unknown argument
macvlan: a MAC in CNI_ARGS
macvlan: a bad MAC
""",
    ),
    Known(
        title="Trouble with files is code 5",
        reason="999 is what Debian's say of everything.",
        facts=(Fact(rf"{CALL}: code", 999, 5),),
        cases="""
host-local: resolvConf does not exist
host-local: the lock is a directory
host-local: dataDir is a file
host-local: dataDir cannot be written
""",
    ),
    Known(
        title="An IPAM plugin that is missing is code 102",
        reason=(
            "999 is what Debian's say of everything; 102 is that of a delegate that could "
            "not be run."
        ),
        facts=(Fact(rf"{CALL}: code", 999, 102),),
        cases="""
bridge: ipam of an unknown type
ptp: ipam of an unknown type
macvlan: ipam of an unknown type
""",
    ),
)
