"""For which packets a rule is, read out of its text, and what becomes of them.

That takes no part in changing a table, where a rule is repeated as it was printed. It tells which
rules of others have to do with a port of ours.
"""

from __future__ import annotations

from mesos_cni_port_mapper.portmap.listing import split_words
from mesos_cni_port_mapper.portmap.mapping import HIGHEST_PORT
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesos_cni_port_mapper.portmap.rule import Rule

    Ranges = tuple[tuple[int, int], ...]

ALL_PORTS = ((1, HIGHEST_PORT),)
_NAMING_MODULES = ("tcp", "udp", "sctp", "multiport", "comment")
"""Modules that match nothing by themselves."""


class Scope(Value):
    """What a rule asks of a packet, and its ``target``, "" where it has none.

    ``protocol`` and ``destination`` are "" for any, ``ports`` are ranges with both their ends.
    ``narrowed`` says that it asks for more than that, so that it may pass over packets that have
    it all. To leave one device out is not to ask for more: all the others remain.
    """

    target: str = ""
    protocol: str = ""
    destination: str = ""
    ports: Ranges = ALL_PORTS
    narrowed: bool = False

    def has_port_of(self, wanted: Rule) -> bool:
        """Tell whether it is for a protocol and a port that a rule of ours is for."""
        last_wanted = wanted.host_port + wanted.port_count - 1
        return self.protocol in ("", wanted.protocol) and any(
            first <= last_wanted and wanted.host_port <= last for first, last in self.ports
        )


def scope_of(rule: str) -> Scope:
    """Return what the text of a rule says, as iptables-save prints it."""
    words = split_words(rule)
    scope = Scope()
    position = 0
    while position < len(words) - 1:
        is_negated = words[position] == "!"
        position += is_negated
        option, value = words[position], "".join(words[position + 1 : position + 2])
        if option in ("-j", "-g"):
            return scope.but(target=value)
        known = _OPTIONS.get(option)
        scope = known(scope, value, is_negated) if known else scope.but(narrowed=True)
        # How many values an option has that is not known is not known either.
        position += 2 if known else 1
    return scope


def _read_protocol(scope: Scope, value: str, is_negated: bool) -> Scope:
    return scope.but(narrowed=True) if is_negated else scope.but(protocol=value)


def _read_destination(scope: Scope, value: str, is_negated: bool) -> Scope:
    return scope.but(narrowed=True) if is_negated else scope.but(destination=value)


def _read_ports(scope: Scope, value: str, is_negated: bool) -> Scope:
    ranges = _ranges(value.split(","))
    return scope.but(narrowed=True) if is_negated or not ranges else scope.but(ports=ranges)


def _read_device(scope: Scope, _value: str, is_negated: bool) -> Scope:
    return scope if is_negated else scope.but(narrowed=True)


def _read_module(scope: Scope, value: str, _is_negated: bool) -> Scope:
    return scope if value in _NAMING_MODULES else scope.but(narrowed=True)


def _read_comment(scope: Scope, _value: str, _is_negated: bool) -> Scope:
    return scope


_OPTIONS = {
    "-p": _read_protocol,
    "-d": _read_destination,
    "-i": _read_device,
    "-m": _read_module,
    "--dport": _read_ports,
    "--dports": _read_ports,
    "--comment": _read_comment,
}


def _ranges(parts: Sequence[str]) -> Ranges:
    """Return ranges of ports as "80", "80:90", ":90" or "80:" spell them; none if one is not."""
    ranges = []
    for part in parts:
        first, colon, last = part.partition(":")
        ends = (first or "0", last or (str(HIGHEST_PORT) if colon else first))
        if not part or not all(end.isascii() and end.isdigit() for end in ends):
            return ()
        ranges.append((int(ends[0]), int(ends[1])))
    return tuple(ranges)
