"""Which words a condition may have: matches only, for iptables(8) or for nft(8).

Both read a language in which a word too many is another rule, or another target, so that what could
end the matches or a line is refused here.
"""

from __future__ import annotations

from mesos_cni_port_mapper.cni.fields import shown

_QUOTES = " \"'\\"
_SHORT_OPTIONS = ("-s", "-d", "-i", "-o", "-p", "-m", "-f")
_COMMANDS = """
--append --check --delete --delete-chain --flush --goto --help --insert --jump --list --list-rules
--modprobe --new-chain --noflush --policy --rename-chain --replace --set-counters --table --verbose
--wait --wait-interval --zero
""".split()  # noqa: SIM905 - they read better as words

_NFT_STATEMENTS = frozenset(
    """
    accept comment continue counter create delete destroy dnat drop dup flow fwd goto include insert
    jump last log map masquerade meter notrack offload queue quota redefine redirect reject replace
    reset return set snat synproxy tproxy undefine update vmap
    """.split()  # noqa: SIM905 - they read better as words
)
"""Words of nft that act, and those that begin another command; comments are ours.

``add`` acts on sets alone, which are out of reach, and may be a part of an address.
"""

_NFT_SPECIAL = frozenset(";#$@")
_NFT_SEPARATORS = str.maketrans(dict.fromkeys("{}()[]:,!=<>/|&^", " "))
"""What parts words for nft without a space: ``vmap{`` is two."""


def find_fault(word: str) -> str:
    """Return what is wrong with one word for iptables, or ""."""
    fault = _find_common_fault(word)
    if fault or _is_match(word):
        return fault
    return f"{shown(word)} is no match; conditions only narrow a rule down"


def find_nft_fault(word: str) -> str:
    """Return what is wrong with one word for nft, or ""."""
    fault = _find_common_fault(word)
    if fault:
        return fault
    parts = word.translate(_NFT_SEPARATORS).split()
    if not _NFT_SPECIAL.isdisjoint(word) or not _NFT_STATEMENTS.isdisjoint(parts):
        return f"{shown(word)} is no part of a match; conditions only narrow a rule down"
    return ""


def _find_common_fault(word: str) -> str:
    if not word.isascii() or not word.isprintable() or any(each in word for each in _QUOTES):
        return f"{shown(word)} must be one word, without quotes"
    return "" if word else "is empty"


def _is_match(word: str) -> bool:
    """Tell whether a word can be part of a match, and nothing that acts or names a target.

    iptables takes any beginning of a long option that is no other's, and short ones with their
    value attached.
    """
    if word.startswith("--"):
        option = word.partition("=")[0]
        return option == "--set" or not any(each.startswith(option) for each in _COMMANDS)
    return not word.startswith("-") or word in _SHORT_OPTIONS
