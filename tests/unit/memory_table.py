"""A table in memory that carries out batches as iptables-restore does: whole or not at all."""

import copy
import shlex
from collections.abc import Sequence
from itertools import pairwise

from mesos_cni_port_mapper.portmap.listing import Listing, parse_listing
from mesos_cni_port_mapper.portmap.rule import IPV4, IPV6, NAT, RAW

BUILT_IN = {
    NAT: ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    RAW: ("PREROUTING", "OUTPUT"),
}
TARGETS = {
    NAT: ("ACCEPT", "DNAT", "LOG", "MARK", "MASQUERADE", "RETURN"),
    RAW: ("ACCEPT", "DROP", "LOG", "MARK", "RETURN"),
}
ADDRESS_OPTIONS = ("-s", "-d", "--to-destination")


class RefusedError(Exception):
    """A line could not be carried out; the table is as it was."""


class MemoryTable:
    """Chains of rules, each the text that iptables-save would print."""

    def __init__(self, name: str = NAT, family: int = IPV4) -> None:
        self.name = name
        self.family = family
        self.built_in = BUILT_IN[name]
        self.chains: dict[str, list[str]] = {chain: [] for chain in self.built_in}

    def restore(self, lines: Sequence[str]) -> None:
        """Carry out a batch, or raise ``RefusedError`` and leave everything as it was."""
        before = copy.deepcopy(self.chains)
        for line in lines:
            command, _, rest = line.partition(" ")
            chain, _, rule = rest.partition(" ")
            try:
                getattr(self, _METHODS[command])(chain, rule)
            except RefusedError as refusal:
                self.chains = before
                raise RefusedError(f"{line}: {refusal}") from None

    def save(self) -> bytes:
        """Print the table as iptables-save does."""
        heads = [
            f":{chain} {'ACCEPT' if chain in self.built_in else '-'} [0:0]" for chain in self.chains
        ]
        rules = [f"-A {chain} {rule}" for chain, rules in self.chains.items() for rule in rules]
        return "\n".join([f"*{self.name}", *heads, *rules, "COMMIT", ""]).encode()

    def listing(self) -> Listing:
        """Return the table as it is listed."""
        return parse_listing(self.save())

    def leading_to(self, chain: str) -> list[tuple[str, str]]:
        """Return every rule that jumps or goes to a chain."""
        return [
            (other, rule)
            for other, rules in self.chains.items()
            for rule in rules
            if target_of(rule) == chain
        ]

    def _rules(self, chain: str) -> list[str]:
        if chain not in self.chains:
            raise RefusedError("no such chain")
        return self.chains[chain]

    def _create(self, chain: str, _rule: str) -> None:
        if chain in self.chains:
            raise RefusedError("the chain exists")
        self.chains[chain] = []

    def _append(self, chain: str, rule: str) -> None:
        self._insert(chain, rule, len(self._rules(chain)))

    def _insert(self, chain: str, rule: str, position: int = 0) -> None:
        if target_of(rule) not in (*TARGETS[self.name], *self.chains):
            raise RefusedError("no such target")
        words = shlex.split(rule)
        addresses = [value for option, value in pairwise(words) if option in ADDRESS_OPTIONS]
        if any(is_ipv6(address) != (self.family == IPV6) for address in addresses):
            raise RefusedError("an address of the other family")
        self._rules(chain).insert(position, rule)

    def _position(self, chain: str, rule: str) -> int:
        words = [shlex.split(present) for present in self._rules(chain)]
        if shlex.split(rule) not in words:
            raise RefusedError("no such rule")
        return words.index(shlex.split(rule))

    def _delete(self, chain: str, rule: str) -> None:
        del self.chains[chain][self._position(chain, rule)]

    def _destroy(self, chain: str, _rule: str) -> None:
        if self._rules(chain) or chain in self.built_in or self.leading_to(chain):
            raise RefusedError("the chain is in use")
        del self.chains[chain]


_METHODS = {
    "-N": "_create",
    "-A": "_append",
    "-I": "_insert",
    "-D": "_delete",
    "-C": "_position",
    "-X": "_destroy",
}


def is_ipv6(address: str) -> bool:
    """Tell of which family an address is that may have a port or a prefix behind it."""
    return ":" in address.rpartition(":")[0]


def target_of(rule: str) -> str:
    """Return where a rule leads."""
    words = shlex.split(rule)
    options = [
        (option, value)
        for before, option, value in zip(["", *words], words, words[1:], strict=False)
        if before != "--comment"
    ]
    return next((value for option, value in options if option in ("-j", "-g")), "")


def comment_of(rule: str) -> str:
    """Return the comment of a rule, or ""."""
    words = shlex.split(rule)
    return words[words.index("--comment") + 1] if "--comment" in words else ""
