"""A table printed as iptables-save prints it.

Everything goes through C's stdout, because the modules print their part of a rule with printf.
"""

from __future__ import annotations

import ctypes
import functools
import socket

from mesos_cni_port_mapper.libiptc import extensions
from mesos_cni_port_mapper.libiptc import family as bits
from mesos_cni_port_mapper.libiptc.bindings import libc, structures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from mesos_cni_port_mapper.libiptc.family import Family
    from mesos_cni_port_mapper.libiptc.table import Table

_UNKNOWN = b" [unknown extension]"
_OLD = b" [unsupported revision]"
"""What stands for words that cannot be had; read back as a rule, it is refused."""

_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 50: "esp", 51: "ah", 58: "ipv6-icmp", 132: "sctp"}


class ListingError(Exception):
    """A table could not be printed; the message says why."""


# libxtables walks a list for each, and most rules of a table ask for the same few.
find_match = functools.cache(extensions.find_match)
find_target = functools.cache(extensions.find_target)


def print_table(table: Table, *, counted: bool = False) -> None:
    """Print a whole table, with the rules' counters if wanted, or raise ``ListingError``."""
    _put(f"*{table.name}\n".encode())
    chains = list(table.chains())
    for chain in chains:
        policy, packets, octets = table.policy(chain)
        _put(b":%s %s [%d:%d]\n" % (chain, policy, packets, octets))
    for chain in chains:
        for entry in table.rules(chain):
            if counted:
                _put(b"[%d:%d] " % (entry.counters.pcnt, entry.counters.bcnt))
            _put(b"-A %s" % chain)
            _print_rule(table, entry)
            _put(b"\n")
    _put(b"COMMIT\n")
    if libc.fflush(None):
        raise ListingError("stdout does not take the listing")


def _put(text: bytes) -> None:
    libc.printf(b"%s", text)


def _print_rule(table: Table, entry: Any) -> None:
    family = table.family
    header = family.header(entry)
    _put(b"".join(_words_of_header(header, family)))
    start = ctypes.addressof(entry)
    offset = family.entry_size
    while offset < entry.target_offset:
        match = structures.xt_entry_match.from_address(start + offset)
        _print_match(header, match)
        offset += match.u.match_size
    target = structures.xt_entry_target.from_address(start + entry.target_offset)
    name = table.target(entry)
    if target.u.user.name:
        _print_target(header, target, name)
    elif name:
        _put(b" -%s %s" % (b"g" if header.flags & family.goto else b"j", name))


def _words_of_header(header: Any, family: Family) -> Iterator[bytes]:
    for letter, address, mask, bit in (
        ("s", header.src, header.smsk, bits.INVERTED_SOURCE),
        ("d", header.dst, header.dmsk, bits.INVERTED_DESTINATION),
    ):
        inverted = bool(header.invflags & bit)
        if inverted or any(bytes(address)) or any(bytes(mask)):
            yield f"{_no(inverted)} -{letter} {_network(bytes(address), bytes(mask))}".encode()
    for letter, interface, mask, bit in (
        ("i", header.iniface, "iniface_mask", bits.INVERTED_IN),
        ("o", header.outiface, "outiface_mask", bits.INVERTED_OUT),
    ):
        field = getattr(type(header), mask)
        masked = ctypes.string_at(ctypes.addressof(header) + field.offset, field.size)
        if masked[0]:
            name = _interface(interface, masked)
            yield f"{_no(header.invflags & bit)} -{letter} ".encode() + name
    if header.proto:
        inverted = bool(header.invflags & bits.INVERTED_PROTOCOL)
        yield f"{_no(inverted)} -p {_protocol(header.proto)}".encode()
    if family is bits.IPV4 and header.flags & bits.FRAGMENT:
        yield f"{_no(header.invflags & bits.INVERTED_FRAGMENT)} -f".encode()


def _no(inverted: int) -> str:
    return " !" if inverted else ""


def _network(address: bytes, mask: bytes) -> str:
    version = socket.AF_INET if len(address) == 4 else socket.AF_INET6
    ones = f"{int.from_bytes(mask, 'big'):0{8 * len(mask)}b}".rstrip("0")
    length = socket.inet_ntop(version, mask) if "0" in ones else str(len(ones))
    return f"{socket.inet_ntop(version, address)}/{length}"


def _interface(name: bytes, mask: bytes) -> bytes:
    # The mask covers the name's final zero, or, of a name for many, only the letters before the +.
    covered = len(mask.rstrip(b"\0"))
    return name[:covered] + (b"+" if covered <= len(name) else b"")


def _protocol(number: int) -> str:
    if number in _PROTOCOLS:
        return _PROTOCOLS[number]
    try:
        with open("/etc/protocols", encoding="utf-8", errors="replace") as file:
            lines = [line.partition("#")[0].split() for line in file]
    except OSError:
        lines = []
    names = [words[0] for words in lines if words[1:2] == [str(number)]]
    return names[0] if names else str(number)


def _print_match(header: Any, match: Any) -> None:
    name = match.u.user.name
    newest = find_match(name)
    if newest is None:
        _put(b" -m %s%s" % (name, _UNKNOWN))
        return
    module = find_match(name, match.u.user.revision)
    _put(b" -m %s" % _alias(module or newest, match, name))
    _print_parameters(module, newest, header, match)


def _print_target(header: Any, target: Any, name: bytes) -> None:
    newest = find_target(target.u.user.name)
    if newest is None:
        _put(b" -j %s%s" % (name, _UNKNOWN))
        return
    module = find_target(target.u.user.name, target.u.user.revision)
    _put(b" -j %s" % _alias(module or newest, target, name))
    _print_parameters(module, newest, header, target)


def _alias(module: Any, data: Any, name: bytes) -> bytes:
    return bytes(module.alias(ctypes.pointer(data))) if module.alias else name


def _print_parameters(module: Any, newest: Any, header: Any, data: Any) -> None:
    if module is None:
        _put(_OLD)
    elif module.save:
        module.save(ctypes.addressof(header), ctypes.pointer(data))
    elif newest.save:
        _put(_OLD)
