"""What is remembered about one attachment, and its form on disk."""

from __future__ import annotations

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.portmap.attachment import Attachment
from mesos_cni_port_mapper.portmap.mapping import PortMapping
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Record(Value):
    """An attachment and what was, or is about to be, done for it.

    It is written before the delegate is asked, without mappings, and again before the rules are
    made, with them: rules can exist only for mappings that are on record. ``address`` is where they
    lead. ``delegate_version`` is the version agreed on with the delegate, "" for none named.
    """

    attachment: Attachment
    chain: str
    netns: str
    boot_id: str
    mount_namespace: int
    mappings: tuple[PortMapping, ...] = ()
    excluded_devices: tuple[str, ...] = ()
    address: str = ""
    delegate_version: str = ""
    backend: str = "iptables"


def encode_record(record: Record) -> bytes:
    """Return the record as it stands in its file."""
    document = {
        "network": record.attachment.network,
        "containerID": record.attachment.container_id,
        "ifname": record.attachment.ifname,
        "chain": record.chain,
        "netns": record.netns,
        "bootID": record.boot_id,
        "mountNamespace": record.mount_namespace,
        "mappings": [
            [item.protocol, item.host_address, item.host_port, item.container_port]
            for item in record.mappings
        ],
        "excludedDevices": list(record.excluded_devices),
        "address": record.address,
        "delegateVersion": record.delegate_version,
        "backend": record.backend,
    }
    return codec.encode(document) + b"\n"


def decode_record(data: bytes) -> Record | None:
    """Return the record a file holds, or nothing when it is not one: never trust, never fail."""
    try:
        document: dict[str, Any] = codec.decode(data)
        return Record(
            attachment=Attachment(
                network=_text(document["network"]),
                container_id=_text(document["containerID"]),
                ifname=_text(document["ifname"]),
            ),
            chain=_text(document["chain"]),
            netns=_text(document["netns"]),
            boot_id=_text(document["bootID"]),
            mount_namespace=int(document["mountNamespace"]),
            mappings=tuple(
                [
                    PortMapping(
                        protocol=_text(protocol),
                        host_address=_text(host_address),
                        host_port=int(host_port),
                        container_port=int(container_port),
                    )
                    for protocol, host_address, host_port, container_port in document["mappings"]
                ]
            ),
            excluded_devices=tuple([_text(item) for item in document["excludedDevices"]]),
            address=_text(document["address"]),
            delegate_version=_text(document["delegateVersion"]),
            backend=_text(document["backend"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value
