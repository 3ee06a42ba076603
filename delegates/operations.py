"""What a plugin wants of the kernel, as values: the plan that ``kernel`` carries out in order.

Each says where it happens: on the host, or in the container's network namespace (the sandbox). What
must be there already is named, never assumed, so that a plan can be read and tested without a
kernel.
"""

from __future__ import annotations

from delegates.facts import TABLE_MAIN
from mesos_cni_port_mapper.value import Value

HOST = "host"
SANDBOX = "sandbox"

SCOPE_UNIVERSE, SCOPE_LINK = 0, 253
"""Scopes of routes (linux/rtnetlink.h)."""


class Operation(Value):
    """One change, made in ``where``: ``HOST`` or ``SANDBOX``."""

    where: str


class BeginShared(Operation):
    """Wait until no other attachment is changing what attachments of this host share.

    Links that several attachments use and the host's own sysctls come after it.
    """

    where: str = HOST


class EndShared(Operation):
    """Let others go on, unless they would now build upon what an undo of this plan takes away.

    Who made a shared link or changed a shared sysctl keeps the others waiting until it is certain
    that this stays.
    """

    where: str = HOST


class CreateVeth(Operation):
    """Make a pair of links: ``name`` on the host, and ``peer``, which is in the sandbox.

    An MTU of 0 and a hardware address of "" leave the choice to the kernel. With ``master`` the
    host's end is enslaved to that bridge.
    """

    where: str = HOST
    name: str
    peer: str
    peer_where: str = SANDBOX
    mtu: int = 0
    peer_mac: str = ""
    master: str = ""


class CreateBridge(Operation):
    """Have a bridge, which several attachments share; it is made if need be, and up."""

    where: str = HOST
    name: str
    mtu: int = 0
    vlan_filtering: bool = False


class CreateVlanPort(Operation):
    """Have ``name``, a link of the host that is in one VLAN of a bridge, for its gateway address.

    It is one end of a veth pair; the other, ``port``, is a port of the bridge.
    """

    where: str = HOST
    name: str
    port: str
    bridge: str
    vlan: int
    mtu: int = 0


class CreateLink(Operation):
    """Make a macvlan, ipvlan or vlan link on a ``parent`` of the host, at once in the sandbox.

    ``mode`` is the kernel's number for the kind's mode (linux/if_link.h). An MTU of 0 and a
    hardware address of "" leave the choice to the kernel.
    """

    where: str = SANDBOX
    name: str
    kind: str
    parent: str
    mode: int = 0
    vlan_id: int = 0
    mtu: int = 0
    mac: str = ""


class DeleteLink(Operation):
    """Remove a link; one that is not there is fine.

    With ``if_unused`` a link that others are enslaved to by now stays.
    """

    name: str
    if_unused: bool = False


class SetMaster(Operation):
    """Enslave a link to a bridge."""

    where: str = HOST
    link: str
    master: str


class SetUp(Operation):
    """Bring a link up."""

    link: str


class SetDown(Operation):
    """Take a link down."""

    link: str


class SetMtu(Operation):
    """Set a link's MTU, in bytes."""

    link: str
    mtu: int


class SetMac(Operation):
    """Set a link's hardware address."""

    link: str
    mac: str


class SetPromiscuous(Operation):
    """Have a link receive every frame, or not."""

    link: str
    on: bool = True


class SetHairpin(Operation):
    """Let a bridge send a frame back out of the port it came in by."""

    where: str = HOST
    link: str


class SetPortVlan(Operation):
    """Make a bridge's port an untagged member of a VLAN."""

    where: str = HOST
    link: str
    vlan: int


class AwaitUp(Operation):
    """Wait until a link carries traffic: a bridge takes up a new port a moment later."""

    link: str
    seconds: float = 2.5


class AddAddress(Operation):
    """Give a link an address with its prefix length, "192.0.2.2/24"."""

    link: str
    address: str


class ShareAddress(Operation):
    """Have an address with its prefix length on a link that several attachments share.

    Beside another IPv4 address, or one of an IPv6 network that overlaps with its own, it is refused
    unless by ``force``: then those go. A link that is given one keeps its hardware address.
    """

    link: str
    address: str
    force: bool = False


class RemoveAddress(Operation):
    """Take an address with its prefix length from a link; one that is not there is fine."""

    link: str
    address: str


class AddRoute(Operation):
    """Route ``destination`` through a link, by way of ``gateway`` unless that is "".

    ``scope`` and ``table`` are numbers of linux/rtnetlink.h; ``source`` is the preferred source
    address or ""; ``onlink`` spares the gateway the proof that it is a neighbour. A ``priority``,
    ``mtu`` or ``advmss`` of 0 is left to the kernel. With ``shared`` the same route may be there
    already.
    """

    link: str
    destination: str
    gateway: str = ""
    scope: int = 0
    source: str = ""
    onlink: bool = False
    shared: bool = False
    table: int = TABLE_MAIN
    priority: int = 0
    mtu: int = 0
    advmss: int = 0


class RemoveRoute(Operation):
    """Take a route away; one that is not there is fine."""

    link: str
    destination: str
    gateway: str = ""
    scope: int = 0
    table: int = TABLE_MAIN
    priority: int = 0


class SetSysctl(Operation):
    """Write a value below /proc/sys: ``name`` is "net/ipv4/ip_forward", slashes throughout.

    Where it has that value already nothing is written. An ``optional`` one that the kernel does not
    have, or does not let us write, stays as it is.
    """

    name: str
    value: str
    optional: bool = False


class AwaitAddresses(Operation):
    """Wait until a link's IPv6 addresses are known not to be anybody else's, or fail."""

    link: str
    seconds: float = 10


class Masquerade(Operation):
    """Hide what comes from ``sources`` behind the host's addresses.

    ``sources`` are the container's addresses with their prefix length; what goes to addresses of
    that prefix stays as it is. ``network``, ``container_id`` and ``ifname`` name the attachment.
    """

    where: str = HOST
    network: str
    container_id: str
    ifname: str
    sources: tuple[str, ...]


class RemoveMasquerade(Operation):
    """Take away what ``Masquerade`` made.

    Without ``sources`` it is found out for which addresses that was: for all, but those that other
    links of the container than ``ifname`` have, as it may be attached to one network twice.
    """

    where: str = HOST
    network: str
    container_id: str
    ifname: str
    sources: tuple[str, ...] = ()
