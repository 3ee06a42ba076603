"""A connection's first packet, the host it comes to, and answers of which one is "not known"."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Tri: TypeAlias = bool | None
"""Yes, no, or not known."""

HOST, OUTSIDE = "host", "outside"
"""Where packets begin: in this host's own programs, or beyond one of its devices."""


def all_of(answers: Iterable[Tri]) -> Tri:
    """Return no if one is no, yes if all are yes, otherwise not known."""
    given = list(answers)
    if False in given:
        return False
    return None if None in given else True


def any_of(answers: Iterable[Tri]) -> Tri:
    """Return yes if one is yes, no if all are no, otherwise not known."""
    return negated(all_of(negated(each) for each in answers))


def negated(answer: Tri) -> Tri:
    """Return the opposite; what is not known stays so."""
    return None if answer is None else not answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """What rules see of it.

    ``source`` "" is an address that is not known, ``in_device`` and ``out_device`` "" no device,
    ``mark`` None a mark that is not known. ``translated`` says that its destination was rewritten.
    """

    protocol: str
    destination: str
    port: int
    source: str = ""
    in_device: str = ""
    out_device: str = ""
    mark: int | None = 0
    translated: bool = False

    @property
    def family(self) -> int:
        """Return 4 or 6."""
        return 6 if ":" in self.destination else 4

    def but(
        self,
        *,
        destination: str | None = None,
        port: int | None = None,
        in_device: str | None = None,
        out_device: str | None = None,
    ) -> Packet:
        """Return this packet elsewhere, or for somebody else."""
        return replace(
            self,
            destination=self.destination if destination is None else destination,
            port=self.port if port is None else port,
            in_device=self.in_device if in_device is None else in_device,
            out_device=self.out_device if out_device is None else out_device,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The host as far as it decides about packets.

    ``interfaces`` are its addresses with prefix length, by device. ``route`` returns the device by
    which an address is reached: "lo" for the host's own, "" for none. ``setting`` returns a kernel
    parameter of /proc/sys by its path, "" for none.
    """

    interfaces: Mapping[str, tuple[str, ...]]
    route: Callable[[str], str]
    setting: Callable[[str], str]

    def is_local(self, address: str) -> bool:
        """Tell whether an address is the host's own."""
        return ipaddress.ip_address(address).is_loopback or self.route(address) == "lo"

    def device_of(self, address: str) -> str:
        """Return the device that has an address of the host, "" for none."""
        for device, held in self.interfaces.items():
            if any(
                ipaddress.ip_interface(each).ip == ipaddress.ip_address(address) for each in held
            ):
                return device
        return ""

    def address_of(self, device: str, family: int) -> str:
        """Return the first address of a device in a family, "" for none."""
        for each in self.interfaces.get(device, ()):
            if (":" in each) == (family == 6):
                return each.partition("/")[0]
        return ""

    def may_come_from(self, packet: Packet, network: Network) -> Tri:
        """Tell whether a packet's source is in a network.

        Where the source is not known, networks of other devices than the one it came by are ruled
        out: the kernel would hardly have taken it, and its answer would not go there.
        """
        if network.version != packet.family:
            return False
        if packet.source:
            return ipaddress.ip_address(packet.source) in network
        if network.prefixlen == 0:
            return True
        return self._may_be_beyond(packet.in_device, network)

    def _may_be_beyond(self, device: str, network: Network) -> Tri:
        if any(_overlaps(network, each) for each in self.interfaces.get(device, ())):
            return None
        others = [each for name, held in self.interfaces.items() if name != device for each in held]
        if network.is_loopback or any(_overlaps(network, each) for each in others):
            return False
        return None


def is_address(text: str, family: int) -> bool:
    """Tell whether a text is an address of a family (4 or 6)."""
    try:
        return ipaddress.ip_address(text).version == family
    except ValueError:
        return False


def network_of(text: str) -> Network:
    """Return "192.0.2.0/24", "192.0.2.1" or "192.0.2.0/255.255.255.0" as a network."""
    return ipaddress.ip_network(text, strict=False)


def _overlaps(network: Network, interface: str) -> bool:
    held = ipaddress.ip_interface(interface).network
    if isinstance(held, ipaddress.IPv4Network) and isinstance(network, ipaddress.IPv4Network):
        return held.overlaps(network)
    if isinstance(held, ipaddress.IPv6Network) and isinstance(network, ipaddress.IPv6Network):
        return held.overlaps(network)
    return False
