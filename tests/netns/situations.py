"""Situations in which a new connection finds a host, and what becomes of it: a table."""

from dataclasses import dataclass, field

from tests.netns.behaviour.backends import BACK_ENDS
from tests.netns.behaviour.site import CLIENT, OTHER, OWN, addresses
from tests.support.traffic import Protocol

NFT, LEGACY, _, MAPS = (each.name for each in BACK_ENDS)
EVERY, CHAINS = (NFT, LEGACY, MAPS), (NFT, LEGACY)

SILENCE = ("timeout", "unreachable")
ANSWERED, REFUSED = "answered", "refused"
FORWARDED, LOCAL, DROPPED, LOST, ELSEWHERE = "forwarded", "host", "dropped", "lost", "elsewhere"
NOBODY = ""
"""For whom is answered by nobody: in `winner`, no rule won."""

FOREIGN = addresses(9)[4]
"""A container that other programs lead ports to."""

HOST_PORT = 7000
"""Where a program of the host answers."""


@dataclass(frozen=True)
class Situation:
    """A question, from where it is asked, what must be said, and who answers really.

    ``winner`` is the container or the program whose rule wins. ``answers`` is the name of who
    answers, "refused", "silence", or "" where no packet is sent.
    """

    what: str
    protocol: Protocol
    address: str
    port: int
    source: str
    verdict: str
    winner: str
    answers: str
    says: tuple[str, ...] = ()
    on: tuple[str, ...] = EVERY
    masqueraded: bool | None = field(default=None)
    certain: bool = True
    shadowed: str = ""


def tcp(what: str, port: int, verdict: str, winner: str, answers: str, **more: object) -> Situation:
    """Return a situation with the client outside and IPv4, unless said otherwise."""
    usual = {"protocol": "tcp", "address": OWN[4], "source": "client"}
    given = {**usual, **more}
    return Situation(what, port=port, verdict=verdict, winner=winner, answers=answers, **given)  # type: ignore[arg-type]


SITUATIONS = [
    # What works.
    tcp("a port from outside", 8080, FORWARDED, "plain", "plain", masqueraded=False),
    tcp("a port of IPv6", 8080, FORWARDED, "plain", "plain", address=OWN[6]),
    tcp("udp", 8081, FORWARDED, "plain", "plain", protocol="udp"),
    tcp("another address of the host", 8080, FORWARDED, "plain", "plain", address=OTHER[4]),
    tcp("from the host itself", 8080, FORWARDED, "plain", "plain", source="host"),
    tcp("one address", 8082, FORWARDED, "plain", "plain"),
    tcp("a run of ports", 8086, FORWARDED, "plain", "plain"),
    tcp("a shifted run", 8088, FORWARDED, "plain", "plain"),
    tcp("itself, masqueraded", 8180, FORWARDED, "hidden", "hidden", source="hidden",
        masqueraded=True),
    tcp("a neighbour, masqueraded", 8180, FORWARDED, "hidden", "hidden", source="near-hidden",
        masqueraded=True),
    tcp("a neighbour by a mark", 8280, FORWARDED, "marked", "marked", source="near-marked",
        masqueraded=True),
    tcp("from outside, by a mark", 8280, FORWARDED, "marked", "marked", masqueraded=False),
    tcp("everybody masqueraded", 8380, FORWARDED, "veiled", "veiled", masqueraded=True),
    tcp("loopback on request", 8180, FORWARDED, "hidden", "hidden", source="host",
        address="127.0.0.1", masqueraded=True),
    tcp("another network's container", 8180, FORWARDED, "hidden", "hidden", source="plain",
        masqueraded=False),
    # Nothing asked for, or something else.
    tcp("nobody's port", 9999, LOCAL, NOBODY, REFUSED, says=("no-listener", "not-asked-for")),
    tcp("a program of the host", HOST_PORT, LOCAL, NOBODY, "host", says=("not-asked-for",)),
    tcp("another protocol", 8080, LOCAL, NOBODY, REFUSED, protocol="udp",
        says=("wrong-protocol",)),
    tcp("one address, and another is asked", 8082, LOCAL, NOBODY, REFUSED, address=OTHER[4],
        says=("wrong-address",)),
    tcp("wrong family", 8480, LOCAL, NOBODY, REFUSED, address=OWN[6], says=("wrong-family",)),
    tcp("right family", 8480, FORWARDED, "fourth", "fourth"),
    tcp("loopback, and nobody asked for it", 8080, LOCAL, NOBODY, REFUSED, source="host",
        address="127.0.0.1", says=("loopback",)),
    tcp("loopback of IPv6", 8180, LOCAL, NOBODY, REFUSED, source="host", address="::1",
        says=("loopback",)),
    tcp("another machine", 8080, ELSEWHERE, NOBODY, "", address=CLIENT[4],
        source="near-hidden", says=("not-local",)),
    # What is in the way.
    tcp("the loopback guard", 8180, DROPPED, NOBODY, "", address="127.0.0.1", source="br2",
        says=("loopback-guard",)),
    tcp("excluded device", 8580, LOCAL, NOBODY, REFUSED, says=("excluded-device",)),
    tcp("a device that is not excluded", 8580, FORWARDED, "shy", "shy", source="near-hidden"),
    tcp("two excluded devices", 8581, LOCAL, NOBODY, REFUSED, says=("excluded-device",)),
    tcp("a pattern of excluded devices", 8582, LOCAL, NOBODY, REFUSED, says=("excluded-device",)),
    tcp("no listener in the container", 8083, FORWARDED, "plain", REFUSED, says=("no-listener",)),
    tcp("no listener of udp", 8084, FORWARDED, "plain", REFUSED, protocol="udp",
        says=("no-listener",)),
    tcp("a neighbour without masquerading", 8080, LOST, "plain", "silence", source="near-plain",
        says=("not-masqueraded",)),
    tcp("itself without masquerading", 8080, LOST, "plain", "silence", source="plain",
        says=("not-masqueraded",)),
    tcp("stale owner", 8680, FORWARDED, "stale", "silence", says=("stale-owner",)),
    tcp("no route_localnet", 8780, LOST, "shut", "silence", source="host", address="127.0.0.1",
        says=("no-route-localnet",)),
    tcp("conditions that do not hold", 8880, LOCAL, NOBODY, REFUSED, source="near-hidden",
        says=("condition",), on=CHAINS),
    tcp("conditions that hold", 8880, FORWARDED, "choosy", "choosy", source="the client"),
    tcp("conditions that may hold", 8880, LOCAL, NOBODY, "", certain=False),
    tcp("no jump", 8980, LOCAL, NOBODY, REFUSED, says=("no-jump",), on=CHAINS),
    tcp("no jump, and the host has one", 8980, FORWARDED, "lost", "lost", source="host",
        on=CHAINS),
    tcp("a jump behind a condition", 8985, LOCAL, NOBODY, REFUSED, says=("not-reached",),
        on=CHAINS),
    tcp("no rules any more", 9080, LOCAL, NOBODY, REFUSED, says=("no-rules",)),
    # Rules of others.
    tcp("Docker stands first", 9180, FORWARDED, "Docker", "foreign", says=("shadowed",),
        shadowed="plain"),
    tcp("Docker stands behind", 9181, FORWARDED, "plain", "plain", shadowed="Docker",
        on=CHAINS),
    tcp("Docker comes later, and its table is asked first", 9181, FORWARDED, "Docker", "foreign",
        says=("shadowed",), shadowed="plain", on=(MAPS,)),
    tcp("portmap stands first", 9182, FORWARDED, "the portmap plugin", "foreign",
        says=("shadowed",), shadowed="plain"),
    tcp("by hand, to the host", 9183, LOCAL, "by hand", "host", says=("shadowed",)),
    tcp("by hand, from the host itself", 9183, FORWARDED, "plain", "plain", source="host"),
    tcp("accepted by hand", 9184, LOCAL, NOBODY, REFUSED, says=("shadowed",), on=CHAINS),
    tcp("by the original, still there", 9185, FORWARDED, "the original mesos-cni-port-mapper",
        "foreign", says=("shadowed",), shadowed="plain"),
    tcp("by a rule of ours that outlived its record", 9198, FORWARDED, "mesos-cni-port-mapper",
        "foreign", says=("shadowed", "unrecorded"), shadowed="plain"),
    tcp("two of ours, and both stand", 9280, FORWARDED, "second", "second", says=("shadowed",),
        shadowed="first", on=CHAINS),
    tcp("Docker's port alone", 9186, FORWARDED, "Docker", "foreign"),
    tcp("another mark than is wanted", 9187, FORWARDED, "plain", "plain"),
    tcp("a mark that an earlier table set", 9188, LOCAL, "by hand", "host", says=("shadowed",)),
    tcp("by chance", 9189, FORWARDED, "plain", "", certain=False),
    tcp("an unknown set of addresses", 9190, FORWARDED, "plain", "", certain=False),
    tcp("returned early", 9191, FORWARDED, "plain", "plain"),
    tcp("netavark's own table", 9192, FORWARDED, "netavark (Podman)", "foreign",
        says=("shadowed",), on=(NFT, MAPS)),
    tcp("both worlds", 9193, FORWARDED, "plain", "", says=("both-worlds",), on=(LEGACY,)),
    tcp("dropped before", 9194, DROPPED, NOBODY, "silence", says=("prerouting-dropped",)),
    tcp("exempt from tracking", 9195, LOCAL, NOBODY, REFUSED, says=("untracked",)),
    tcp("dropped on its way to the container", 9196, DROPPED, "barred", "silence",
        says=("forward-dropped",)),
    tcp("rejected on its way in", 9197, DROPPED, NOBODY, REFUSED, says=("input-dropped",)),
]  # fmt: skip

FRONT = f"""
host="-j REDIRECT --to-ports {HOST_PORT}"
foreign="-j DNAT --to-destination {FOREIGN}:80"
old="container_id: old"
iptables -t nat -N DOCKER
iptables -t nat -I PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
iptables -t nat -A DOCKER ! -i docker0 -p tcp --dport 9180 $foreign
iptables -t nat -A DOCKER -i br1 -j RETURN
iptables -t nat -A DOCKER -p tcp --dport 9186 $foreign
iptables -t nat -N CNI-HOSTPORT-DNAT
iptables -t nat -N CNI-DN-0123456789
iptables -t nat -I PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
iptables -t nat -A CNI-HOSTPORT-DNAT -p tcp -m multiport --dports 9182,9990 -j CNI-DN-0123456789
iptables -t nat -A CNI-DN-0123456789 -p tcp --dport 9182 $foreign
iptables -t nat -I PREROUTING -p tcp --dport 9183 $host
iptables -t nat -N OLD
iptables -t nat -I PREROUTING -p tcp --dport 9185 -g OLD
iptables -t nat -A OLD -p udp -j RETURN
iptables -t nat -A OLD -p tcp -m tcp --dport 9185 -m comment --comment "$old" $foreign
iptables -t nat -A OLD -j RETURN
ghost="container_id: ghost network: net-1 ifname: eth0"
iptables -t nat -I PREROUTING -p tcp --dport 9198 -m comment --comment "$ghost" $foreign
iptables -t nat -I PREROUTING -p tcp --dport 9187 -m mark --mark 0x1 $host
iptables -t mangle -A PREROUTING -p tcp --dport 9188 -j MARK --set-mark 0x7
iptables -t nat -I PREROUTING -p tcp -m mark --mark 0x7 $host
iptables -t nat -I PREROUTING -p tcp --dport 9189 -m statistic --mode random \\
    --probability 0.5 $host
iptables -t nat -I PREROUTING -p tcp --dport 9190 -m recent --name seen --rcheck $host
iptables -t nat -N EARLY
iptables -t nat -I PREROUTING -p tcp --dport 9191 -j EARLY
iptables -t nat -A EARLY -i eth0 -j RETURN
iptables -t nat -A EARLY -p tcp $host
iptables -t raw -I PREROUTING -p tcp --dport 9194 -j DROP
iptables -t raw -I PREROUTING -p tcp --dport 9195 -j CT --notrack
iptables -I FORWARD -d {addresses(10)[4]} -j DROP
iptables -I INPUT -p tcp --dport 9197 -j REJECT
"""
"""Rules that stand before ours."""

BEHIND = f"""
foreign="-j DNAT --to-destination {FOREIGN}:80"
iptables -t nat -N DOCKER-LATE
iptables -t nat -A PREROUTING -p tcp --dport 9181 -j DOCKER-LATE
iptables -t nat -A DOCKER-LATE -p tcp --dport 9181 $foreign
"""

IN_FRONT_OF_CHAINS = """
iptables -t nat -I PREROUTING -p tcp --dport 9184 -j ACCEPT
"""

NETAVARK = f"""
table inet netavark {{
    chain ports {{ ip saddr 0.0.0.0/0 tcp dport 9192 dnat ip to {FOREIGN}:80; }}
    chain prerouting {{
        type nat hook prerouting priority -100;
        fib daddr type local jump ports
    }}
}}
"""
"""Of the same priority as iptables' and younger, so that the kernel asks it first."""

LATE = """
table ip other {
    chain prerouting { type nat hook prerouting priority -100; tcp dport 9193 redirect to :7000; }
}
"""
