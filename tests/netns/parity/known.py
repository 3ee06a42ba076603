"""Differences from Debian's plugins that are meant, and nothing but those."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.netns.parity.cases import VERSIONS

Pair = tuple[Any, Any]


@dataclass(frozen=True)
class Like:
    """Any text of a pattern."""

    pattern: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and re.fullmatch(self.pattern, other) is not None

    def __hash__(self) -> int:
        return hash(self.pattern)


ANYTHING = Like(r"(?s).*")


@dataclass(frozen=True)
class Fact:
    """One thing that differs: its key as a pattern, without the step's number; theirs and ours."""

    key: str
    theirs: Any
    ours: Any

    def covers(self, key: str, pair: Pair) -> bool:
        """Tell whether this is the difference that was seen."""
        what = key.partition(" ")[2]
        return re.fullmatch(self.key, what) is not None and (self.theirs, self.ours) == pair


@dataclass(frozen=True)
class Known:
    """One deliberate difference, and the cases, a line each, in which it shows without fail."""

    title: str
    reason: str
    facts: Sequence[Fact]
    cases: str
    versions: Sequence[str] = VERSIONS

    def shows_in(self, case: str, version: str) -> bool:
        """Tell whether the difference shows in a case, by its ID, and version."""
        return version in self.versions and case in self.names

    @property
    def names(self) -> list[str]:
        """Return the IDs of the cases."""
        return self.cases.strip().splitlines()


def judge(
    table: Iterable[Known], case: str, version: str, seen: Mapping[str, Pair]
) -> dict[str, Any]:
    """Return what was seen and is not known, and what is known and was not seen; hopefully nothing.

    Every fact that was seen has to be one of a difference listed for the case, and every
    difference listed for it has to show.
    """
    listed = [known for known in table if known.shows_in(case, version)]
    unknown: dict[str, Any] = {}
    shown = set()
    for key, pair in seen.items():
        covering = [
            known.title for known in listed if any(fact.covers(key, pair) for fact in known.facts)
        ]
        shown.update(covering)
        if not covering:
            unknown[key] = pair
    missing = {known.title: "does not show any more" for known in listed} if listed else {}
    return unknown | {title: words for title, words in missing.items() if title not in shown}


def render(table: Iterable[Known]) -> str:
    """Return the table of the documentation, in Markdown."""
    rows = [f"| {known.title} | {known.reason} | {_examples(known)} |" for known in table]
    return "\n".join(["| difference | reason | shown by |", "|---|---|---|", *rows])


def _examples(known: Known) -> str:
    first, *others = (f"`{name}`" for name in known.names)
    return f"{first} and {len(others)} more" if others else first
