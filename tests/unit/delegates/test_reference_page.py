"""docs/delegates.md: it has every plugin, every key and every code, and none that is not there."""

import re
from pathlib import Path

from delegates.catalogue import BUILT_IN
from mesos_cni_port_mapper.cni import errors

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/delegates.md").read_text(encoding="utf-8")
SOURCES = "\n".join(path.read_text() for path in sorted((ROOT / "delegates").rglob("*.py")))
READ = (
    r"\.(?:string|strings|array|section|optional_section|integer|boolean|seconds)\(\s*\"(\w+)\"",
    r"\b_(?:number|bound|parse_arrays)\(\w+, \"(\w+)\"",
    r"\bparse_address\(\w+, \"(\w+)\"",
)
# Of a program's error, not of a configuration.
OTHER_DOCUMENTS = {"code", "msg", "details"}
# What every configuration has, and what only names the way to a key.
GENERAL = {"name", "type", "args", "cni", "runtimeConfig"}
# No plugin of ours looks after containers that are attached already.
UNUSED = {errors.UNKNOWN_CONTAINER, errors.PORT_TAKEN, errors.UNAVAILABLE_AND_IMPAIRED}


def keys_read() -> set[str]:
    return {key for pattern in READ for key in re.findall(pattern, SOURCES)} - OTHER_DOCUMENTS


def keys_shown() -> set[str]:
    """Return the words in the first columns of the tables of keys."""
    shown = set()
    for row in re.findall(r"^\| (`[^|]*) \|", PAGE, re.MULTILINE):
        for words in re.findall(r"`([^`]+)`", row):
            shown.update(words.split("."))
    return shown


def test_every_plugin_has_a_section() -> None:
    headings = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)

    assert sorted(name for name in headings if name.islower()) == sorted(BUILT_IN)


def test_every_key_that_is_read_is_shown() -> None:
    missing = [key for key in keys_read() if not re.search(rf"`(\w+\.)?{key}(\.\w+)?`", PAGE)]

    assert set(missing) <= GENERAL


def test_every_key_that_is_shown_is_read() -> None:
    assert keys_shown() - keys_read() - set(BUILT_IN) == set()
    assert len(keys_shown()) > 20


def test_every_code_is_explained() -> None:
    table = PAGE.partition("## Errors")[2]
    listed = re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE)

    known = {value for value in vars(errors).values() if isinstance(value, int)}
    assert {int(code) for cell in listed for code in cell.split(",")} == known - UNUSED
