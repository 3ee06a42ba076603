"""docs/reference.md: every key, code, file, variable and flag that the code knows is on it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_commands import Command, Flag, commands
from cli_reference import render, replaced

from mesos_cni_port_mapper.cni import errors
from mesos_cni_port_mapper.harness import state
from mesos_cni_port_mapper.isolator import paths
from mesos_cni_port_mapper.portmap.configuration import DEFAULT_STATE_DIRECTORY, parse_configuration
from mesos_cni_port_mapper.portmap.traffic import BACK_ENDS, POLICIES

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "mesos_cni_port_mapper"
PAGE = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
READERS = {
    *("string", "boolean", "strings", "array", "section"),
    *("optional_section", "integer", "seconds", "has", "get"),
}
PARSERS = (
    "portmap/configuration.py",
    "portmap/traffic.py",
    "portmap/inputs.py",
    "port_mapper/log.py",
    "cni/request.py",
    "cni/delegation.py",
)
NOT_KEYS = {"containerID", "ifname"} | {"CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"}


def keys_read_by(module: str) -> Iterator[str]:
    """Return the names of fields that a module looks for in a document."""
    tree = ast.parse((SOURCE / module).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        words = [each.value for each in node.args if isinstance(each, ast.Constant)]
        strings = [word for word in words if isinstance(word, str)]
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        parses = isinstance(node.func, ast.Name) and node.func.id.startswith("_parse_")
        if (name in READERS or parses) and strings and strings[0]:
            yield strings[0]


def on_page() -> set[str]:
    """Return what the page has in code spans, in lower case, each part of a path by itself."""
    spans = re.findall(r"`([^`\n]+)`", PAGE)
    return {part.lower() for span in spans for part in (span, *re.split(r"[.:\s]", span))}


@pytest.mark.parametrize("module", PARSERS)
def test_every_key_is_on_the_page(module: str) -> None:
    keys = set(keys_read_by(module)) - NOT_KEYS

    assert keys
    assert sorted(key for key in keys if key.lower() not in on_page()) == []


def test_the_keys_are_found_in_the_code() -> None:
    found = {key for module in PARSERS for key in keys_read_by(module)}

    assert found >= {"chain", "delegates", "backend", "conditionsV6", "markMasqBit", "log"}
    assert found >= {"host_port", "hostip", "lock", "capabilities", "prevResult", "cniVersion"}


def test_what_is_said_of_defaults_is_so() -> None:
    least = parse_configuration({"name": "a", "type": "b", "chain": "C"})
    rows = {row[1]: row[3] for row in re.findall(r"^(\| `(\S+)`) \| (.*?) \| (.*?) \|", PAGE, re.M)}

    for name in ("delegate", "lock", "tools"):
        assert float(rows[f"timeouts.{name}"]) == getattr(least.timeouts, name)
    assert rows["stateDir"] == f"`{DEFAULT_STATE_DIRECTORY}`"


@pytest.mark.parametrize("word", [*BACK_ENDS, *POLICIES])
def test_every_value_of_a_choice_is_on_the_page(word: str) -> None:
    assert word in on_page()


def test_every_code_is_on_the_page_and_no_other() -> None:
    section = PAGE.partition("\n## Error codes\n")[2].partition("\n## ")[0]
    listed = [int(number) for number in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)]

    assert listed == sorted(value for value in vars(errors).values() if isinstance(value, int))


@pytest.mark.parametrize("module", [state, paths], ids=["harness", "isolator"])
def test_every_file_of_a_container_is_on_the_page(module: object) -> None:
    names = [value for name, value in vars(module).items() if re.fullmatch("[A-Z][A-Z_]+", name)]
    spans = " ".join(re.findall(r"`[^`\n]+`", PAGE))

    assert names
    assert [name for name in names if isinstance(name, str) and name not in spans] == []


def test_every_part_of_the_state_directory_is_on_the_page() -> None:
    text = (SOURCE / "netfilter/ledger.py").read_text(encoding="utf-8")
    parts = set(re.findall(r"\{self\.directory\}/([a-z]+)", text))

    assert parts >= {"attachments", "claims", "users"}
    assert [part for part in parts if f"| `{part}" not in PAGE] == []


def test_every_variable_is_on_the_page() -> None:
    read = r"""environ(?:ment)?(?:\.get\(|\[)"([A-Z][A-Z_]+)\""""
    names = {
        name
        for path in SOURCE.rglob("*.py")
        for name in re.findall(read, path.read_text(encoding="utf-8"))
    }

    assert names >= {"PATH", "CNI_COMMAND", "TRACEPARENT", "NOTIFY_SOCKET"}
    assert sorted(name for name in names if f"`{name}`" not in PAGE) == []


def test_the_commands_are_those_of_the_program() -> None:
    assert replaced(PAGE, commands()) == PAGE, "run `make reference`"


def test_commands_that_are_not_the_programs_are_replaced() -> None:
    page = "before\n<!-- commands -->\nold\n<!-- end of commands -->\nafter\n"

    new = replaced(page, commands())

    assert "old" not in new
    assert new.startswith("before\n")
    assert new.endswith("<!-- end of commands -->\nafter\n")
    assert "`-d`, `--detach`" in new or "`--detach`, `-d`" in new
    assert replaced(new, commands()) == new


def test_a_cell_of_a_table_ends_where_it_should() -> None:
    flags = (
        Flag(("--from",), "ADDRESS|DEVICE", "Who | connects <x.", ""),
        Flag(("--dry_run", "--dry-run"), "", "Look.", "MESOS_DRY_RUN"),
    )

    text = render([Command(("tool", "do"), "[OPTIONS]", "Do it", (), flags)])

    assert text.splitlines() == [
        "### tool do",
        "",
        "    tool do [OPTIONS]",
        "",
        "Do it.",
        "",
        "| flag | |",
        "|---|---|",
        "| `--from ADDRESS\\|DEVICE` | Who \\| connects &lt;x. |",
        "| `--dry_run` | Look. `MESOS_DRY_RUN` |",
    ]
