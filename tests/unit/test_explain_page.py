"""docs/explain.md: every reason that can be given is there, and no other."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explain.md").read_text(encoding="utf-8")
SOURCES = sorted((ROOT / "mesos_cni_port_mapper/explain").glob("*.py"))
HOOKS = ("prerouting", "input", "forward", "output", "postrouting")


def given() -> set[str]:
    """Return the codes of all reasons in the sources."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    codes = set(re.findall(r'(?:Reason|_reason|_lose)\(\s*"([a-z-]+)"', text))
    assert 'f"{journey.stopped_at}-dropped"' in text
    return codes | {f"{hook}-dropped" for hook in HOOKS}


def described() -> set[str]:
    """Return the codes in the first column of the table of reasons."""
    table = PAGE.partition("| reason |")[2].partition("\n\n")[0]
    return {
        code
        for line in table.splitlines()[2:]
        for code in re.findall(r"`([^`]+)`", line.split("|")[1])
    }


def test_every_reason_is_described_and_no_other() -> None:
    assert given() == described()
