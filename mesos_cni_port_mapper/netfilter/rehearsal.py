"""Forwarding as it would be done, without doing it.

The tools are real and so are their listings, but what changes a table is only checked, by the
tool's own way to check it (``iptables-restore --test``, ``nft -c``) and against the listing, and
kept. A batch that would be refused is refused here, and what comes after is what would come after.
"""

from __future__ import annotations

from mesos_cni_port_mapper.netfilter.backends import BackEnds
from mesos_cni_port_mapper.netfilter.existing import has_table
from mesos_cni_port_mapper.netfilter.forwarder import Forwarder
from mesos_cni_port_mapper.netfilter.gate import Gate
from mesos_cni_port_mapper.netfilter.iptables import Iptables
from mesos_cni_port_mapper.netfilter.nft import Nft
from mesos_cni_port_mapper.portmap.listing import Listing, split_words
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from mesos_cni_port_mapper.linux import process
    from mesos_cni_port_mapper.netfilter.record import Record
    from mesos_cni_port_mapper.netfilter.ruleset import RuleHandle
    from mesos_cni_port_mapper.portmap.registers import PackedElement


_BUILT_IN = ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")
"""Chains that are there as soon as somebody looks; a table is made by the first batch for it."""


class Batch(Value):
    """What a tool would be given: its arguments and its standard input.

    ``is_refused`` tells of one that the kernel would not take; another comes in its place.
    """

    argv: tuple[str, ...]
    script: str
    is_refused: bool = False


class _RehearsedIptables(Iptables):
    family: int
    tape: list[Batch]
    listings: dict[tuple[str, ...], process.Finished]

    def commit(self, *batches: tuple[str, Sequence[str]]) -> str:
        # The nft variant tests little more than the spelling.
        for table, lines in batches:
            listing = Listing(chains={}, built_in=frozenset())
            if has_table(self.family, table):
                listing = self.listing(table)
            refusal = find_refusal(listing, lines)
            if refusal:
                return refusal
        return super().commit(*batches)

    def delete(self, rules: Sequence[RuleHandle], generation: bytes) -> bool:  # noqa: ARG002
        """Delete nothing: what does the same by the tool is what is shown."""
        return False

    def run(self, argv: list[str], stdin: bytes) -> process.Finished:
        """Have a batch tested only."""
        if "--noflush" not in argv:
            known = self.listings.get(tuple(argv))
            if known is None:
                known = self.listings[tuple(argv)] = super().run(argv, stdin)
            return known
        done = super().run([*argv, "--test"], stdin)
        self.tape.append(_batch(argv, stdin, done))
        return done


class _RehearsedNft(Nft):
    tape: list[Batch]
    listings: dict[tuple[str, ...], process.Finished]

    def delete(self, elements: Mapping[int, Sequence[PackedElement]]) -> bool:  # noqa: ARG002
        """Delete nothing: what does the same by the tool is what is shown."""
        return False

    def run(self, argv: list[str], stdin: bytes) -> process.Finished:
        """Have a batch checked only."""
        if "-f" not in argv:
            known = self.listings.get(tuple(argv))
            if known is None:
                known = self.listings[tuple(argv)] = super().run(argv, stdin)
            return known
        done = super().run([argv[0], "-c", *argv[1:]], stdin)
        self.tape.append(_batch(argv, stdin, done))
        return done


class RehearsedBackEnds(BackEnds):
    """A host's tools that change nothing; ``tape`` has what they would have been given.

    A table is listed once, however often it is asked for.
    """

    def __init__(self, environ: Mapping[str, str], seconds: float) -> None:
        super().__init__(environ, seconds)
        self.tape: list[Batch] = []
        self._listings: dict[tuple[str, ...], process.Finished] = {}

    def nft(self, keep: tuple[int, ...] = ()) -> Nft:
        """Return the tool of nf_tables, which may not be there."""
        return _RehearsedNft(tape=self.tape, listings=self._listings, **_fields(super().nft(keep)))

    def _find(self, name: str) -> dict[int, Iptables]:
        return {
            family: _RehearsedIptables(
                family=family, tape=self.tape, listings=self._listings, **_fields(each)
            )
            for family, each in super()._find(name).items()
        }


class IdleGate(Gate):
    """A gate that stays as it is."""

    def open(self, *records: Record) -> None:
        """Do nothing."""

    def shut(self, *records: Record) -> None:
        """Do nothing."""

    def shut_unrecorded(self, own: set[str], others: set[str]) -> None:
        """Do nothing."""


class RehearsedForwarder(Forwarder):
    """Forwards with rehearsed tools, and leaves the kernel's parameters and flows alone.

    Its ledger must be a copy.
    """

    def _gate(self, records: Sequence[Record], *, opens: bool) -> None:
        """Do nothing."""

    def _forget_flows(self, record: Record, *, leaving: bool) -> list[str]:  # noqa: ARG002
        return []


def find_refusal(listing: Listing, lines: Sequence[str]) -> str:
    """Return the first line of a batch that cannot be carried out on a table, or ""."""
    chains = {
        name: [sorted(split_words(rule)) for rule in rules]
        for name, rules in listing.chains.items()
    }
    for name in _BUILT_IN:
        chains.setdefault(name, [])
    for line in lines:
        verb, name, rule = [*line.split(" ", 2), ""][:3]
        if not _carry_out(chains, verb, name, sorted(split_words(rule))):
            return line
    return ""


def _carry_out(chains: dict[str, list[list[str]]], verb: str, name: str, words: list[str]) -> bool:
    rules = chains.get(name)
    if verb == "-N":
        chains[name] = []
        return rules is None
    if rules is None or (verb in ("-C", "-D") and words not in rules):
        return False
    if verb == "-X":
        del chains[name]
    elif verb == "-D":
        rules.remove(words)
    elif verb in ("-A", "-I"):
        rules.append(words)
    return True


def _fields(value: Value) -> dict[str, Any]:
    return {name: getattr(value, name) for name in type(value).fields}


def _batch(argv: Sequence[str], stdin: bytes, done: process.Finished) -> Batch:
    return Batch(
        argv=tuple(argv),
        script=stdin.decode("utf-8", "surrogateescape"),
        is_refused=done.status != 0,
    )
