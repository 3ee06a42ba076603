"""Versions of the specification, and what each brought that concerns a plugin."""

from __future__ import annotations

SUPPORTED = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
NEWEST = SUPPORTED[-1]

ASSUMED = "0.2.0"
"""What a configuration without ``cniVersion`` means: the result shape of 0.1.0 and 0.2.0."""

FIRST_WITH_CHECK = "0.4.0"


def order(version: str) -> int:
    """Return where a supported version stands, oldest first."""
    return SUPPORTED.index(version)


def shape(version: str) -> str:
    """Return the first version with the same result type as a supported ``version``."""
    if order(version) <= order("0.2.0"):
        return "0.1.0"
    if order(version) <= order("0.4.0"):
        return "0.3.0"
    return version


def newest_common(offered: list[str]) -> str:
    """Return the newest version both sides speak, or "" when there is none."""
    common = [version for version in SUPPORTED if version in offered]
    return common[-1] if common else ""
