"""How forwarded traffic is treated besides: the options ADD and CHECK have for it."""

from __future__ import annotations

from mesos_cni_port_mapper.cni.errors import UNSUPPORTED_VALUE
from mesos_cni_port_mapper.cni.fields import Section, refuse, shown
from mesos_cni_port_mapper.portmap.chains import find_fault
from mesos_cni_port_mapper.portmap.rule import IPV4, IPV6
from mesos_cni_port_mapper.value import Value

BACK_ENDS = IPTABLES, LIBIPTC, NFTABLES = "iptables", "libiptc", "nftables"
"""What can make the kernel agree with a plan, as ``backend`` names it."""

FAIL, TAKEOVER, IGNORE, STRICT = "fail", "takeover", "ignore", "strict"
POLICIES = (FAIL, TAKEOVER, IGNORE, STRICT)
"""What happens to a port that somebody has already, under ``onConflict``."""

_HIGHEST_BIT = 31


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


def parse_traffic(section: Section, backend: str) -> Traffic:
    """Return the options of a configuration, or raise ``CniError`` with the path of the field.

    Conditions are in the words of what ``backend`` speaks to: iptables(8) or nft(8).
    """
    mark = 0
    mark_chain = section.string("externalSetMarkChain", "")
    if section.has("markMasqBit"):
        if mark_chain:
            refuse("markMasqBit", "cannot be given together with externalSetMarkChain")
        mark = 1 << section.integer("markMasqBit", 0, _HIGHEST_BIT)
    if mark_chain and backend == NFTABLES:
        refuse(
            "externalSetMarkChain",
            "is a chain of iptables, out of nftables' reach",
            UNSUPPORTED_VALUE,
        )
    fault = find_fault(mark_chain) if mark_chain else ""
    if fault:
        refuse("externalSetMarkChain", f"{shown(mark_chain)} {fault}")
    return Traffic(
        snat=section.boolean("snat"),
        localhost=section.boolean("localhost"),
        masquerade_all=section.boolean("masqAll"),
        mark=mark,
        mark_chain=mark_chain,
        conditions_v4=_parse_conditions(section, "conditionsV4", backend),
        conditions_v6=_parse_conditions(section, "conditionsV6", backend),
    )


def parse_policy(section: Section, default: str) -> str:
    """Return what ``onConflict`` says."""
    policy = section.string("onConflict", default)
    if policy not in POLICIES:
        refuse("onConflict", f"{shown(policy)} is none of {', '.join(POLICIES)}", UNSUPPORTED_VALUE)
    return policy


def _parse_conditions(section: Section, key: str, backend: str) -> tuple[str, ...]:
    """Return matches, one word an item."""
    words = section.strings(key)
    if words:
        from mesos_cni_port_mapper.portmap import conditions

        fault = conditions.find_nft_fault if backend == NFTABLES else conditions.find_fault
        for index, word in enumerate(words):
            wrong = fault(word)
            if wrong:
                refuse(f"{key}[{index}]", wrong)
    return words
