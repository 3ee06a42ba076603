"""What the kernel says there is: links, addresses and routes as values."""

from __future__ import annotations

from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

IFF_UP, IFF_PROMISC = 1, 0x100
"""Flags of links, of linux/if.h."""

TABLE_MAIN = 254
"""The table of routes that is meant where none is named, of linux/rtnetlink.h."""

IPV6_TENTATIVE, IPV6_DUPLICATE = 0x40, 0x08
"""IFA_F_TENTATIVE and IFA_F_DADFAILED of linux/if_addr.h."""


class Link(Value):
    """A network interface.

    ``kind`` is "bridge", "veth", "macvlan" and so on, "" for others; ``data`` are the attributes of
    its kind by name, where they were asked for. ``running`` tells that it is up and carries
    traffic. ``master`` and ``parent`` are indexes, 0 for none; a parent's may be one of another
    namespace.
    """

    index: int
    name: str
    mac: str
    mtu: int
    up: bool
    running: bool
    promiscuous: bool
    master: int
    parent: int
    kind: str
    data: dict[str, Any]


class Address(Value):
    """An address of a link; ``family`` is 4 or 6, ``flags`` as in linux/if_addr.h."""

    index: int
    family: int
    address: str
    prefix: int
    flags: int = 0
    broadcast: str = ""


class Route(Value):
    """A unicast route.

    ``destination`` has no prefix length, which is ``prefix``; ``gateway`` and ``source`` are "" for
    none; ``index`` is the link's, ``scope`` and ``table`` are numbers of linux/rtnetlink.h. A
    ``priority``, ``mtu`` or ``advmss`` of 0 is the kernel's choice.
    """

    index: int
    family: int
    destination: str
    prefix: int
    gateway: str = ""
    source: str = ""
    scope: int = 0
    onlink: bool = False
    table: int = TABLE_MAIN
    priority: int = 0
    mtu: int = 0
    advmss: int = 0
