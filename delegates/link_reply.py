"""What the kernel says of a link, as far as anybody here wants to know.

Read by hand: pyroute2 makes an object of each of some fifty attributes, of which seven are wanted.
An ADD looks at half a dozen links, and a third of it was that.
"""

from __future__ import annotations

import sys
from struct import unpack_from

from delegates.facts import IFF_PROMISC, IFF_UP, Link
from delegates.route_socket import HEADER_SIZE
from mesos_cni_port_mapper.linux.netlink import decode_attributes

_MESSAGE = "=4xiI4x"
"""struct ifinfomsg: family and type, which are left out, index, flags, what of those changed."""
_ATTRIBUTES = HEADER_SIZE + 16

# linux/if_link.h
_ADDRESS, _IFNAME, _MTU, _LINK, _MASTER, _OPERSTATE, _LINKINFO = 1, 3, 4, 5, 10, 16, 18
_INFO_KIND = 1
_OPERSTATE_UP = 6


def decode_link(reply: bytes) -> Link:
    """Return a link from an RTM_NEWLINK message, without the data of its kind."""
    index, flags = unpack_from(_MESSAGE, reply, HEADER_SIZE)
    attributes = decode_attributes(reply[_ATTRIBUTES:])
    info = decode_attributes(attributes.get(_LINKINFO, b""))

    def number(kind: int) -> int:
        return int.from_bytes(attributes.get(kind, b""), sys.byteorder)

    return Link(
        index=index,
        name=_text(attributes.get(_IFNAME, b"")),
        mac=attributes.get(_ADDRESS, b"").hex(":"),
        mtu=number(_MTU),
        up=bool(flags & IFF_UP),
        running=number(_OPERSTATE) == _OPERSTATE_UP,
        promiscuous=bool(flags & IFF_PROMISC),
        master=number(_MASTER),
        parent=number(_LINK),
        kind=_text(info.get(_INFO_KIND, b"")),
        data={},
    )


def _text(value: bytes) -> str:
    return value.partition(b"\0")[0].decode()
