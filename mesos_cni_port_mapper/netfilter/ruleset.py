"""Rules of nf_tables, counted and removed without a tool (nf_tables_api.c, nfnetlink.c).

What a rule does is not looked at. Whose it is stands in it as the bytes of its comment, and it is
removed by its handle, which the kernel gives to no other.
"""

from __future__ import annotations

import time

from mesos_cni_port_mapper.linux.netlink import (
    DUMP,
    INET,
    NETFILTER,
    Netlink,
    decode_attributes,
    encode_attribute,
)
from mesos_cni_port_mapper.linux.process import note_wait
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

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
_HEADER = 4
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
            decode_attributes(answer[_HEADER:])[_GENERATION]
            for answer in netlink.ask(_GET_GENERATION, _header(0))
        )
        request = _header(INET[family]) + _name(_TABLE, table)
        for answer in netlink.ask(_GET_RULE, request, DUMP):
            rule = decode_attributes(answer[_HEADER : _HEADER + _BEGINNING])
            chain = rule[_CHAIN].rstrip(b"\0").decode("utf-8", "surrogateescape")
            count, handles = chains.get(chain, (0, ()))
            if any(each in answer for each in sought):
                handles = (*handles, rule[_HANDLE])
            chains[chain] = count + 1, handles
    return Census(generation=generation, chains=chains)


def delete_rules(rules: Sequence[RuleHandle], generation: bytes) -> None:
    """Delete rules in one transaction, or raise ``OSError``; none are if anything changed since.

    It ends when the kernel has let go of them: that is what the closing of a socket waits for.
    """
    subsystem = _header(0, _SUBSYSTEM)
    messages = [(_BATCH_BEGIN, subsystem + encode_attribute(_BATCH_GENERATION, generation))]
    for family, table, chain, handle in rules:
        names = _name(_TABLE, table) + _name(_CHAIN, chain)
        body = _header(INET[family]) + names + encode_attribute(_HANDLE, handle)
        messages.append((_DELETE_RULE, body))
    messages.append((_BATCH_END, subsystem))
    begun = time.monotonic()
    try:
        with Netlink(NETFILTER) as netlink:
            netlink.transact(messages)
    finally:
        note_wait(NF_TABLES, time.monotonic() - begun)


def _header(family: int, subsystem: int = 0) -> bytes:
    """Return ``struct nfgenmsg``: a family, a version, and a number in the order of the network."""
    return bytes((family, 0)) + subsystem.to_bytes(2, "big")


def _name(kind: int, name: str) -> bytes:
    return encode_attribute(kind, name.encode("utf-8", "surrogateescape") + b"\0")
