"""Elements of our sets and maps as the kernel has them: what stands in registers of 32 bits each.

A concatenation is its parts, each filled up to whole registers: a protocol is one byte and a port
two, in the order of the network (nf_tables.h, ``NFT_REG32_SIZE``).
"""

from __future__ import annotations

from mesos_cni_port_mapper.cni.address import packed
from mesos_cni_port_mapper.portmap.elements import EXCLUDED, ODD, RUNS
from mesos_cni_port_mapper.portmap.mapping import PROTOCOL_NUMBERS
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from mesos_cni_port_mapper.portmap.elements import Element

_REGISTER = 4


class PackedElement(Value):
    """An element of a set or map; a set's has no ``value``."""

    container: str
    key: bytes
    value: bytes


def pack_elements(elements: Iterable[Element]) -> list[PackedElement]:
    """Return elements as bytes; none at all if one is an interval, a device's name or a verdict."""
    found = []
    for each in elements:
        if RUNS in each.container or ODD in each.container or EXCLUDED in each.container:
            return []
        key, value = _pack(each.key), _pack(each.value)
        found.append(PackedElement(container=each.container, key=key, value=value))
    return found


def _pack(text: str) -> bytes:
    return b"".join([_fill(_encode(part)) for part in text.split(" . ") if part])


def _encode(part: str) -> bytes:
    if part in PROTOCOL_NUMBERS:
        return bytes((PROTOCOL_NUMBERS[part],))
    if part.isdigit():
        return int(part).to_bytes(2, "big")
    return packed(part)


def _fill(data: bytes) -> bytes:
    return data + bytes(-len(data) % _REGISTER)
