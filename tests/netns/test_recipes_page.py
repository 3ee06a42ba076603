"""docs/recipes.md: each of its commands is run, and prints what the page says."""

from pathlib import Path

import pytest

from tests.netns.recipes import Step, matches, parse_sections, parse_transcript, run_steps
from tests.support.gate import need
from tests.support.host import Host

PAGE = Path(__file__).parents[2] / "docs/recipes.md"
BEFORE, *SECTIONS = SECTIONED = parse_sections(PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("heading", SECTIONS)
@pytest.mark.usefixtures("frozen", "delegates_dir")
def test_the_page_says_what_happens(host: Host, heading: str) -> None:
    need("python3")
    steps = [*SECTIONED[BEFORE], *SECTIONED[heading]]

    for step, seen in zip(steps, run_steps(host, steps), strict=True):
        shown = "\n".join(["", step.command, *seen, "", "the page says:", *step.output])
        assert matches(step.output, seen), shown

    # A reader who has followed the page to its end has nothing to tidy up.
    assert host.processes() == {}
    assert host.ruleset() == []
    left = [path for name in ("mesos", "netns") for path in host.path(f"/run/{name}").rglob("*")]
    assert [path for path in left if not path.is_dir()] == []


def test_a_page_that_is_wrong_is_found_out() -> None:
    seen = ["2: eth0@if4: <UP> mtu 1500", "    link/ether 0a:58:0a:17:00:03 link-netnsid 0"]

    assert matches(["3: eth0@if9: <UP> mtu 1500", "..."], seen)
    assert matches(["3: eth0: <UP> mtu 1500", "    link/ether 0a:58:0a:17:00:04"], seen)
    assert not matches(["3: eth1: <UP> mtu 1500", "..."], seen)
    assert not matches([], seen)
    assert not matches([*seen, "more"], seen)


def test_commands_are_told_from_what_they_print() -> None:
    text = "$ cat >x <<EOF\n$ no\nEOF\n$ a \\\n  b\nout\nmore\n$ c\n"

    assert parse_transcript(text) == [
        Step("cat >x <<EOF\n$ no\nEOF", ()),
        Step("a \\\n  b", ("out", "more")),
        Step("c", ()),
    ]
