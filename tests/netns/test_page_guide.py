"""docs/guide.md: each of its commands is run, and what it leads to is there."""

import re

import pytest

from tests.netns.containers import ROOT
from tests.netns.recipes import OWN_OPT, follow, parse_sections
from tests.support.gate import need
from tests.support.host import Host

DOCS = ROOT / "docs"
GUIDE = (DOCS / "guide.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTIONS = parse_sections(GUIDE)
# In the order of a day; the rest is for who wants to know more.
ORDER = ["guide", "install", "networks", "migration", "ports", "explain", "reference"]
RUNTIMES = {"clients", "docker"}


@pytest.mark.usefixtures("frozen")
def test_the_guide_says_what_happens(host: Host) -> None:
    need("python3")

    follow(host, [step for steps in SECTIONS.values() for step in steps], OWN_OPT)

    assert host.processes() == {}
    assert host.ruleset() == []


def test_every_chapter_leads_on() -> None:
    *chapters, _ = re.split(r"^## ", GUIDE, flags=re.MULTILINE)[1:]

    assert [part.partition("\n")[0] for part in chapters if "](" not in part] == []


def anchors_of(page: str) -> set[str]:
    """Return what a page's headings are called in links."""
    headings = re.findall(r"^#+ (.*)", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_a_link_to_a_chapter_leads_there(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([\w-]*\.md)?#([\w-]+)\)", text)
    broken = [
        f"{name or page}#{anchor}"
        for name, anchor in links
        if (DOCS / (name or page)).exists()
        and anchor not in anchors_of((DOCS / (name or page)).read_text(encoding="utf-8"))
    ]

    assert broken == []


def test_the_readme_has_the_pages_in_the_order_of_a_day() -> None:
    links = re.findall(r"\]\(docs/([\w-]+)\.md\)", README.partition("\n## Pages\n")[2])

    assert [link for link in links if link not in RUNTIMES][: len(ORDER)] == ORDER
    assert {path.stem for path in DOCS.glob("*.md")} - set(links) == set()
