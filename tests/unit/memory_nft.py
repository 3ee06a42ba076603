"""Tables of nf_tables in memory, which carry out what nft(8) is told: all of it or nothing.

What this takes for granted is compared with the kernel in ``tests/netns/test_nft_semantics.py``.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mesos_cni_port_mapper.portmap.elements import Element
from mesos_cni_port_mapper.portmap.nft_listing import Held, NftListing
from mesos_cni_port_mapper.portmap.registers import PackedElement, pack_elements
from tests.unit.memory_table import RefusedError

FAMILIES = {"ip": 4, "ip6": 6}


@dataclass
class Container:
    """A set, or with a kind of value a map."""

    kind: str
    elements: dict[str, Held] = field(default_factory=dict)

    @property
    def fields(self) -> list[str]:
        return self.kind.partition(";")[0].partition(" : ")[0].split(" . ")

    @property
    def is_map(self) -> bool:
        return " : " in self.kind

    @property
    def has_ranges(self) -> bool:
        return "flags interval" in self.kind


@dataclass
class Chain:
    """What hooks a chain, "" for nothing, and its rules."""

    hook: str
    rules: list[str] = field(default_factory=list)


@dataclass
class Table:
    containers: dict[str, Container] = field(default_factory=dict)
    chains: dict[str, Chain] = field(default_factory=dict)

    def copy(self) -> "Table":
        return Table(
            {
                name: Container(each.kind, dict(each.elements))
                for name, each in self.containers.items()
            },
            {name: Chain(each.hook, list(each.rules)) for name, each in self.chains.items()},
        )


class MemoryNft:
    """The tables of both families."""

    def __init__(self) -> None:
        self.tables: dict[int, Table] = {}

    def carry_out(self, lines: Sequence[str]) -> None:
        """Carry out a batch, or raise ``RefusedError`` and leave everything as it was."""
        before = {family: table.copy() for family, table in self.tables.items()}
        for line in lines:
            try:
                self._carry_out(line)
            except RefusedError as refusal:
                self.tables = before
                raise RefusedError(f"{line}: {refusal}") from None

    def delete(self, elements: Mapping[int, Sequence[PackedElement]]) -> None:
        """Delete elements that are as they should be or gone, or raise and delete none."""
        found = []
        for family, some in elements.items():
            containers = _known(self.tables, family).containers
            for each in some:
                held = {pack(key): key for key in _known(containers, each.container).elements}
                key = held.get(each.key)
                if key is not None:
                    found.append((containers[each.container].elements, key))
                    if pack(found[-1][0][key].value) != each.value:
                        raise RefusedError(f"{key} has another value")
        for present, key in found:
            del present[key]

    def listing(self, family: int) -> NftListing | None:
        """Return a table as it is listed, or nothing where there is none."""
        table = self.tables.get(family)
        if table is None:
            return None
        return NftListing(
            containers={name: dict(each.elements) for name, each in table.containers.items()},
            chains={
                name: (each.hook, tuple(_comment_of(rule) for rule in each.rules))
                for name, each in table.chains.items()
            },
        )

    def _carry_out(self, line: str) -> None:
        verb, kind, family, _, *rest = line.split(" ", 4)
        name, _, words = (rest[0] if rest else "").partition(" ")
        if kind == "table":
            self._table(verb, FAMILIES[family])
        else:
            table = _known(self.tables, FAMILIES[family])
            getattr(self, f"_{verb}_{kind}")(table, name, words)

    def _table(self, verb: str, family: int) -> None:
        if verb == "create" and family in self.tables:
            raise RefusedError("the table exists")
        if verb == "delete":
            if family not in self.tables:
                raise RefusedError("no such table")
            del self.tables[family]
        else:
            self.tables.setdefault(family, Table())

    def _add_set(self, table: Table, name: str, words: str) -> None:
        kind = words.strip("{} ;").removeprefix("type ")
        if table.containers.setdefault(name, Container(kind)).kind != kind:
            raise RefusedError("it exists and is of another kind")

    _add_map = _add_set

    def _add_chain(self, table: Table, name: str, words: str) -> None:
        hook = words.strip("{} ;")
        present = table.chains.setdefault(name, Chain(hook))
        if hook and present.hook != hook:
            raise RefusedError("it exists and is hooked otherwise")

    def _flush_chain(self, table: Table, name: str, _: str) -> None:
        _known(table.chains, name).rules.clear()

    def _delete_chain(self, table: Table, name: str, _: str) -> None:
        _known(table.chains, name)
        if name in _targets(table):
            raise RefusedError("the chain is in use")
        del table.chains[name]

    def _add_rule(self, table: Table, name: str, words: str) -> None:
        chain = _known(table.chains, name)
        for container in re.findall(r"@(\S+)", words):
            _known(table.containers, container)
        for target in _targets_of(words):
            _known(table.chains, target)
        chain.rules.append(words)

    def _add_element(self, table: Table, name: str, words: str) -> None:
        container = _known(table.containers, name)
        for text in _elements_in(words):
            key, comment, value = _parts_of(text)
            _insist(container, key, value)
            for target in _targets_of(value):
                _known(table.chains, target)
            present = container.elements.get(key)
            if present is not None:
                if present.value != value:
                    raise RefusedError("File exists")
                continue
            if any(_overlap(key, other) for other in container.elements):
                raise RefusedError("interval overlaps with an existing one")
            container.elements[key] = Held(value=value, comment=comment)

    def _delete_element(self, table: Table, name: str, words: str) -> None:
        container = _known(table.containers, name)
        for text in _elements_in(words):
            key = text.replace('"', "")
            if container.has_ranges:
                # The kernel looks for what holds a range's beginning (nft_set_pipapo.c).
                *others, ports = key.split(" . ")
                start = " . ".join([*others, f"{_range_of(ports)[0]}-{_range_of(ports)[0]}"])
                key = next((each for each in container.elements if _overlap(each, start)), key)
            if container.elements.pop(key, None) is None:
                raise RefusedError("no such element")


def pack(text: str) -> bytes:
    """Return a key or a value as the kernel has it."""
    (packed,) = pack_elements([Element(container="any", key=text)])
    return packed.key


def _known(things: Mapping[Any, Any], name: Any) -> Any:
    if name not in things:
        raise RefusedError("No such file or directory")
    return things[name]


def _elements_in(words: str) -> list[str]:
    return words.removeprefix("{ ").removesuffix(" }").split(", ")


def _parts_of(text: str) -> tuple[str, str, str]:
    """Return an element's key, its comment and its value."""
    found = re.fullmatch(r'(.*?)(?: comment "([^"]*)")?(?: : (.*))?', text)
    assert found is not None
    key, comment, value = found.groups(default="")
    return key.replace('"', ""), comment, value


def _insist(container: Container, key: str, value: str) -> None:
    """Refuse what is not of the container's kind."""
    parts = key.split(" . ")
    if len(parts) != len(container.fields) or bool(value) != container.is_map:
        raise RefusedError("wrong kind of element")
    for kind, part in zip(container.fields, parts, strict=True):
        pattern = {
            "ipv4_addr": r"[\d.]+",
            "ipv6_addr": r"[\da-f:.]+:[\da-f:.]*",
            "inet_proto": "tcp|udp|sctp",
            "inet_service": r"\d+(-\d+)?" if container.has_ranges else r"\d+",
            "ifname": r"\S+",
        }[kind]
        if re.fullmatch(pattern, part) is None:
            raise RefusedError(f"{part} is no {kind}")


def _overlap(key: str, other: str) -> bool:
    *words, ports = key.split(" . ")
    *others, other_ports = other.split(" . ")
    if words != others or "-" not in ports + other_ports:
        return False
    (first, last), (start, end) = _range_of(ports), _range_of(other_ports)
    return first <= end and start <= last


def _range_of(ports: str) -> tuple[int, int]:
    first, _, last = ports.partition("-")
    return int(first), int(last or first)


def _targets(table: Table) -> set[str]:
    """Return the chains that anything leads to."""
    return {target for text in _texts(table) for target in _targets_of(text)}


def _texts(table: Table) -> Iterator[str]:
    for chain in table.chains.values():
        yield from chain.rules
    for container in table.containers.values():
        yield from [held.value for held in container.elements.values()]


def _targets_of(text: str) -> list[str]:
    return re.findall(r"(?:jump|goto) (\S+)", text)


def _comment_of(rule: str) -> str:
    words = shlex.split(rule)
    return words[words.index("comment") + 1] if "comment" in words else ""
