"""What is remembered about one attachment, and its form on disk."""

from __future__ import annotations

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.cni.address import split_prefix
from mesos_cni_port_mapper.portmap.attachment import Attachment
from mesos_cni_port_mapper.portmap.mapping import PortMapping
from mesos_cni_port_mapper.portmap.plan import Wish, endpoints_of
from mesos_cni_port_mapper.portmap.traffic import Traffic
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Record(Value):
    """An attachment and what was, or is about to be, done for it.

    It is written before the delegate is asked, without mappings, and again before the rules are
    made, with them: rules can exist only for mappings that are on record. ``addresses`` are the
    container's, one of a family and each with its prefix length. ``delegate_versions`` are those
    agreed on with the delegates, "" for none named. ``local_interface`` is the one towards the
    container by which loopback was let out. ``earlier`` is the record that this one takes the place
    of, for as long as rules of it may be left.
    """

    attachment: Attachment
    chain: str
    netns: str
    boot_id: str
    mount_namespace: int
    mappings: tuple[PortMapping, ...] = ()
    excluded_devices: tuple[str, ...] = ()
    traffic: Traffic = Traffic()
    addresses: tuple[str, ...] = ()
    delegate_versions: tuple[str, ...] = ()
    local_interface: str = ""
    backend: str = "iptables"
    earlier: Record | None = None

    def wish(self) -> Wish:
        """Return what the planner is asked for."""
        return Wish(
            attachment=self.attachment,
            chain=self.chain,
            mappings=self.mappings,
            excluded_devices=self.excluded_devices,
            traffic=self.traffic,
            endpoints=endpoints_of(self.addresses),
        )


def encode_record(record: Record) -> bytes:
    """Return the record as it stands in its file."""
    return codec.encode(_document_of(record)) + b"\n"


def _document_of(record: Record) -> dict[str, Any]:
    document: dict[str, Any] = {
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
        "traffic": {name: getattr(record.traffic, name) for name in Traffic.fields},
        "addresses": list(record.addresses),
        "delegateVersions": list(record.delegate_versions),
        "localInterface": record.local_interface,
        "backend": record.backend,
    }
    if record.earlier is not None:
        document["earlier"] = _document_of(record.earlier)
    return document


def decode_record(data: bytes) -> Record | None:
    """Return the record a file holds, or nothing when it is not one: never trust, never fail."""
    try:
        return _record_of(codec.decode(data))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _record_of(document: dict[str, Any]) -> Record:
    earlier = document.get("earlier")
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
        excluded_devices=_texts(document["excludedDevices"]),
        traffic=_decode_traffic(document["traffic"]),
        addresses=tuple([_address(item) for item in document["addresses"]]),
        delegate_versions=_texts(document["delegateVersions"]),
        local_interface=_text(document["localInterface"]),
        backend=_text(document["backend"]),
        earlier=None if earlier is None else _record_of(earlier),
    )


def _decode_traffic(document: dict[str, Any]) -> Traffic:
    default = Traffic()
    given: dict[str, Any] = {}
    for name in Traffic.fields:
        usual, value = getattr(default, name), document[name]
        if isinstance(usual, tuple):
            value = _texts(value)
        if type(value) is not type(usual):
            raise TypeError(f"{name} is {value!r}")
        given[name] = value
    return Traffic(**given)


def _address(value: object) -> str:
    text = _text(value)
    split_prefix(text)
    return text


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is not an array")
    return tuple([_text(item) for item in value])


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value
