"""What iptables-save prints of all tables, read into rules that can be followed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mesos_cni_port_mapper.explain import questions
from mesos_cni_port_mapper.explain.model import (
    ACCEPT,
    DNAT,
    DROP,
    REDIRECT,
    REJECT,
    RETURN,
    Base,
    End,
    Go,
    Hide,
    Lookup,
    Part,
    Rule,
    SetMark,
    Table,
    Translate,
    Unknown,
    Untrack,
)
from mesos_cni_port_mapper.explain.packet import Packet, Surroundings
from mesos_cni_port_mapper.portmap.listing import comment_of, parse_listing, split_words

_PRIORITIES = {"raw": -300, "mangle": -150, "nat": -100, "filter": 0, "security": 50}
_SOURCE_NAT = 100
"""Where the nat table stands when a packet leaves or has arrived (netfilter_ipv4.h)."""

_ENDS = {"ACCEPT": ACCEPT, "DROP": DROP, "REJECT": REJECT, "RETURN": RETURN}
_PASSING = frozenset(
    "LOG NFLOG AUDIT CHECKSUM CLASSIFY TCPMSS TRACE TEE DSCP TOS TTL HL SECMARK CONNSECMARK".split()  # noqa: SIM905
)
_FAMILY = {4: "ip", 6: "ip6"}


def parse_tables(
    data: bytes, world: str, family: int, order: Mapping[tuple[str, str, str], int]
) -> list[Table]:
    """Parse a whole listing.

    ``order`` is the place of base chains among those of nf_tables, by family, table and chain.
    """
    return [
        _parse_table(name, lines, world, family, order)
        for name, lines in _sections(data.decode("utf-8", "surrogateescape"))
    ]


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    name = ""
    lines: list[str] = []
    for line in text.split("\n"):
        if line.startswith("*") and not name:
            name, lines = line[1:].strip(), []
        elif line == "COMMIT" and name:
            yield name, lines
            name = ""
        elif name:
            lines.append(line)


def _parse_table(
    name: str,
    lines: list[str],
    world: str,
    family: int,
    order: Mapping[tuple[str, str, str], int],
) -> Table:
    listing = parse_listing("\n".join(lines).encode("utf-8", "surrogateescape"))
    policies = {
        line[1:].split(" ")[0]: line.split(" ")[1].lower() for line in lines if line.startswith(":")
    }
    word = _FAMILY[family]
    place = f"{world} table {word} {name}"
    return Table(
        world,
        word,
        name,
        chains={
            chain: tuple(_parse_rule(place, chain, text, listing.chains) for text in rules)
            for chain, rules in listing.chains.items()
        },
        bases={
            chain: Base(
                hook=chain.lower(),
                kind="nat" if name == "nat" else "filter",
                priority=_priority(name, chain),
                order=order.get((word, name, chain), 0),
                policy=policies[chain],
            )
            for chain in listing.built_in
        },
    )


def _priority(table: str, chain: str) -> int:
    if table == "nat" and chain in ("INPUT", "POSTROUTING"):
        return _SOURCE_NAT
    return _PRIORITIES.get(table, 0)


def _parse_rule(place: str, chain: str, text: str, chains: Mapping[str, object]) -> Rule:
    words = split_words(text)
    position = _target_in(words)
    comment = comment_of(text)
    matches = questions.parse_matches(words[:position])
    return Rule(place, chain, text, comment, (*matches, *_effects(words[position:], chains)))


def _target_in(words: list[str]) -> int:
    position = 0
    while position < len(words) and words[position] not in ("-j", "-g"):
        # A comment may look like a target.
        position += 2 if words[position] == "--comment" else 1
    return position


def _effects(words: list[str], chains: Mapping[str, object]) -> tuple[Part, ...]:
    if len(words) < 2:
        return ()
    target, options = words[1], words[2:]
    if words[0] == "-g" or target in chains:
        return (Go(target, stays=words[0] == "-g"),)
    if target in _ENDS:
        return (End(_ENDS[target]),)
    if target in ("DNAT", "REDIRECT"):
        return (_translation(target, options),)
    if target in ("MASQUERADE", "SNAT"):
        return (Hide(target.lower()),)
    return _changes(target, options)


def _changes(target: str, options: list[str]) -> tuple[Part, ...]:
    """Return what a target changes that does not end a chain."""
    if target == "MARK":
        return (_mark(options),)
    if target == "CT" and "--notrack" in options:
        return (Untrack(),)
    if target in _PASSING or target in ("CT", "CONNMARK"):
        return (SetMark(lambda _: None),) if "--restore-mark" in options else ()
    return (Unknown(" ".join([target, *options])),)


def _translation(target: str, options: list[str]) -> Part:
    if target == "REDIRECT":
        ports = _value(options, "--to-ports")
        return Lookup(lambda packet, _: Translate(REDIRECT, "", _port(ports, packet)))
    wanted = _value(options, "--to-destination")
    address, ports = _split_target(wanted)
    if not address:
        return Unknown(f"DNAT {wanted}")

    def find(packet: Packet, _: Surroundings) -> Translate:
        return Translate(DNAT, address, _port(ports, packet))

    return Lookup(find)


def _split_target(text: str) -> tuple[str, str]:
    """Split "10.0.0.2:80", "[fd00::2]:80-90/8080" or an address alone into address and ports."""
    if text.startswith("["):
        address, _, rest = text[1:].partition("]")
        return address, rest.removeprefix(":")
    if text.count(":") > 1:
        return text, ""
    address, _, ports = text.partition(":")
    return address, ports


def _port(text: str, packet: Packet) -> int:
    """Return the port that a target gives a packet: its own where it names none."""
    ports, _, base = text.partition("/")
    first, _, last = ports.partition("-")
    if not first.isdigit():
        return packet.port
    if base.isdigit():
        return int(first) + packet.port - int(base)
    return int(first) if last in ("", first) else 0


def _mark(options: list[str]) -> Part:
    text = _value(options, "--set-xmark")
    value, _, mask = text.partition("/")
    try:
        bits, cleared = int(value, 0), int(mask or "0xffffffff", 0)
    except ValueError:
        return SetMark(lambda _: None)
    return SetMark(lambda packet: _marked(packet.mark, bits, cleared))


def _marked(mark: int | None, bits: int, cleared: int) -> int | None:
    if cleared == 0xFFFFFFFF:
        return bits
    return None if mark is None else (mark & ~cleared) ^ bits


def _value(options: list[str], name: str) -> str:
    return options[options.index(name) + 1] if name in options[:-1] else ""
