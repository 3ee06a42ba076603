"""Addresses, checked by the C library's ``inet_pton`` (``ipaddress`` costs 4 ms to import)."""

from __future__ import annotations

import _socket

BITS = {4: 32, 6: 128}
"""How long an address of each family is."""

_FAMILIES = {4: _socket.AF_INET, 6: _socket.AF_INET6}
_MAPPED = bytes(10) + b"\xff\xff"
"""How an IPv4 address begins where one of IPv6 is wanted; no other address is that long."""


def family_of(address: str) -> int:
    """Return 4 or 6 for an address without a prefix, 0 for anything else."""
    for family, number in _FAMILIES.items():
        try:
            _socket.inet_pton(number, address)
        except (OSError, ValueError):
            continue
        return family
    return 0


def split_prefix(text: str) -> tuple[str, int]:
    """Split "192.0.2.1/24" into address and prefix length; raise ``ValueError`` for other text."""
    address, slash, prefix = text.partition("/")
    family = family_of(address)
    longest = BITS.get(family, 0)
    if not (family and slash and prefix.isascii() and prefix.isdigit() and int(prefix) <= longest):
        raise ValueError(f"{text!r} is no address with a prefix")
    return address, int(prefix)


def number_of(address: str) -> tuple[int, int]:
    """Return an address as its family and its number; raise ``ValueError`` for other text.

    An IPv4 address in IPv6's spelling (``::ffff:192.0.2.1``) is an IPv4 address, as it is to the
    reference plugins.
    """
    family = family_of(address)
    if not family:
        raise ValueError(f"{address!r} is no address")
    packed = _socket.inet_pton(_FAMILIES[family], address)
    if packed.startswith(_MAPPED):
        return 4, int.from_bytes(packed[len(_MAPPED) :], "big")
    return family, int.from_bytes(packed, "big")


def packed(address: str) -> bytes:
    """Return an address as packets have it, an IPv4 one as four bytes however it is spelt."""
    family, number = number_of(address)
    return number.to_bytes(BITS[family] // 8, "big")


def text_of(family: int, number: int) -> str:
    """Return the one spelling of an address that the reference plugins use (RFC 5952)."""
    # The C library would end these in the dotted form of IPv4.
    if family == 6 and 0xFFFF < number <= 0xFFFFFFFF:
        return f"::{number >> 16:x}:{number & 0xFFFF:x}"
    return _socket.inet_ntop(_FAMILIES[family], number.to_bytes(BITS[family] // 8, "big"))


def canonical(address: str) -> str:
    """Return the one spelling of an address; raise ``ValueError`` for other text."""
    return text_of(*number_of(address))


def network_of(address: str, prefix: int) -> str:
    """Return the network that an address is in: "192.0.2.0/24" for 192.0.2.9 and 24."""
    family = family_of(address)
    number = int.from_bytes(_socket.inet_pton(_FAMILIES[family], address), "big")
    hidden = BITS[family] - prefix
    return f"{text_of(family, number >> hidden << hidden)}/{prefix}"
