"""Which names a chain of somebody's own may have."""

from __future__ import annotations

OWN_PREFIX = "MPM-"
"""How the names of chains begin that belong to a network's chain; see ``plan.entries_into``."""

_LONGEST = 28
"""Characters, in both variants of iptables (XT_EXTENSION_MAXNAMELEN less the final zero)."""

_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
_BUILT_IN = frozenset(("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"))
_TARGETS = """
ACCEPT DROP QUEUE RETURN AUDIT CHECKSUM CLASSIFY CLUSTERIP CONNMARK CONNSECMARK CT DNAT DNPT DSCP
ECN ERROR HL HMARK IDLETIMER LED LOG MARK MASQUERADE MIRROR NETMAP NFLOG NFQUEUE NOTRACK RATEEST
REDIRECT REJECT SECMARK SET SNAT SNPT SYNPROXY TCPMSS TCPOPTSTRIP TEE TOS TPROXY TRACE TTL ULOG
""".split()  # noqa: SIM905 - they read better as words
"""What ``-j`` takes for a target and not for a chain."""


def find_fault(chain: str) -> str:
    """Return what is wrong with the name of a chain, or ""."""
    if not chain or not _CHARACTERS.issuperset(chain) or chain[0] in "-.":
        return (
            "must hold letters, digits, '_', '.' and '-' only and begin with a letter, a digit or "
            "'_'"
        )
    if len(chain) > _LONGEST:
        return f"is longer than {_LONGEST} characters"
    if chain in _BUILT_IN:
        return "is a built-in chain; name one for this network"
    if chain in _TARGETS:
        return "is the name of a target; name a chain for this network"
    if chain.startswith(OWN_PREFIX):
        return f"begins with {OWN_PREFIX}, as only chains that go with a network's do"
    return ""
