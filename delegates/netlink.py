"""The one door to netlink: pyroute2's messages over a socket of our own."""

from __future__ import annotations

import struct

from delegates.facts import IFF_PROMISC, IFF_UP, TABLE_MAIN, Address, Link, Route
from delegates.messages import address_message, decoded, link_message, route_message
from delegates.route_socket import HEADER_SIZE, RouteSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Attributes = list[tuple[Any, ...]]

_NEWLINK, _DELLINK, _GETLINK, _SETLINK = 16, 17, 18, 19
_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_IFLA_IFNAME, _LINK_MESSAGE_SIZE = 3, 16
_CREATE, _EXCLUSIVE = 0x400, 0x200
_NESTED = 0x8000

_ENODEV = 19
_AF = {0: 0, 4: 2, 6: 10}
_AF_BRIDGE = 7
_FAMILY_OF = {2: 4, 10: 6}
_ANYWHERE = {4: "0.0.0.0", 6: "::"}  # noqa: S104 - the default route's destination
_ONLINK = 4
_PROTOCOL_ANY, _PROTOCOL_BOOT, _UNICAST = 0, 3, 1
_HIGHEST_IN_HEADER, _TABLE_COMPAT = 255, 252
_PVID_UNTAGGED = 2 | 4


class Netlink:
    """The links, addresses and routes of the network namespace it is made in (rtnetlink(7)).

    Methods raise ``OSError`` with the kernel's number and, where it gives a reason, its words.
    """

    def __init__(self) -> None:
        self._socket = RouteSocket()
        self._indexes: dict[str, int] = {}

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def create_link(
        self, name: str, kind: str, data: Attributes, attributes: Attributes, up: bool = False
    ) -> None:
        """Make a link of a kind with the kind's data; EEXIST where its name is taken."""
        info: Attributes = [("IFLA_INFO_KIND", kind)]
        if data:
            info.append(("IFLA_INFO_DATA", {"attrs": data}))
        message = _about_link(name, [*attributes, ("IFLA_LINKINFO", {"attrs": info})])
        message["flags"] = message["change"] = IFF_UP if up else 0
        self._do(_NEWLINK, message, _CREATE | _EXCLUSIVE)

    def set_link(self, name: str, attributes: Attributes) -> None:
        """Change attributes of a link."""
        self._do(_SETLINK, _about_link(name, attributes))

    def rename_link(self, index: int, name: str) -> None:
        """Give a link, which must be down, another name; EEXIST where it is taken."""
        message = _about_link(name, [])
        message["index"] = index
        self._indexes.clear()
        self._do(_SETLINK, message)

    def set_up(self, name: str, up: bool) -> None:
        """Bring a link up, or down."""
        self._set_flag(name, IFF_UP, up)

    def set_promiscuous(self, name: str, on: bool) -> None:
        """Have a link receive every frame, or not."""
        self._set_flag(name, IFF_PROMISC, on)

    def set_hairpin(self, index: int, on: bool) -> None:
        """Have a bridge's port send frames back where they came from, or not."""
        message = link_message()
        message["family"], message["index"] = _AF_BRIDGE, index
        # The kernel reads single attributes of a port only where the bunch is marked as one.
        port = {"attrs": [("IFLA_BRPORT_MODE", int(on))]}
        message["attrs"] = [("IFLA_PROTINFO", port, _NESTED)]
        self._do(_SETLINK, message)

    def add_port_vlan(self, index: int, vlan: int) -> None:
        """Make a bridge's port an untagged member of a VLAN."""
        message = link_message()
        message["family"], message["index"] = _AF_BRIDGE, index
        member = ("IFLA_BRIDGE_VLAN_INFO", {"vid": vlan, "flags": _PVID_UNTAGGED})
        message["attrs"] = [("IFLA_AF_SPEC", {"attrs": [member]})]
        self._do(_SETLINK, message)

    def delete_link(self, name: str) -> None:
        """Remove a link; ENODEV where there is none.

        All there is to say is a name, and pyroute2 takes longer to import than a DEL takes to run.
        """
        text = name.encode() + b"\0"
        attribute = struct.pack("=HH", 4 + len(text), _IFLA_IFNAME) + text
        padding = bytes(-len(text) % 4)
        body = bytes(HEADER_SIZE + _LINK_MESSAGE_SIZE) + attribute + padding
        self._indexes.clear()
        self._socket.request(_DELLINK, 0, body)

    def link(self, name: str, with_data: bool = False) -> Link | None:
        """Return a link, or nothing when there is none of that name.

        The data of its kind, dozens of attributes for a bridge, are read only when asked for.
        """
        link = self._link(_about_link(name, []), with_data)
        if link is not None:
            self._indexes[name] = link.index
        return link

    def index_of(self, name: str) -> int:
        """Return the index of a link, as last seen; ENODEV where there is none.

        Nobody but us gives a link made for a request another name while it is served.
        """
        if name not in self._indexes and self.link(name) is None:
            raise OSError(_ENODEV, f"there is no link {name}")
        return self._indexes[name]

    def link_at(self, index: int) -> Link | None:
        """Return the link that has a number, or nothing when there is none."""
        message = link_message()
        message["index"] = index
        return self._link(message, with_data=False)

    def links(self) -> list[Link]:
        """Return every link."""
        return [_decode_link(reply) for reply in self._dump(_GETLINK, link_message())]

    def add_address(self, address: Address) -> None:
        """Give a link an address; EEXIST where it has it."""
        self._do(_NEWADDR, _about_address(address), _CREATE | _EXCLUSIVE)

    def remove_address(self, address: Address) -> None:
        """Take an address from a link; EADDRNOTAVAIL where it has not got it."""
        self._do(_DELADDR, _about_address(address))

    def addresses(self, index: int, family: int = 0) -> list[Address]:
        """Return the addresses of a link, of one family (4 or 6) or of both."""
        message = address_message()
        message["family"], message["index"] = _AF[family], index
        replies = self._dump(_GETADDR, message)
        found = [_read_address(decoded(address_message(reply))) for reply in replies]
        # A kernel before 4.20 does not filter by link.
        return [address for address in found if address.index == index]

    def add_route(self, route: Route) -> None:
        """Add a route, beside others to the same destination; EEXIST where there is the same."""
        self._do(_NEWROUTE, _about_route(route), _CREATE)

    def remove_route(self, route: Route) -> None:
        """Take a route away, whoever made it; ESRCH where there is none."""
        message = _about_route(route)
        message["proto"] = _PROTOCOL_ANY
        self._do(_DELROUTE, message)

    def routes(self, family: int = 0, table: int = TABLE_MAIN) -> list[Route]:
        """Return the unicast routes of a table, of one family (4 or 6) or of both."""
        message = route_message()
        message["family"] = _AF[family]
        replies = [decoded(route_message(reply)) for reply in self._dump(_GETROUTE, message)]
        found = [_read_route(reply) for reply in replies if reply["type"] == _UNICAST]
        return [route for route in found if route.table == table]

    def _link(self, message: Any, with_data: bool) -> Link | None:
        try:
            (reply,) = self._do(_GETLINK, message)
        except OSError as error:
            if error.errno == _ENODEV:
                return None
            raise
        link = _decode_link(reply)
        return link.but(data=_data_of(reply)) if with_data else link

    def _set_flag(self, name: str, flag: int, on: bool) -> None:
        message = _about_link(name, [])
        message["flags"], message["change"] = flag if on else 0, flag
        self._do(_SETLINK, message)

    def _do(self, kind: int, message: Any, flags: int = 0) -> list[bytes]:
        message.encode()
        return self._socket.request(kind, flags, bytes(message.data))

    def _dump(self, kind: int, message: Any) -> list[bytes]:
        message.encode()
        return self._socket.dump(kind, bytes(message.data))


def _about_link(name: str, attributes: Attributes) -> Any:
    message = link_message()
    message["attrs"] = [("IFLA_IFNAME", name), *attributes]
    return message


def _about_address(address: Address) -> Any:
    message = address_message()
    message["family"], message["index"] = _AF[address.family], address.index
    message["prefixlen"], message["flags"] = address.prefix, address.flags
    message["attrs"] = [("IFA_LOCAL", address.address), ("IFA_ADDRESS", address.address)]
    if address.broadcast:
        message["attrs"].append(("IFA_BROADCAST", address.broadcast))
    return message


def _about_route(route: Route) -> Any:
    message = route_message()
    message["family"], message["dst_len"] = _AF[route.family], route.prefix
    message["table"], message["proto"] = route.table, _PROTOCOL_BOOT
    message["type"], message["scope"] = _UNICAST, route.scope
    message["flags"] = _ONLINK if route.onlink else 0
    message["attrs"] = [("RTA_OIF", route.index)]
    if route.table > _HIGHEST_IN_HEADER:
        message["table"] = _TABLE_COMPAT
        message["attrs"].append(("RTA_TABLE", route.table))
    if route.prefix:
        message["attrs"].append(("RTA_DST", route.destination))
    if route.gateway:
        message["attrs"].append(("RTA_GATEWAY", route.gateway))
    if route.source:
        message["attrs"].append(("RTA_PREFSRC", route.source))
    if route.priority:
        message["attrs"].append(("RTA_PRIORITY", route.priority))
    metrics = [("RTAX_MTU", route.mtu), ("RTAX_ADVMSS", route.advmss)]
    wanted = [metric for metric in metrics if metric[1]]
    if wanted:
        message["attrs"].append(("RTA_METRICS", {"attrs": wanted}))
    return message


def _decode_link(reply: bytes) -> Link:
    # A DEL looks at none.
    from delegates.link_reply import decode_link

    return decode_link(reply)


def _data_of(reply: bytes) -> dict[str, Any]:
    """Return the attributes of a link's kind by name."""
    info = decoded(link_message(reply)).get_attr("IFLA_LINKINFO")
    data = info.get_attr("IFLA_INFO_DATA") if info else None
    return dict([slot[:2] for slot in data["attrs"]]) if isinstance(data, dict) else {}


def _read_address(message: Any) -> Address:
    return Address(
        index=message["index"],
        family=_FAMILY_OF.get(message["family"], 0),
        address=message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS") or "",
        prefix=message["prefixlen"],
        flags=message.get_attr("IFA_FLAGS") or message["flags"],
        broadcast=message.get_attr("IFA_BROADCAST") or "",
    )


def _read_route(message: Any) -> Route:
    family = _FAMILY_OF[message["family"]]
    return Route(
        index=message.get_attr("RTA_OIF") or 0,
        family=family,
        destination=message.get_attr("RTA_DST") or _ANYWHERE[family],
        prefix=message["dst_len"],
        gateway=message.get_attr("RTA_GATEWAY") or "",
        source=message.get_attr("RTA_PREFSRC") or "",
        scope=message["scope"],
        onlink=bool(message["flags"] & _ONLINK),
        table=message.get_attr("RTA_TABLE") or message["table"],
        priority=message.get_attr("RTA_PRIORITY") or 0,
        mtu=_metric(message, "RTAX_MTU"),
        advmss=_metric(message, "RTAX_ADVMSS"),
    )


def _metric(message: Any, name: str) -> int:
    metrics = message.get_attr("RTA_METRICS")
    value: int = (metrics.get_attr(name) if metrics else 0) or 0
    return value
