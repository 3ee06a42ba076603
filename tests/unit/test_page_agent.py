"""docs/agent.md: every path, call, field, status and metric that the agent has, and no other."""

import ast
import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mesos_cni_port_mapper.harness.agent import calls, http, keepers
from mesos_cni_port_mapper.harness.agent.census import Census
from mesos_cni_port_mapper.harness.agent.http import Door, Endpoints
from mesos_cni_port_mapper.harness.agent.metrics import Metrics
from mesos_cni_port_mapper.isolator.counters import FIELDS
from tests.unit.agent.containers import AGENT, container

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "mesos_cni_port_mapper"
PAGE = (ROOT / "docs/agent.md").read_text(encoding="utf-8")
AGENTS = SOURCE / "harness/agent"
MESSAGES = ("harness/agent/calls.py", "harness/task.py", "isolator/network_info.py")
BELOW = "/slave(1)"
READERS = {
    *("string", "strings", "array", "integer", "has", "section", "optional_section"),
    *("_sections", "_port", "_flag", "objects_of"),
}
# Of tasks, which a launch is read as: what it is called there, and who else could run it.
OF_TASKS = {"name", "task_id", "executor", "tasks"}
Described = dict[str, tuple[str, set[str]]]


def rows(heading: str) -> list[list[str]]:
    """Return the cells of all tables of a section, without those that head them."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    assert section
    tables = re.findall(r"^\|[^\n]*\n\|[-|]+\n((?:\|[^\n]*\n)+)", section, re.MULTILINE)
    lines = [line for table in tables for line in table.splitlines()]
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]


def words(cell: str) -> list[str]:
    """Return what a cell has in code spans."""
    return re.findall(r"`([^`]+)`", cell)


def served() -> set[tuple[str, str]]:
    """Return method and path of everything that is answered; what has GET has HEAD as well."""

    async def routes() -> set[tuple[str, str]]:
        endpoints = Endpoints(
            info=AGENT,
            operations=None,  # type: ignore[arg-type]
            metrics=Metrics(),
            door=Door(token=None, ip=None),
            recovered=asyncio.Event(),
        )
        found = endpoints.application().router.routes()
        return {(route.method, route.resource.canonical) for route in found if route.resource}

    return {(method, path) for method, path in asyncio.run(routes()) if method != "HEAD"}


def measured() -> Described:
    """Return the type and the labels of every metric, of an agent to which everything happened."""
    metrics = Metrics()
    metrics.launched(0.1, failed=False)
    metrics.answered(200)
    counters = {"web": dict.fromkeys(FIELDS, 1)}
    census = Census(moment=1.0, found=[container()], problems=[], counters=counters)
    text = metrics.render(census).decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    labels: dict[str, set[str]] = {name: set() for name in kinds}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            # A histogram's samples have names of their own.
            name = sample.name if sample.name in kinds else family.name
            labels[name] |= set(sample.labels) - {"le"}
    return {name: (kind, labels[name]) for name, kind in kinds.items()}


def keys_read_by(module: str) -> Iterator[str]:
    """Return the names of fields that a module looks for in a document."""
    for node in ast.walk(ast.parse((SOURCE / module).read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)) if name in READERS:
                strings = [each.value for each in node.args if isinstance(each, ast.Constant)]
                yield from [word for word in strings[:1] if isinstance(word, str) and word]


def test_every_path_is_on_the_page_and_no_other() -> None:
    listed = set()
    for path, *below in rows("Paths"):
        for method, name in [each.split() for each in words(path) if "/" in each]:
            listed |= {(method, name)} | ({(method, BELOW + name)} if below[0] == "yes" else set())

    assert listed == served()


def test_every_call_is_on_the_page_and_no_other() -> None:
    kinds = [words(kind)[0] for kind, *_ in rows("Calls") if kind[1:-1].isupper()]

    assert sorted(kinds) == sorted(calls._DECODERS)
    assert len(kinds) == len(calls.Call.__args__)


@pytest.mark.parametrize("module", MESSAGES)
def test_every_field_of_a_call_is_on_the_page(module: str) -> None:
    section = PAGE.partition("\n## Calls\n")[2].partition("\n## ")[0]
    keys = set(keys_read_by(module)) - set(map(str.lower, calls._DECODERS)) - OF_TASKS

    assert keys
    assert sorted(key for key in keys if not re.search(rf"[`\"]{key}[`\"]", section)) == []


def test_the_fields_are_found_in_the_code() -> None:
    found = {key for module in MESSAGES for key in keys_read_by(module)}

    assert found >= {"container_id", "parent", "signal", "show_nested", "launch_container"}
    assert found >= {"uris", "variables", "tty_info", "network_infos", "host_path", "groups"}


def test_every_status_is_on_the_page_and_no_other() -> None:
    text = "".join((AGENTS / name).read_text(encoding="utf-8") for name in ("http.py", "errors.py"))
    answered = set(map(int, re.findall(r"(?<![\w.])[2-5]\d\d(?![\w.])", text)))
    # Those of aiohttp itself.
    answered |= {405, 413}

    listed = {int(status) for status, *_ in rows("When it refuses")}
    assert listed | {200, 202} == answered


def test_every_metric_is_on_the_page_with_its_type_and_labels_and_no_other() -> None:
    listed: Described = {
        words(name)[0]: (kind, set(words(labels))) for name, kind, labels, _ in rows("Metrics")
    }

    assert listed == measured()
    assert len(listed) > len(FIELDS)


def test_limits_are_as_the_page_says() -> None:
    assert f"{http.LARGEST_BODY >> 20} MiB" in PAGE
    assert f"within {http.SLOWEST_BODY:g} seconds" in PAGE
    assert f"up to {keepers.MOST} of" in PAGE
