"""Attachments and what they wish for, in few words."""

from collections.abc import Iterable
from typing import Any

from mesos_cni_port_mapper.netfilter.ledger import Ledger
from mesos_cni_port_mapper.netfilter.record import Record
from mesos_cni_port_mapper.portmap.attachment import Attachment
from mesos_cni_port_mapper.portmap.mapping import PortMapping
from mesos_cni_port_mapper.portmap.plan import Wish, endpoints_of
from mesos_cni_port_mapper.portmap.traffic import Traffic

LO = "MPM-LO-79fa6a349297db55"
"""The chain for loopback of the network whose chain is CHAIN."""

SN = "MPM-SN-79fa6a349297db55"
"""The chain of the same network for what is masqueraded."""


def attachment(container_id: str = "web-1") -> Attachment:
    return Attachment(network="net", container_id=container_id, ifname="eth0")


def tag(container_id: str = "web-1") -> str:
    return f"container_id: {container_id} network: net ifname: eth0"


def mapping(
    host_port: int, container_port: int = 80, protocol: str = "tcp", host_address: str = ""
) -> PortMapping:
    return PortMapping(
        protocol=protocol,
        host_port=host_port,
        container_port=container_port,
        host_address=host_address,
    )


def owners(
    ledger: Ledger, mappings: Iterable[PortMapping]
) -> list[tuple[Record, list[PortMapping]]]:
    """Return who has the same ports, in few words, as somebody finds out who has none."""
    return list(ledger.contest(mappings, attachment("nobody")).owners)


def wish(
    container_id: str,
    *mappings: PortMapping,
    chain: str = "CHAIN",
    devices: tuple[str, ...] = (),
    addresses: tuple[str, ...] = ("192.0.2.2/24",),
    **traffic: Any,
) -> Wish:
    return Wish(
        attachment=attachment(container_id),
        chain=chain,
        mappings=mappings,
        excluded_devices=devices,
        traffic=Traffic(**traffic),
        endpoints=endpoints_of(addresses),
    )
