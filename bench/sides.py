"""The two sides of a comparison: how each plugin is asked for the same port mappings."""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.scenarios import PortMapping
from mesos_cni_port_mapper.portmap.nft_table import table_of
from mesos_cni_port_mapper.portmap.traffic import IPTABLES, NFTABLES
from tests.support.host import Host, Place
from tests.support.plugin import PLUGIN_DIRECTORY

_DIST = Path(__file__).resolve().parents[1] / "dist"
OURS = _DIST / "plugins" / "mesos-cni-port-mapper"
DELEGATES = _DIST / "delegates"
NOTHING = _DIST / "gates" / "nothing"
PORTMAP = Path(PLUGIN_DIRECTORY, "portmap")

_VERSION = "1.0.0"


class Side(ABC):
    """A plugin chained after whatever gave a container its address."""

    program: Path

    @abstractmethod
    def netconf(self, addresses: Sequence[str], mappings: Sequence[PortMapping]) -> dict[str, Any]:
        """Return the configuration for a container with these addresses."""

    @abstractmethod
    def targets(self, mappings: Sequence[PortMapping]) -> int:
        """Return how many rules or elements of IPv4 should lead the mappings to a container."""

    def count(self, host: Host) -> int:
        """Return how many there are."""
        return sum("-j DNAT" in rule for rule in host.ruleset())


class PortMapper(Side):
    """Ours, in portmap's place: second in a list of plugins, with the first one's result."""

    program = OURS

    def __init__(self, options: Sequence[str] = (), backend: str = IPTABLES) -> None:
        self._options = options
        self._backend = backend

    def netconf(self, addresses: Sequence[str], mappings: Sequence[PortMapping]) -> dict[str, Any]:
        ports = [
            {"hostPort": host_port, "containerPort": port, "protocol": "tcp"}
            for host_port, port in mappings
        ]
        return {
            "cniVersion": _VERSION,
            "name": "net",
            "type": OURS.name,
            "chain": "MESOS-NET",
            "backend": self._backend,
            **dict.fromkeys(self._options, True),
            "runtimeConfig": {"portMappings": ports},
            "prevResult": _result_of(addresses),
        }

    def targets(self, mappings: Sequence[PortMapping]) -> int:
        """Count the runs: a mapping that continues the one before it takes no rule of its own."""
        continued = {(host_port + 1, port + 1) for host_port, port in mappings}
        runs = len(set(mappings) - continued)
        return 2 * runs if "localhost" in self._options else runs

    def count(self, host: Host) -> int:
        """Count rules, or elements."""
        return count_elements(host) if self._backend == NFTABLES else super().count(host)


class Portmap(Side):
    """The reference plugin."""

    program = PORTMAP

    def __init__(self, *, snat: bool) -> None:
        self._snat = snat

    def netconf(self, addresses: Sequence[str], mappings: Sequence[PortMapping]) -> dict[str, Any]:
        ports = [
            {"hostPort": host_port, "containerPort": port, "protocol": "tcp"}
            for host_port, port in mappings
        ]
        return {
            "cniVersion": _VERSION,
            "name": "net",
            "type": PORTMAP.name,
            "snat": self._snat,
            "runtimeConfig": {"portMappings": ports},
            "prevResult": _result_of(addresses),
        }

    def targets(self, mappings: Sequence[PortMapping]) -> int:
        return len(mappings)


def _result_of(addresses: Sequence[str]) -> dict[str, Any]:
    return {
        "cniVersion": _VERSION,
        "ips": [{"address": address} for address in addresses],
        "dns": {},
    }


def count_elements(place: Place) -> int:
    """Return how many ports or runs of ports of all addresses our table of IPv4 has."""
    found = 0
    for name in ("any", "any-runs"):
        command = ["nft", "-j", "list", "map", *table_of(4).split(), name]
        listed = place.run(command, check=False)
        if listed.status == 0:
            maps = [item["map"] for item in json.loads(listed.stdout)["nftables"] if "map" in item]
            found += sum(len(each.get("elem", ())) for each in maps)
    return found
