"""Where ours succeeds, or fails, or makes something, and Debian's does not."""

from tests.netns.parity.known import ANYTHING, Fact, Known
from tests.netns.parity.networks import CHECKED

CALL = r"(ADD|CHECK|DEL) c."
FORWARDING = r"host sysctl net/ipv[46]/(conf/[^/]+/forwarding|ip_forward)"

KNOWN: tuple[Known, ...] = (
    Known(
        title="Built-in IPAM needs no CNI_PATH",
        reason="It runs in the same process.",
        facts=(
            Fact(rf"{CALL}: status", 1, 0),
            Fact(rf"{CALL}: code", 999, None),
            Fact(r"ADD c.: (c.|host) (link|address|route) .*", None, ANYTHING),
            Fact(r"ADD c.: file .*", None, ANYTHING),
            Fact(rf"ADD c.: {FORWARDING}", "0", "1"),
            Fact(r"ADD c.: c1 link eth0 flags", "BROADCAST MULTICAST", "BROADCAST MULTICAST UP"),
            Fact(r"ADD c.: c1 link eth0 qdisc", "noop", "noqueue"),
            Fact(r"ADD c.: c1 sysctl net/ipv4/conf/eth0/arp_notify", "0", "1"),
        ),
        cases="""
bridge: CNI_PATH leads nowhere
""",
    ),
    Known(
        title="`IP` in CNI_ARGS needs no IgnoreUnknown",
        reason=(
            "Debian's `bridge` knows `MAC` alone, and refuses what is meant for its IPAM plugin."
        ),
        facts=(
            Fact(rf"{CALL}: status", 1, 0),
            Fact(rf"{CALL}: code", 999, None),
            Fact(r"ADD c.: (c.|host) (link|address|route) .*", None, ANYTHING),
            Fact(r"ADD c.: file .*", None, ANYTHING),
            Fact(rf"ADD c.: {FORWARDING}", "0", "1"),
        ),
        cases="""
bridge: an IP in CNI_ARGS
""",
    ),
    Known(
        title="A default route that is there already is no failure",
        reason=(
            "Debian's adds one for isDefaultGateway beside IPAM's own, and fails where the "
            "kernel has it: the container cannot start."
        ),
        facts=(
            Fact(rf"{CALL}: status", 1, 0),
            Fact(rf"{CALL}: code", 999, None),
            Fact(r"ADD c.: (c.|host) (link|address|route) .*", None, ANYTHING),
            Fact(r"ADD c.: file .*", None, ANYTHING),
            Fact(rf"ADD c.: {FORWARDING}", "0", "1"),
            Fact(r"DEL c.: host link cni0 address", "00:00:00:00:00:00", "a MAC"),
        ),
        cases="""
bridge: isDefaultGateway and a default route of IPAM
""",
    ),
    Known(
        title="A route named twice is set once",
        reason="Debian's fails where the kernel has it already.",
        facts=(
            Fact(rf"{CALL}: status", 1, 0),
            Fact(rf"{CALL}: code", 999, None),
            Fact(r"ADD c.: file .*", None, ANYTHING),
        ),
        cases="""
bridge: the same route twice
""",
    ),
    Known(
        title="CHECK accepts what ADD made",
        reason=(
            "Debian's looks for routes with gateways other than ADD sets, and asks for an "
            "IPAM plugin where there is none."
        ),
        facts=(
            Fact(r"CHECK c.: status", 1, 0),
            Fact(r"CHECK c.: code", 999, None),
        ),
        versions=CHECKED,
        cases="""
bridge: routes with and without a gateway
bridge: a route, and no gateway on the host
bridge: no ipam
bridge: no ipam, isGateway
bridge: no ipam, ipMasq
bridge: ipam is empty
ptp: routes
""",
    ),
    Known(
        title="Rules go without the namespace",
        reason=(
            "Debian's leaves its masquerading, and ptp its links, when CNI_NETNS is empty, "
            "for the next container with that address."
        ),
        facts=(Fact(r"DEL c.: (ipv[46] rules nat|c1 link|host link) .*", ANYTHING, None),),
        cases="""
bridge: ipMasq, DEL without the namespace
ptp: ipMasq, DEL without the namespace
""",
    ),
    Known(
        title="An address is freed although the master is gone",
        reason="Debian's wants the master to exist on DEL, and keeps the address for ever.",
        facts=(
            Fact(r"DEL c.: status", 1, 0),
            Fact(r"DEL c.: code", 999, None),
            Fact(r"DEL c.: file networks/net/10.1.0.2", ANYTHING, None),
        ),
        cases="""
macvlan: no master, no default route
macvlan: an unknown master
macvlan: the master is gone
""",
    ),
    Known(
        title="An empty lease is nobody's",
        reason=(
            "It is what a killed process leaves between making a file and writing it; "
            "Debian's never frees it."
        ),
        facts=(
            Fact(rf"{CALL}: (file|result ips 0) .*", ANYTHING, ANYTHING),
            Fact(rf"{CALL}: file .*", ANYTHING, None),
            Fact(rf"{CALL}: file .*", None, ANYTHING),
        ),
        cases="""
host-local: an empty lease
""",
    ),
    Known(
        title="Only files named by an address are leases",
        reason=(
            "Debian's DEL removes any file below its directory that reads like a lease of "
            "the container."
        ),
        facts=(Fact(r"DEL c.: file networks/net/(README|x/y)", None, ANYTHING),),
        cases="""
host-local: a stray file
""",
    ),
    Known(
        title="A lease that cannot be removed is an error",
        reason="Debian's says that all is well, and the address is lost.",
        facts=(
            Fact(r"DEL c.: status", 0, 1),
            Fact(r"DEL c.: code", None, 5),
        ),
        cases="""
host-local: dataDir cannot be written any more
""",
    ),
    Known(
        title="A route needs a destination",
        reason="Debian's host-local answers with a route to `<nil>`.",
        facts=(
            Fact(r"ADD c.: status", 0, 1),
            Fact(r"ADD c.: code", None, 7),
            Fact(r"ADD c.: file .*", ANYTHING, None),
        ),
        cases="""
host-local: a route without a destination
""",
    ),
    Known(
        title="A negative MTU is refused",
        reason="Debian's ignores it.",
        facts=(
            Fact(r"ADD c.: status", 0, 1),
            Fact(r"ADD c.: code", None, 7),
            Fact(r"ADD c.: file .*", ANYTHING, None),
            Fact(r"ADD c.: (c1|host) link .*", "is there", None),
            Fact(rf"ADD c.: {FORWARDING}", "1", "0"),
        ),
        cases="""
bridge: mtu negative
""",
    ),
    Known(
        title="Neighbours learn of a new IPv6 address",
        reason=(
            "`ndisc_notify` is set as Debian's sets `arp_notify` for IPv4: a second "
            "container with a freed address is found at once."
        ),
        facts=(Fact(r"ADD c.: c. sysctl net/ipv6/conf/eth0/ndisc_notify", "0", "1"),),
        cases="""
bridge: isGateway, IPv6
bridge: isGateway, both families
bridge: isGateway, two IPv6 networks
bridge: isDefaultGateway, IPv6
bridge: isDefaultGateway, both families
bridge: isDefaultGateway and a default route of IPAM
bridge: routes without a gateway
bridge: forwarding is on before
bridge: duplicate addresses are looked for
bridge: enabledad
bridge: the bridge has another IPv6 address, forceAddress
bridge: static, both families
bridge: ipMasq, IPv6
bridge: ipMasq, both families
bridge: no ipMasq
""",
    ),
)
