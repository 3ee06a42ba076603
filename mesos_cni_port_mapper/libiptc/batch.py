"""A batch for one table, in the words of iptables-restore: what is asked for, line by line."""

from __future__ import annotations

from mesos_cni_port_mapper.portmap.listing import split_words
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

WITHOUT_RULE = ("-N", "-X")
WITH_RULE = ("-A", "-I", "-D", "-C")


class BatchError(ValueError):
    """A batch, or a line of it, that cannot be understood."""


class Line(Value):
    """One change: its number in the batch, the command, its chain, and the words of its rule."""

    number: int
    text: str
    command: str
    chain: bytes
    words: tuple[bytes, ...]


class Batch(Value):
    """Changes to one table, in their order."""

    table: str
    lines: tuple[Line, ...]


def parse_batch(data: bytes) -> Batch:
    """Parse ``*TABLE``, changes and ``COMMIT``, or raise ``BatchError``."""
    texts = list(_numbered(data.decode("utf-8", "surrogateescape")))
    if len(texts) < 2 or not texts[0][1].startswith("*") or texts[-1][1] != "COMMIT":
        raise BatchError("a batch is *TABLE, changes and COMMIT, each in a line of its own")
    return Batch(
        table=texts[0][1][1:],
        lines=tuple(_parse_line(number, text) for number, text in texts[1:-1]),
    )


def _numbered(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.startswith("#"):
            yield number, line.strip()


def _parse_line(number: int, text: str) -> Line:
    if text.replace("\\\\", "").replace('\\"', "").count('"') % 2:
        raise BatchError(f"line {number}: the quotes do not end: {text}")
    words = [word.encode("utf-8", "surrogateescape") for word in split_words(text) if word]
    command = words[0].decode("utf-8", "surrogateescape")
    if command not in WITHOUT_RULE + WITH_RULE:
        raise BatchError(f"line {number}: {command} is not understood: {text}")
    if len(words) < 2 or (command in WITHOUT_RULE and len(words) > 2):
        raise BatchError(f"line {number}: {command} wants a chain and nothing else: {text}")
    return Line(number=number, text=text, command=command, chain=words[1], words=tuple(words[2:]))
