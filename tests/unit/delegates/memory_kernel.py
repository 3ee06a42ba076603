"""A host's and a container's links in memory, behind the interface of ``delegates.netlink``."""

from dataclasses import dataclass, field
from typing import Any

from delegates.facts import Address, Link, Route


@dataclass
class Refusals:
    """Counts changes, and refuses the one with a number."""

    number: int = 0
    seen: int = 0

    def change(self) -> None:
        self.seen += 1
        if self.seen == self.number:
            raise OSError(105, "no buffer space")


@dataclass
class MemoryNetlink:
    """One namespace; ``peer`` is where the other ends of its pairs are made."""

    refusals: Refusals = field(default_factory=Refusals)
    peer: "MemoryNetlink | None" = None
    by_name: dict[str, Link] = field(default_factory=dict)
    given: list[Address] = field(default_factory=list)
    ways: list[Route] = field(default_factory=list)

    def state(self) -> tuple[object, ...]:
        links = sorted(
            (link.name, link.kind, link.up, link.promiscuous, link.mac)
            for link in self.by_name.values()
        )
        return links, list(self.given), list(self.ways)

    def close(self) -> None:
        pass

    def have(self, name: str, kind: str = "", **fields: Any) -> Link:
        defaults: dict[str, Any] = {
            "mac": "02:00:00:00:00:01",
            "mtu": 1500,
            "up": False,
            "running": False,
            "promiscuous": False,
            "master": 0,
            "parent": 0,
            "data": {},
        }
        index = 1 + max([link.index for link in self.by_name.values()], default=0)
        link = Link(index=index, name=name, kind=kind, **(defaults | fields))
        self.by_name[name] = link
        return link

    def create_link(
        self, name: str, kind: str, data: Any, attributes: Any, up: bool = False
    ) -> None:
        self.refusals.change()
        if name in self.by_name:
            raise FileExistsError(17, "File exists")
        self.have(name, kind, up=up, running=up, master=dict(attributes).get("IFLA_MASTER", 0))
        for key, value in data:
            if key == "VETH_INFO_PEER":
                other = dict(value["attrs"])
                place = self.peer if "IFLA_NET_NS_FD" in other else self
                assert place is not None
                place.have(other["IFLA_IFNAME"], kind)

    def _change(self, name: str, **fields: Any) -> None:
        self.refusals.change()
        self.by_name[name] = self.by_name[name].but(**fields)

    def set_link(self, name: str, attributes: Any) -> None:
        self._change(name)

    def set_up(self, name: str, up: bool) -> None:
        self._change(name, up=up, running=up)

    def set_promiscuous(self, name: str, on: bool) -> None:
        self._change(name, promiscuous=on)

    def set_hairpin(self, index: int, on: bool) -> None:
        self.refusals.change()

    def delete_link(self, name: str) -> None:
        if name not in self.by_name:
            raise OSError(19, "No such device")
        index = self.by_name.pop(name).index
        self.given = [address for address in self.given if address.index != index]
        self.ways = [route for route in self.ways if route.index != index]
        if self.peer is not None:
            # The tests' pairs have their other end there, and nothing else is.
            self.peer.by_name.clear()
            self.peer.given.clear()
            self.peer.ways.clear()

    def link(self, name: str, with_data: bool = False) -> Link | None:
        return self.by_name.get(name)

    def links(self) -> list[Link]:
        return list(self.by_name.values())

    def index_of(self, name: str) -> int:
        if name not in self.by_name:
            raise OSError(19, f"there is no link {name}")
        return self.by_name[name].index

    def add_address(self, address: Address) -> None:
        self.refusals.change()
        self.given.append(address)

    def remove_address(self, address: Address) -> None:
        match = [
            entry
            for entry in self.given
            if (entry.index, entry.address) == (address.index, address.address)
        ]
        if not match:
            raise OSError(99, "Cannot assign requested address")
        self.given.remove(match[0])

    def addresses(self, index: int, family: int = 0) -> list[Address]:
        return [entry for entry in self.given if entry.index == index]

    def add_route(self, route: Route) -> None:
        self.refusals.change()
        if route in self.ways:
            raise FileExistsError(17, "File exists")
        self.ways.append(route)

    def remove_route(self, route: Route) -> None:
        if route not in self.ways:
            raise OSError(3, "No such process")
        self.ways.remove(route)
