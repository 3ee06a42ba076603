"""What is understood, and in what words it is answered."""

from tests.netns.parity.cases import VERSIONS
from tests.netns.parity.known import ANYTHING, Fact, Known, Like

CALL = r"(ADD|CHECK|DEL) c."
FORWARDING = r"host sysctl net/ipv[46]/(conf/[^/]+/forwarding|ip_forward)"

KNOWN: tuple[Known, ...] = (
    Known(
        title="CNI 1.1.0 is spoken",
        reason="Debian's plugins stop at 1.0.0.",
        facts=(
            Fact(r"VERSION c.: result cniVersion", "1.0.0", "1.1.0"),
            Fact(r"VERSION c.: result supportedVersions 6", None, "1.1.0"),
            Fact(rf"{CALL}: code", 1, None),
            Fact(rf"{CALL}: status", 1, 0),
            Fact(r"ADD c.: (c.|host) (link|address|route) .*", None, ANYTHING),
            Fact(r"ADD c.: file .*", None, ANYTHING),
            Fact(rf"ADD c.: {FORWARDING}", "0", "1"),
        ),
        cases="""
bridge: cniVersion is 1.1.0
bridge: VERSION
bridge: VERSION without stdin
host-local: VERSION
loopback: VERSION
""",
    ),
    Known(
        title="Without cniVersion the result says 0.2.0",
        reason=(
            "It has to say something; the shape is the same, and 0.2.0 is what the "
            "specification says of its absence."
        ),
        facts=(Fact(r"ADD c.: result cniVersion", "0.1.0", "0.2.0"),),
        cases="""
bridge: cniVersion is empty
bridge: cniVersion is missing
""",
    ),
    Known(
        title="A command that is unknown has its own code",
        reason=(
            "104 is the code of this project for it, and 4 that for a variable that is missing."
        ),
        facts=(Fact(r"\w+ c.: code", 4, 104),),
        cases="""
bridge: CNI_COMMAND is unknown
""",
    ),
    Known(
        title="GC and STATUS are commands",
        reason=(
            "Of version 1.1.0: asked for in an older one, it is the version that is refused. "
            "Debian's take them for mistakes."
        ),
        facts=(Fact(r"(GC|STATUS) c.: code", 4, 1),),
        cases="""
bridge: GC and STATUS
""",
    ),
    Known(
        title="No CNI_COMMAND is an error",
        reason=(
            "Debian's tell a person who they are, and end well: a runtime would take that "
            "for success."
        ),
        facts=(
            Fact(r".* c.: code", None, 4),
            Fact(r".* c.: status", 0, 1),
        ),
        cases="""
bridge: CNI_COMMAND is missing
bridge: CNI_COMMAND is unknown
""",
    ),
    Known(
        title="What is no object is undecodable, what is in it wrong is invalid",
        reason=(
            "Debian's decode in one step: a key of the wrong type is code 6 for some keys "
            "and 999 for others, `null` is an object, and bytes that are no UTF-8 are "
            "accepted."
        ),
        facts=(
            Fact(rf"{CALL}: code", 6, 7),
            Fact(rf"{CALL}: code", 7, 6),
        ),
        cases="""
bridge: name is a number
bridge: cniVersion is a number
bridge: stdin is null
bridge: stdin is no UTF-8
""",
    ),
    Known(
        title="The version is looked at before the name",
        reason="CHECK of an object without both keys is told that its version has no CHECK.",
        facts=(Fact(r"CHECK c.: code", 7, 1),),
        cases="""
bridge: stdin is an empty object
""",
    ),
    Known(
        title="Keys are written as documented",
        reason=(
            "Go's decoder takes `ISGATEWAY` for `isGateway`; a key in other letters is an "
            "unknown one here, and those are ignored."
        ),
        facts=(
            Fact(r"ADD c.: host (address cni0|route) .*", ANYTHING, None),
            Fact(rf"ADD c.: {FORWARDING}", "1", "0"),
            Fact(r"DEL c.: host link cni0 address", "a MAC", "00:00:00:00:00:00"),
        ),
        cases="""
bridge: keys in other letters
""",
    ),
    Known(
        title="`loopback` answers in the version it is asked in",
        reason="Debian's prints the shape of 1.0.0 whatever the version is.",
        facts=(
            Fact(r"ADD c.: result ips \d version", None, Like("[46]")),
            Fact(r"ADD c.: result (interfaces|ips) .*", ANYTHING, None),
            Fact(r"ADD c.: result ips \d interface", 0, None),
            Fact(r"ADD c.: result ip[46] ip", None, ANYTHING),
        ),
        versions=VERSIONS[:-1],
        cases="""
loopback: a life
loopback: of any name
loopback: it is up already
loopback: it has no IPv6
loopback: it goes down
loopback: the namespace is gone
""",
    ),
    Known(
        title="`loopback` keeps all of a prevResult",
        reason="What it does not know is somebody else's.",
        facts=(Fact(r"ADD c.: result ips 0 version", None, "4"),),
        versions=VERSIONS[-1:],
        cases="""
loopback: with a prevResult
""",
    ),
    Known(
        title="`loopback` minds its own addresses",
        reason="Debian's refuses a namespace in which lo has another address besides.",
        facts=(
            Fact(rf"{CALL}: status", 1, 0),
            Fact(rf"{CALL}: code", 999, None),
        ),
        cases="""
loopback: it has one more address
""",
    ),
)
