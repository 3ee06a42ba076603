"""The tables hold what they must, and the documentation says the same."""

from collections import Counter
from pathlib import Path

import pytest

from tests.netns.parity.cases import VERSIONS
from tests.netns.parity.differences import KNOWN
from tests.netns.parity.known import Fact, Known, Like, judge, render
from tests.netns.parity.table import BY_ID, CASES

PAGE = Path(__file__).resolve().parents[3] / "docs" / "parity.md"
PROMISED = {"bridge": 60, "host-local": 40}
PROMISED_OF_OTHERS = 20

_KNOWN = Known("title", "reason", [Fact("ADD c1: code", 999, 7)], "case\n", versions=("1.0.0",))


def test_there_are_as_many_cases_in_every_version_as_promised() -> None:
    counts = Counter(case.plugin for case in CASES if case.versions == VERSIONS)
    others = sum(count for plugin, count in counts.items() if plugin not in PROMISED)

    assert {plugin: counts[plugin] >= least for plugin, least in PROMISED.items()} == {
        "bridge": True,
        "host-local": True,
    }
    assert others >= PROMISED_OF_OTHERS


def test_every_plugin_has_cases_in_every_version() -> None:
    plugins = {case.plugin for case in CASES if case.versions == VERSIONS}

    assert plugins == {"bridge", "host-local", "loopback", "macvlan", "ptp", "static"}


def test_no_two_cases_have_one_name() -> None:
    assert len(BY_ID) == len(CASES)


def test_known_differences_are_of_cases_that_there_are() -> None:
    names = {name for known in KNOWN for name in known.names}

    assert names - set(BY_ID) == set()


def test_no_difference_names_a_case_twice() -> None:
    assert [known.title for known in KNOWN if len(set(known.names)) != len(known.names)] == []


def test_the_documentation_lists_every_difference() -> None:
    assert render(KNOWN) in PAGE.read_text()


@pytest.mark.parametrize(
    ("version", "seen", "complaints"),
    [
        ("1.0.0", {"1 ADD c1: code": (999, 7)}, set()),
        ("1.0.0", {"1 ADD c1: code": (999, 4)}, {"1 ADD c1: code", "title"}),
        ("1.0.0", {}, {"title"}),
        ("0.4.0", {}, set()),
        ("0.4.0", {"1 ADD c1: code": (999, 7)}, {"1 ADD c1: code"}),
    ],
)
def test_a_known_difference_is_that_and_no_other(
    version: str, seen: dict[str, tuple[object, object]], complaints: set[str]
) -> None:
    assert judge([_KNOWN], "case", version, seen).keys() == complaints


def test_what_is_known_of_one_case_is_not_of_another() -> None:
    seen = {"1 ADD c1: code": (999, 7)}

    assert judge([_KNOWN], "another", "1.0.0", seen) == seen


def test_a_pattern_is_that_of_the_whole() -> None:
    assert Like("a+") == "aa"
    assert Like("a+") != "aab"
    assert Like("a+") != 5
