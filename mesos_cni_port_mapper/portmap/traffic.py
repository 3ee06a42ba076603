"""How forwarded traffic is treated besides: the options ADD and CHECK have for it."""

from __future__ import annotations

from mesos_cni_port_mapper.cni.errors import UNSUPPORTED_VALUE
from mesos_cni_port_mapper.cni.fields import Section, refuse, shown
from mesos_cni_port_mapper.portmap.chains import find_fault
from mesos_cni_port_mapper.portmap.rule import IPV4, IPV6
from mesos_cni_port_mapper.value import Value

FAIL, TAKEOVER, IGNORE, STRICT = "fail", "takeover", "ignore", "strict"
POLICIES = (FAIL, TAKEOVER, IGNORE, STRICT)
"""What happens to a port that somebody has already, under ``onConflict``."""

_HIGHEST_BIT = 31
_QUOTES = " \"'\\"


class Traffic(Value):
    """What is asked for besides forwarding itself.

    ``snat`` masquerades what comes from the container's own subnet, so that the container and its
    neighbours reach it by the host's address. ``localhost`` lets the host's programs reach it at
    127.0.0.1. ``masquerade_all`` hides every client's address. ``mark`` are bits set on what is to
    be masqueraded, ``mark_chain`` a foreign chain that marks it and whose owner masquerades.
    ``conditions`` are matches each rule has besides, by family.
    """

    snat: bool = False
    localhost: bool = False
    masquerade_all: bool = False
    mark: int = 0
    mark_chain: str = ""
    conditions_v4: tuple[str, ...] = ()
    conditions_v6: tuple[str, ...] = ()

    def conditions(self, family: int) -> tuple[str, ...]:
        """Return the conditions for a family."""
        return {IPV4: self.conditions_v4, IPV6: self.conditions_v6}[family]


def parse_traffic(section: Section) -> Traffic:
    """Return the options of a configuration, or raise ``CniError`` with the path of the field."""
    mark = 0
    mark_chain = section.string("externalSetMarkChain", "")
    if section.has("markMasqBit"):
        if mark_chain:
            refuse("markMasqBit", "cannot be given together with externalSetMarkChain")
        mark = 1 << section.integer("markMasqBit", 0, _HIGHEST_BIT)
    fault = find_fault(mark_chain) if mark_chain else ""
    if fault:
        refuse("externalSetMarkChain", f"{shown(mark_chain)} {fault}")
    return Traffic(
        snat=section.boolean("snat"),
        localhost=section.boolean("localhost"),
        masquerade_all=section.boolean("masqAll"),
        mark=mark,
        mark_chain=mark_chain,
        conditions_v4=_parse_conditions(section, "conditionsV4"),
        conditions_v6=_parse_conditions(section, "conditionsV6"),
    )


def parse_policy(section: Section, default: str) -> str:
    """Return what ``onConflict`` says."""
    policy = section.string("onConflict", default)
    if policy not in POLICIES:
        refuse("onConflict", f"{shown(policy)} is none of {', '.join(POLICIES)}", UNSUPPORTED_VALUE)
    return policy


def _parse_conditions(section: Section, key: str) -> tuple[str, ...]:
    """Return matches, one word an item: what would end a rule's matches or a line is refused."""
    words = section.strings(key)
    for index, word in enumerate(words):
        path = f"{key}[{index}]"
        if not word.isascii() or not word.isprintable() or any(each in word for each in _QUOTES):
            refuse(path, f"{shown(word)} must be one word, without quotes")
        if not word:
            refuse(path, "is empty")
        if not _is_match(word):
            refuse(path, f"{shown(word)} is no match; conditions only narrow a rule down")
    return words


_SHORT_OPTIONS = ("-s", "-d", "-i", "-o", "-p", "-m", "-f")
_COMMANDS = """
--append --check --delete --delete-chain --flush --goto --help --insert --jump --list --list-rules
--modprobe --new-chain --noflush --policy --rename-chain --replace --set-counters --table --verbose
--wait --wait-interval --zero
""".split()  # noqa: SIM905 - they read better as words


def _is_match(word: str) -> bool:
    """Tell whether a word can be part of a match, and nothing that acts or names a target.

    iptables takes any beginning of a long option that is no other's, and short ones with their
    value attached.
    """
    if word.startswith("--"):
        option = word.partition("=")[0]
        return option == "--set" or not any(each.startswith(option) for each in _COMMANDS)
    return not word.startswith("-") or word in _SHORT_OPTIONS
