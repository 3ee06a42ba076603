"""Ports at 127.0.0.1: who asks for them, and what keeps loopback the host's own.

The kernel routes packets from 127.0.0.1 to a container only with ``route_localnet`` on the
interface towards it, and then takes packets for 127.0.0.0/8 from that interface too: from the
containers, and whoever is on their link (CVE-2020-8558). So all that does not arrive on ``lo`` is
dropped in the raw table, before anything else sees it. These mappings have a chain of their own:
in the network's, reached by way of loopback, they would take other networks' ports along.
"""

from __future__ import annotations

from mesos_cni_port_mapper.portmap.attachment import short_digest
from mesos_cni_port_mapper.portmap.chains import OWN_PREFIX
from mesos_cni_port_mapper.portmap.rule import RAW, Drop, Entry, Jump, Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mesos_cni_port_mapper.portmap.mapping import PortMapping
    from mesos_cni_port_mapper.portmap.traffic import Traffic

NETWORK = "127.0.0.0/8"
PREFIX = f"{OWN_PREFIX}LO-"


def is_loopback(address: str) -> bool:
    """Tell whether an address is one of the host's loopback network of IPv4."""
    return address.startswith("127.")


def is_asked_for(mapping: PortMapping, traffic: Traffic) -> bool:
    """Tell whether a mapping is for loopback too: it names such an address, or all of them."""
    return is_loopback(mapping.host_address) or (traffic.localhost and not mapping.host_address)


def chain_name(chain: str) -> str:
    """Return the name that a network's chain for loopback has, in the nat and the raw table."""
    return f"{PREFIX}{short_digest(chain)}"


def entries_into(name: str, table: str) -> tuple[Entry, ...]:
    """Return what leads into such a chain: the host's own packets, or in raw what arrives."""
    jump = Rule(target=Jump(chain=name), destination=NETWORK)
    if table == RAW:
        return (Entry(built_in="PREROUTING", rule=jump, first=True),)
    return (Entry(built_in="OUTPUT", rule=jump.but(to_local_address=True)),)


def plan_guard(tag: str) -> Rule:
    """Plan the rule that drops what comes to loopback from anywhere else."""
    return Rule(target=Drop(), destination=NETWORK, not_in_device="lo", tag=tag)
