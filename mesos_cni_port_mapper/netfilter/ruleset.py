"""Rules of nf_tables counted, rules and elements removed, without a tool.

What a rule does is not looked at. Whose it is stands in it as the bytes of its comment, and it is
removed by its handle, which the kernel gives to no other. Whose an element is, is its value or that
of another one. (nf_tables_api.c, nfnetlink.c)
"""

from __future__ import annotations

import time

from mesos_cni_port_mapper.linux.netlink import (
    DUMP,
    NESTED,
    NETFILTER,
    NETFILTER_HEADER,
    Netlink,
    decode_attributes,
    encode_attribute,
    encode_netfilter_header,
)
from mesos_cni_port_mapper.linux.process import note_wait
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mesos_cni_port_mapper.portmap.registers import PackedElement

    Count = tuple[int, tuple[bytes, ...]]
    """How many rules a chain has, and the handles of those that may bear a comment."""

    RuleHandle = tuple[int, str, str, bytes]
    """A rule's family, table, chain and handle."""

NF_TABLES = "nf_tables"
"""What is waited for, as a tool would be by its path."""

_SUBSYSTEM = 10
_GET_RULE, _DELETE_RULE, _GET_GENERATION = 0xA07, 0xA08, 0xA10
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_BATCH_GENERATION = 1
_GENERATION = 1
_TABLE, _CHAIN, _HANDLE = 1, 2, 3
_NEW_ELEMENTS, _DELETE_ELEMENTS = 0xA0C, 0xA0E
_SET, _ELEMENTS, _ELEMENT = 2, 3, 1
_KEY, _VALUE, _BYTES = 1, 2, 1
_TOGETHER = 500
"""How many elements are in one message: an attribute has at most 64 KiB."""

_BEGINNING = 3 * 4 + 2 * 128 + 8
"""An answer begins with the table's name, the chain's and the handle, which fit in here."""


class Census(Value):
    """The rules of a table, chain by chain; chains without rules are left out.

    ``generation`` is that of all of nf_tables, which any change to it makes another.
    """

    generation: bytes
    chains: dict[str, Count]


def take_census(family: int, table: str, comments: Sequence[str]) -> Census:
    """Count a table's rules, and those that may bear one of some comments.

    A rule whose comment just ends so counts as well; none that bears it is missed. Raises
    ``OSError``.
    """
    sought = [comment.encode() + b"\0" for comment in comments]
    chains: dict[str, Count] = {}
    with Netlink(NETFILTER) as netlink:
        generation = b"".join(
            decode_attributes(answer[NETFILTER_HEADER:])[_GENERATION]
            for answer in netlink.ask(_GET_GENERATION, encode_netfilter_header())
        )
        request = encode_netfilter_header(family) + _name(_TABLE, table)
        for answer in netlink.ask(_GET_RULE, request, DUMP):
            rule = decode_attributes(answer[NETFILTER_HEADER : NETFILTER_HEADER + _BEGINNING])
            chain = rule[_CHAIN].rstrip(b"\0").decode("utf-8", "surrogateescape")
            count, handles = chains.get(chain, (0, ()))
            if any(each in answer for each in sought):
                handles = (*handles, rule[_HANDLE])
            chains[chain] = count + 1, handles
    return Census(generation=generation, chains=chains)


def delete_rules(rules: Sequence[RuleHandle], generation: bytes) -> None:
    """Delete rules in one transaction, or raise ``OSError``; none are if anything changed since.

    It ends when the kernel has let go of them: that is what closing a socket waits for.
    """
    requests = []
    for family, table, chain, handle in rules:
        names = _name(_TABLE, table) + _name(_CHAIN, chain)
        body = encode_netfilter_header(family) + names + encode_attribute(_HANDLE, handle)
        requests.append((_DELETE_RULE, body))
    _transact(requests, encode_attribute(_BATCH_GENERATION, generation))


def delete_elements(table: str, elements: Mapping[int, Sequence[PackedElement]]) -> None:
    """Delete elements by family in one transaction, or raise ``OSError``.

    Each is first added as it should be: that is refused if it has another value, and nothing if it
    is there or gone.
    """
    requests = [
        (kind, encode_netfilter_header(family) + _name(_TABLE, table) + listed)
        for kind in (_NEW_ELEMENTS, _DELETE_ELEMENTS)
        for family, some in elements.items()
        for listed in _list_elements(some)
    ]
    _transact(requests)


def _list_elements(elements: Sequence[PackedElement]) -> Iterator[bytes]:
    """Return attributes that name a set and elements of it; of as many as an attribute holds."""
    for start in range(0, len(elements), _TOGETHER):
        by_set: dict[str, bytes] = {}
        for each in elements[start : start + _TOGETHER]:
            data = _data(_KEY, each.key) + (_data(_VALUE, each.value) if each.value else b"")
            element = encode_attribute(NESTED | _ELEMENT, data)
            by_set[each.container] = by_set.get(each.container, b"") + element
        for name, listed in by_set.items():
            yield _name(_SET, name) + encode_attribute(NESTED | _ELEMENTS, listed)


def _data(kind: int, data: bytes) -> bytes:
    return encode_attribute(NESTED | kind, encode_attribute(_BYTES, data))


def _transact(requests: Sequence[tuple[int, bytes]], condition: bytes = b"") -> None:
    subsystem = encode_netfilter_header(resource=_SUBSYSTEM)
    messages = [(_BATCH_BEGIN, subsystem + condition), *requests, (_BATCH_END, subsystem)]
    begun = time.monotonic()
    try:
        with Netlink(NETFILTER) as netlink:
            netlink.transact(messages)
    finally:
        note_wait(NF_TABLES, time.monotonic() - begun)


def _name(kind: int, name: str) -> bytes:
    return encode_attribute(kind, name.encode("utf-8", "surrogateescape") + b"\0")
