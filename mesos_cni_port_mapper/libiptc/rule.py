"""A rule's words turned into the bytes that the kernel is given."""

from __future__ import annotations

import ctypes
import socket

from mesos_cni_port_mapper.libiptc import family as bits
from mesos_cni_port_mapper.libiptc.bindings import libxtables
from mesos_cni_port_mapper.libiptc.extensions import (
    STANDARD,
    Extension,
    find_match,
    find_target,
)
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mesos_cni_port_mapper.libiptc.family import Family

_OF_HEADER = {
    b"-s": ("src", "smsk", bits.INVERTED_SOURCE),
    b"-d": ("dst", "dmsk", bits.INVERTED_DESTINATION),
    b"-i": ("iniface", "iniface_mask", bits.INVERTED_IN),
    b"-o": ("outiface", "outiface_mask", bits.INVERTED_OUT),
}
_ONCE = frozenset({*_OF_HEADER, b"-p", b"-f"})
_LONG = {
    b"--source": b"-s",
    b"--src": b"-s",
    b"--destination": b"-d",
    b"--dst": b"-d",
    b"--in-interface": b"-i",
    b"--out-interface": b"-o",
    b"--protocol": b"-p",
    b"--proto": b"-p",
    b"--fragment": b"-f",
    b"--match": b"-m",
    b"--jump": b"-j",
    b"--goto": b"-g",
}


class RuleError(ValueError):
    """A rule that cannot be understood; the message says why."""


class Encoded(Value):
    """A rule's bytes, and a mask with ones where they tell it from another."""

    data: bytes
    mask: bytes


def encode_rule(
    words: Sequence[bytes], family: Family, is_chain: Callable[[bytes], bool]
) -> Encoded:
    """Encode a rule of iptables-restore's words. Whether a target is a chain depends on the table.

    Raises ``RuleError``, or ends the program with libxtables' own words.
    """
    rule = _Rule(family, is_chain)
    place = 0
    while place < len(words):
        inverted = words[place] == b"!"
        place += inverted
        if place == len(words):
            raise RuleError("nothing follows the !")
        place = rule.take(words, place, inverted=inverted)
    return rule.encode()


class _Rule:
    def __init__(self, family: Family, is_chain: Callable[[bytes], bool]) -> None:
        self.family = family
        self.is_chain = is_chain
        self.entry = family.entry()
        self.header = family.header(self.entry)
        self.matches: list[Extension] = []
        self.target: Extension | None = None
        self.protocol = b""
        self.given: set[bytes] = set()

    def take(self, words: Sequence[bytes], place: int, *, inverted: bool) -> int:
        """Take in the option at a place, and return the place of the next."""
        name = _LONG.get(words[place], words[place])
        if name in self.given:
            # The second would undo the first, and the rule match what neither says.
            raise RuleError(f"{_text(name)} is given twice")
        self.given |= {name} & _ONCE
        if name == b"-f" and self.family is bits.IPV4:
            self.header.flags |= bits.FRAGMENT
            self.header.invflags |= bits.INVERTED_FRAGMENT if inverted else 0
            return place + 1
        if name in (*_OF_HEADER, b"-p", b"-m", b"-j", b"-g"):
            if place + 1 == len(words):
                raise RuleError(f"nothing follows {_text(name)}")
            self._take_own(name, words[place + 1], inverted=inverted)
            return place + 2
        return self._take_of_extension(words, place, inverted=inverted)

    def _take_own(self, name: bytes, value: bytes, *, inverted: bool) -> None:
        if inverted and name in (b"-m", b"-j", b"-g"):
            raise RuleError(f"{_text(name)} cannot be inverted")
        if name in _OF_HEADER:
            first, second, bit = _OF_HEADER[name]
            take = self._take_address if name in (b"-s", b"-d") else self._take_interface
            take(value, first, second)
            self.header.invflags |= bit if inverted else 0
        elif name == b"-p":
            self._take_protocol(value, inverted=inverted)
        elif name == b"-m":
            self._match(value)
        else:
            self._lead_to(value, goto=name == b"-g")

    def _take_address(self, value: bytes, address: str, mask: str) -> None:
        text, _, length = _text(value).partition("/")
        version = socket.AF_INET if self.family is bits.IPV4 else socket.AF_INET6
        size = self.family.address
        try:
            if length.isdigit() or not length:
                ones = int(length) if length else 8 * size
                masked = _mask_of(ones, size)
            else:
                masked = socket.inet_pton(version, length)
            found = socket.inet_pton(version, text)
        except (OSError, ValueError) as error:
            raise RuleError(f"{_text(value)} is no address of IPv{self.family.number}") from error
        kind = type(getattr(self.header, address))
        network = bytes(one & other for one, other in zip(found, masked, strict=True))
        setattr(self.header, address, kind.from_buffer_copy(network))
        setattr(self.header, mask, kind.from_buffer_copy(masked))

    def _take_interface(self, value: bytes, interface: str, mask: str) -> None:
        start = ctypes.addressof(self.header)
        fields = [getattr(type(self.header), name).offset for name in (interface, mask)]
        libxtables.xtables_parse_interface(
            value, *[ctypes.c_void_p(start + offset) for offset in fields]
        )

    def _take_protocol(self, value: bytes, *, inverted: bool) -> None:
        self.protocol = value.lower()
        self.header.proto = libxtables.xtables_parse_protocol(self.protocol)
        if self.header.proto == 0 and inverted:
            raise RuleError("a rule for no protocol would never match")
        self.header.invflags |= bits.INVERTED_PROTOCOL if inverted else 0
        if self.family is bits.IPV6 and self.header.proto:
            self.header.flags |= bits.PROTOCOL_COUNTS

    def _match(self, name: bytes) -> Extension:
        found = find_match(name)
        if found is None:
            raise RuleError(f"there is no match {_text(name)}")
        self.matches.append(Extension(found))
        return self.matches[-1]

    def _lead_to(self, name: bytes, *, goto: bool) -> None:
        if self.target:
            raise RuleError("a rule has one target")
        chain = self.is_chain(name)
        if goto and not chain:
            raise RuleError(f"there is no chain {_text(name)}")
        found = find_target(b"standard" if chain else name)
        if found is None:
            raise RuleError(f"there is no chain or target {_text(name)}")
        self.target = Extension(found)
        if chain or name in STANDARD:
            self.target.rename(name)
        self.header.flags |= self.family.goto if goto else 0

    def _take_of_extension(self, words: Sequence[bytes], place: int, *, inverted: bool) -> int:
        word = words[place]
        if not word.startswith(b"--"):
            raise RuleError(f"{_text(word)} is no option")
        # An option is the target's, where that knows it, or else the last match's that does.
        candidates = [*([self.target] if self.target else []), *reversed(self.matches)]
        for extension in candidates:
            found = extension.find_option(word[2:])
            if found:
                return self._give(extension, found, words, place, inverted=inverted)
        # A protocol's options need no -m.
        if self.protocol and self.protocol not in [match.name for match in self.matches]:
            match = self._match(self.protocol)
            found = match.find_option(word[2:])
            if found:
                return self._give(match, found, words, place, inverted=inverted)
        raise RuleError(f"no match or target of the rule knows {_text(word)}")

    def _give(
        self,
        extension: Extension,
        option: tuple[int, bool],
        words: Sequence[bytes],
        place: int,
        *,
        inverted: bool,
    ) -> int:
        number, has_value = option
        if place + has_value >= len(words):
            raise RuleError(f"nothing follows {_text(words[place])}")
        after = place + 1 + has_value
        return extension.parse(number, words, after, self.entry, no=inverted)

    def encode(self) -> Encoded:
        standard = find_target(b"standard")
        target = self.target or Extension(standard)
        if not self.target:
            # A rule that only counts: the verdict without a name goes on to the next.
            target.rename(b"")
        parts = [*self.matches, target]
        for part in parts:
            part.finish()
        matches = sum(match.size for match in self.matches)
        self.entry.target_offset = self.family.entry_size + matches
        self.entry.next_offset = self.entry.target_offset + target.size
        head = bytes(self.entry).ljust(self.family.entry_size, b"\0")
        return Encoded(
            data=head + b"".join([part.data() for part in parts]),
            mask=b"\xff" * len(head) + b"".join([part.mask() for part in parts]),
        )


def _mask_of(ones: int, size: int) -> bytes:
    if ones > 8 * size:
        raise ValueError("longer than an address")
    return ((1 << 8 * size) - (1 << 8 * size - ones)).to_bytes(size, "big")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
