"""Addresses, checked by the C library's ``inet_pton`` (``ipaddress`` costs 4 ms to import)."""

from __future__ import annotations

import _socket


def family_of(address: str) -> int:
    """Return 4 or 6 for an address without a prefix, 0 for anything else."""
    for family, number in ((_socket.AF_INET, 4), (_socket.AF_INET6, 6)):
        try:
            _socket.inet_pton(family, address)
        except (OSError, ValueError):
            continue
        return number
    return 0


def split_prefix(text: str) -> tuple[str, int]:
    """Split "192.0.2.1/24" into address and prefix length; raise ``ValueError`` for other text."""
    address, slash, prefix = text.partition("/")
    family = family_of(address)
    longest = 32 if family == 4 else 128
    if not (family and slash and prefix.isascii() and prefix.isdigit() and int(prefix) <= longest):
        raise ValueError(f"{text!r} is no address with a prefix")
    return address, int(prefix)
