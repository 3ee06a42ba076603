"""What a refusal and DEL leave, and what they mind."""

from tests.netns.parity.cases import VERSIONS
from tests.netns.parity.known import ANYTHING, Fact, Known, Like

CALL = r"(ADD|CHECK|DEL) c."
FORWARDING = r"host sysctl net/ipv[46]/(conf/[^/]+/forwarding|ip_forward)"

KNOWN: tuple[Known, ...] = (
    Known(
        title="An address is asked for before a link is made",
        reason=(
            "Debian's asks in another order, so a failure leaves the mark of the last "
            "address in one of the two."
        ),
        facts=(
            Fact(r"ADD c.: file networks(/net|/net/lock)?", None, ANYTHING),
            Fact(r"ADD c.: file networks/net/last_reserved_ip.0", None, "10.1.0.2"),
            Fact(r"ADD c.: file networks/net/last_reserved_ip.0", "10.1.0.2", "10.1.0.3"),
        ),
        cases="""
bridge: a link of another kind has the name
bridge: mtu too small
bridge: vlan
bridge: vlan and isGateway
bridge: an IP outside in CNI_ARGS
macvlan: mode passthru twice
macvlan: the master is lo
""",
    ),
    Known(
        title="An old result holds one address of a family",
        reason=(
            "Before 0.3.0, and bridge and macvlan need one. Ours see it first or take all "
            "back; Debian's fail with everything made, and DEL then fails too."
        ),
        facts=(
            Fact(rf"{CALL}: code", 999, 7),
            Fact(r"DEL c.: status", 1, 0),
            Fact(r"DEL c.: code", 999, None),
            Fact(r"ADD c.: (c.|host) link .*", "is there", None),
            Fact(r"ADD c.: c. sysctl net/ipv6/conf/eth0/ndisc_notify", "0", "1"),
        ),
        versions=VERSIONS[:2],
        cases="""
bridge: isGateway, two IPv4 networks
bridge: isGateway, two IPv6 networks
bridge: isDefaultGateway, two networks
bridge: forceAddress, two networks
bridge: no ipam
bridge: no ipam, isGateway
bridge: no ipam, ipMasq
bridge: static without addresses
host-local: two sets
host-local: subnet and ranges
host-local: ranges of runtimeConfig
static: no addresses
static: no ipam
static: the same address twice
static: IPs in CNI_ARGS
ptp: two networks
macvlan: two networks
""",
    ),
    Known(
        title="`static` says whose addresses they are",
        reason="Debian's CHECK takes a result with other addresses for good.",
        facts=(
            Fact(r"CHECK c.: status", 0, 1),
            Fact(r"CHECK c.: code", None, 999),
        ),
        cases="""
static: CHECK with another's result
""",
    ),
    Known(
        title="DEL does what it can",
        reason=(
            "Debian's fails at what DEL has no use for: a configuration of addresses that "
            "no ADD accepts, arguments, a namespace that is none."
        ),
        facts=(
            Fact(r"DEL c.: status", 1, 0),
            Fact(r"DEL c.: code", 999, None),
        ),
        cases="""
bridge: a MAC in CNI_ARGS
bridge: three MACs
bridge: a MAC in capital letters
bridge: a multicast MAC
bridge: an IP outside in CNI_ARGS
bridge: ipMasq, two networks
bridge: a bad subnet
bridge: no subnet
bridge: CNI_NETNS is a file
bridge: CNI_NETNS is a directory
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
host-local: a bad IP in CNI_ARGS
host-local: two IPs in CNI_ARGS
host-local: an unknown argument
host-local: a bad IP in runtimeConfig
host-local: a bad IP in args
host-local: dataDir is a file
host-local: dataDir cannot be written
ptp: no ipam
macvlan: mtu too big
macvlan: a MAC in CNI_ARGS
macvlan: a bad MAC
""",
    ),
    Known(
        title="DEL refuses what ADD refuses",
        reason=(
            "A link plugin checks all of its own keys first; Debian's looks at fewer on "
            "DEL. Nothing was made with such a configuration."
        ),
        facts=(
            Fact(r"DEL c.: status", 0, 1),
            Fact(r"DEL c.: code", None, 7),
        ),
        cases="""
bridge: mtu too big
bridge: mtu negative
bridge: hairpinMode and promiscMode
bridge: a bad MAC in runtimeConfig
bridge: bridge is empty
bridge: bridge of 16 letters
bridge: bridge with a slash
ptp: mtu too big
""",
    ),
    Known(
        title="A failed ADD leaves nothing behind",
        reason="Debian's leaves links, sysctls, and the mark of an address that nobody got.",
        facts=(
            Fact(r"ADD c.: (c.|host) link .*", "is there", None),
            Fact(rf"ADD c.: {FORWARDING}", "1", "0"),
            Fact(r"ADD c.: host sysctl net/ipv6/conf/cni0/accept_ra", "0", "1"),
            Fact(r"ADD c.: host link cni0 tso_max_size", 524280, 65536),
            Fact(r"ADD c.: file networks/net/last_reserved_ip.0", Like("10.1.0.(2|50)"), None),
            Fact(r"ADD c.: file networks/net/last_reserved_ip.0", "10.1.0.3", "10.1.0.2"),
        ),
        cases="""
bridge: isGateway, two IPv4 networks
bridge: isDefaultGateway, two networks
bridge: a set of two ranges
bridge: a route by an unreachable gateway
bridge: the bridge has an address elsewhere
bridge: the bridge has another address
bridge: the bridge has a wider network
bridge: the bridge has the address with another prefix
bridge: the bridge has another IPv6 address
bridge: mtu below what IPv6 needs
bridge: static without addresses
bridge: a MAC in CNI_ARGS
bridge: three MACs
bridge: a MAC in capital letters
bridge: a bad MAC
bridge: a bad MAC in runtimeConfig
bridge: a multicast MAC
bridge: ipMasq, two networks
bridge: ipam of an unknown type
bridge: ipam type with a slash
bridge: a bad subnet
bridge: no subnet
bridge: a full network
bridge: CNI_NETNS does not exist
bridge: CNI_NETNS is a file
bridge: CNI_NETNS is a directory
bridge: the interface's name is taken
host-local: the network in CNI_ARGS
host-local: the broadcast in CNI_ARGS
host-local: an IP outside
host-local: a second IP that no set has
host-local: an IP outside in args
host-local: one of two sets is full
ptp: mtu too big
ptp: a route by an unreachable gateway
ptp: static without a gateway
ptp: the interface's name is taken
ptp: no namespace
macvlan: a MAC in CNI_ARGS
macvlan: ipam of an unknown type
""",
    ),
    Known(
        title="Nothing is written where nothing is to be done",
        reason="Debian's makes its directory and its lock even to find no lease.",
        facts=(
            Fact(
                r"(ADD|CHECK|DEL) c.: file networks(/net|/other)?(/lock)?",
                Like("(a directory)?"),
                None,
            ),
        ),
        cases="""
bridge: mtu too big
bridge: hairpinMode and promiscMode
bridge: a bad MAC in runtimeConfig
bridge: bridge is empty
bridge: bridge of 16 letters
bridge: bridge with a slash
bridge: isGateway is null
bridge: CNI_NETNS is missing
bridge: CNI_NETNS is empty
bridge: CNI_NETNS does not exist
bridge: the interface's name is taken
bridge: DEL without ADD
bridge: DEL when the leases are gone
bridge: DEL of another network's name
bridge: CHECK without ADD
host-local: resolvConf does not exist
host-local: DEL without ADD
host-local: CNI_NETNS is empty
host-local: CHECK without ADD
ptp: mtu too big
ptp: the interface's name is taken
ptp: no namespace
ptp: CNI_NETNS is empty
ptp: DEL without ADD
macvlan: an unknown mode
macvlan: the interface's name is taken
macvlan: no namespace
macvlan: CNI_NETNS is empty
""",
    ),
)
