"""docs/by-hand.md: each of its commands is run, with our delegates and with Debian's."""

from collections.abc import Sequence
from pathlib import Path

from tests.netns.containers import ROOT
from tests.netns.recipes import OWN_OPT, Step, follow, parse_sections
from tests.support.gate import need
from tests.support.host import Host
from tests.support.plugin import PLUGIN_DIRECTORY

PAGE = (ROOT / "docs/by-hand.md").read_text(encoding="utf-8")
SECTIONS = parse_sections(PAGE)
# What plugins say of themselves, and in which words they complain, is their own.
OURS = ("When it goes wrong", "What else there is")
WALK = [step for name in SECTIONS if name not in OURS for step in SECTIONS[name]]
COPY = "cp -a dist/delegates/. /opt/cni/bin/"


def walked(steps: Sequence[Step], copy: str, assumed: str = "0.2.0") -> list[Step]:
    """Return the page's steps with other plugins, and the version they take for none."""
    return [
        Step(
            step.command.replace(COPY, copy),
            tuple(
                line.replace('"cniVersion": "0.2.0"', f'"cniVersion": "{assumed}"')
                for line in step.output
            ),
        )
        for step in steps
    ]


def nothing_left(host: Host) -> None:
    assert host.ruleset() == []
    assert list(host.path("/run/netns").iterdir()) == []
    assert "mybr0" not in host.run(["ip", "link"]).text


def test_the_page_says_what_our_delegates_do(host: Host, delegates_dir: Path) -> None:
    every = [step for section in SECTIONS.values() for step in section]
    follow(host, walked(every, f"cp -a {delegates_dir}/. /opt/cni/bin/"), OWN_OPT)
    nothing_left(host)


def test_the_page_says_what_debians_plugins_do(host: Host) -> None:
    need(f"{PLUGIN_DIRECTORY}/bridge", f"{PLUGIN_DIRECTORY}/loopback")
    # They take the oldest version, whose results are the same.
    links = f"ln -s {PLUGIN_DIRECTORY}/* /opt/cni/bin/"
    follow(host, walked(WALK, links, assumed="0.1.0"), OWN_OPT)
    nothing_left(host)


def test_the_page_copies_what_is_built() -> None:
    assert [step.command for step in WALK].count(COPY) == 1
