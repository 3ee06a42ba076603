"""Hardware addresses in the spellings that the reference plugins take."""

from __future__ import annotations

from mesos_cni_port_mapper.cni.errors import INVALID_CONFIGURATION
from mesos_cni_port_mapper.cni.fields import refuse, shown

_DIGITS = 12
_GROUPS = ((":", 2), ("-", 2), (".", 4))
_HEXADECIMAL = frozenset("0123456789abcdef")


def parse_hardware_address(path: str, text: str, code: int = INVALID_CONFIGURATION) -> str:
    """Return an address as the kernel spells it: "02-00-00-00-00-01" and "0200.0000.0001" pass."""
    digits = text.lower().translate({ord(separator): None for separator, _ in _GROUPS})
    spellings = [_spell(digits, separator, size) for separator, size in _GROUPS]
    hexadecimal = len(digits) == _DIGITS and _HEXADECIMAL.issuperset(digits)
    if not hexadecimal or text.lower() not in spellings:
        refuse(path, f"{shown(text)} is no hardware address, as in 02:00:00:00:00:01", code)
    return spellings[0]


def _spell(digits: str, separator: str, size: int) -> str:
    return separator.join([digits[at : at + size] for at in range(0, _DIGITS, size)])
