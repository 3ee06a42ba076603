"""The design holds, and the checks that say so can fail."""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.architecture import (
    DELEGATES,
    PLUGIN,
    ROOT,
    Module,
    check_asserts,
    check_doors,
    check_hot_path,
    check_order,
    check_postponed_annotations,
    check_pure_names,
    check_purity,
    check_streams,
    check_text,
    modules,
    reachable,
    sources,
)

ALL = modules()
BY_NAME = {module.name: module for module in ALL}
HOT = [BY_NAME[name] for name in sorted(reachable("__main__", BY_NAME))]
BUILT_IN = [module for module in ALL if module.layer == DELEGATES]
RULES: dict[str, tuple[Callable[[Module], list[str]], list[Module]]] = {
    "imports point downwards": (check_order, ALL),
    "outside things have one door": (check_doors, ALL),
    "streams are written in one place": (check_streams, ALL),
    "the rules that should exist are found out without acting": (check_purity, ALL),
    "functions named like decisions do not act": (check_pure_names, ALL),
    "the hot path imports cheap modules": (check_hot_path, HOT),
    "delegates import cheap modules": (check_hot_path, BUILT_IN),
    "nothing asserts": (check_asserts, ALL),
    "annotations are postponed": (check_postponed_annotations, ALL),
}


@pytest.mark.parametrize(("check", "subjects"), RULES.values(), ids=RULES)
def test_the_design_holds(check: Callable[[Module], list[str]], subjects: list[Module]) -> None:
    assert [complaint for module in subjects for complaint in check(module)] == []


@pytest.mark.parametrize(
    "path",
    sources(),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_a_file_is_short_and_puts_nothing_off(path: Path) -> None:
    assert check_text(path.name, path.read_text()) == []


def test_the_hot_path_is_the_whole_plugin_and_nothing_of_the_harness() -> None:
    layers = {module.layer for module in HOT}

    assert layers - {""} == set(PLUGIN)
    assert "cni.conversion" in {module.name for module in HOT}


TYPES = "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    import typing\n"


@pytest.mark.parametrize(
    ("check", "name", "source"),
    [
        (check_order, "cni.x", "from mesos_cni_port_mapper.netfilter import batch"),
        (check_order, "linux.x", "import mesos_cni_port_mapper.cni.errors"),
        (check_order, "value", "def f():\n    from mesos_cni_port_mapper.linux import files"),
        (
            check_order,
            "portmap.x",
            "if TYPE_CHECKING:\n    from mesos_cni_port_mapper.netfilter.record import Record",
        ),
        (check_order, "port_mapper", "from mesos_cni_port_mapper.isolator import paths"),
        (check_order, "isolator.x", "from mesos_cni_port_mapper.portmap import plan"),
        (check_order, "cni.x", "from mesos_cni_port_mapper.unheard_of import y"),
        (check_order, "delegates.x", "from mesos_cni_port_mapper.isolator import paths"),
        (check_order, "delegates.x", "from mesos_cni_port_mapper.port_mapper import PortMapper"),
        (check_order, "harness.x", "from delegates.catalogue import BUILT_IN"),
        (check_order, "port_mapper", "from delegates import catalogue"),
        (check_doors, "delegates.x", "def f():\n    from pyroute2.netlink import nla"),
        (check_doors, "delegates.x", "import pyroute2"),
        (check_doors, "delegates.x", "import subprocess"),
        (check_streams, "delegates.x", "import os\nos.write(1, b'')"),
        (check_doors, "netfilter.x", "import subprocess"),
        (check_doors, "netfilter.x", "def f():\n    import json"),
        (check_doors, "cni.x", "import fcntl"),
        (check_doors, "netfilter.x", "import _socket"),
        (check_doors, "cni.x", "import os\nos.posix_spawn('a', [], {})"),
        (check_doors, "cni.x", "from os import posix_spawn"),
        (check_doors, "linux.x", "import sys\nsys.stdout.write('a')"),
        (check_doors, "portmap.x", "print('a')"),
        (check_doors, "port_mapper", "import os\nos._exit(1)"),
        (check_doors, "netfilter.x", "import iptc"),
        (check_doors, "harness.x", "import iptc"),
        (check_doors, "cli.x", "def f():\n    from iptc import Table"),
        (check_doors, "delegates.x", "import iptc"),
        (check_doors, "libiptc.x", "import iptc"),
        (check_doors, "libiptc.program", "import subprocess"),
        (check_order, "port_mapper", "from mesos_cni_port_mapper.libiptc import program"),
        (check_order, "__main__", "from mesos_cni_port_mapper.libiptc import program"),
        (check_order, "cli.x", "from mesos_cni_port_mapper.libiptc import program"),
        (check_order, "libiptc.x", "from mesos_cni_port_mapper.netfilter import iptables"),
        (check_streams, "cni.x", "import os\nos.write(2, b'')"),
        (check_streams, "cni.skeleton", "import os\nos.write(1, b'')"),
        (check_streams, "linux.stderr", "import os\nos.write(1, b'')"),
        (check_streams, "cni.x", "import os\nos.write(stdout, b'')"),
        (check_purity, "portmap.x", "import os"),
        (check_purity, "portmap.x", "def f():\n    import time"),
        (check_purity, "portmap.x", "from mesos_cni_port_mapper.linux import files"),
        (check_purity, "portmap.x", "from mesos_cni_port_mapper.linux.files import read"),
        (check_purity, "portmap.x", "open('x')"),
        (check_pure_names, "cni.x", "def parse_x():\n    os.stat('x')"),
        (check_pure_names, "cni.x", "class A:\n    def _plan_x(self):\n        files.read('x')"),
        (check_pure_names, "cni.x", "def render_x():\n    return time.time()"),
        (check_pure_names, "cni.x", "def decode_x():\n    return open('x')"),
        (check_hot_path, "cni.x", "import json"),
        (check_hot_path, "cni.x", "import os.path, re"),
        (check_hot_path, "cni.x", "from typing import Any"),
        (check_hot_path, "cni.x", "try:\n    import dataclasses\nexcept ImportError:\n    pass"),
        (check_hot_path, "cni.x", "class A:\n    import enum"),
        (check_hot_path, "cni.x", "if TYPE_CHECKING:\n    pass\nelse:\n    import typing"),
        (check_asserts, "cni.x", "def f():\n    assert 1"),
        (check_postponed_annotations, "cni.x", TYPES),
        (check_postponed_annotations, "cni.x", f'"""Doc."""\n{TYPES}'),
    ],
)
def test_a_check_complains_about(
    check: Callable[[Module], list[str]], name: str, source: str
) -> None:
    assert len(check(Module(name, ast.parse(source)))) >= 1


@pytest.mark.parametrize(
    ("check", "name", "source"),
    [
        (check_order, "cni.x", "from mesos_cni_port_mapper.linux.files import read"),
        (check_order, "cli.x", "from mesos_cni_port_mapper.portmap import plan"),
        (check_order, "delegates.x", "from mesos_cni_port_mapper.netfilter import iptables"),
        (check_order, "delegates.x.y", "from delegates.x.z import f"),
        (check_doors, "delegates.messages", "def f():\n    from pyroute2.netlink import nla"),
        (check_hot_path, "delegates.x", "from delegates.y import z"),
        (check_doors, "linux.lock", "import fcntl"),
        (check_doors, "cni.address", "import _socket"),
        (check_doors, "linux.netlink", "import _socket"),
        (check_doors, "harness.x", "import subprocess"),
        (check_doors, "libiptc.bindings", "from iptc import ip4tc"),
        (check_order, "libiptc.x", "from mesos_cni_port_mapper.portmap.listing import split_words"),
        (check_doors, "cni.x", "if TYPE_CHECKING:\n    import subprocess"),
        (check_streams, "linux.stderr", "import os\nos.write(2, b'')"),
        (check_streams, "cni.skeleton", "import os\nos.write(stdout, b'')"),
        (check_purity, "cni.x", "import os"),
        (check_pure_names, "cni.x", "def parse_x():\n    return os.path.join('a', 'b')"),
        (check_pure_names, "cni.x", "def read_x():\n    os.stat('x')"),
        (check_hot_path, "cni.x", "import os\ndef f():\n    import json"),
        (check_hot_path, "cni.x", TYPES),
        (check_postponed_annotations, "cni.x", f"from __future__ import annotations\n{TYPES}"),
    ],
)
def test_a_check_has_nothing_against(
    check: Callable[[Module], list[str]], name: str, source: str
) -> None:
    assert check(Module(name, ast.parse(source))) == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("x\n" * 321, "x.py: 321 lines"),
        ("a\n# TO" + "DO: b\n", "x.py:2 puts something off"),
        ("# FIX" + "ME\n", "x.py:1 puts something off"),
    ],
    ids=["too long", "to do", "to fix"],
)
def test_a_check_complains_about_a_file(text: str, complaint: str) -> None:
    assert check_text("x.py", text) == [complaint]


def test_what_a_function_imports_is_reachable_too() -> None:
    sources = {
        "__main__": "def f():\n    from mesos_cni_port_mapper.cni import codec",
        "cni": "",
        "cni.codec": "from mesos_cni_port_mapper.value import Value",
        "value": "",
        "linux.files": "",
    }
    by_name = {name: Module(name, ast.parse(source)) for name, source in sources.items()}

    assert reachable("__main__", by_name) == {"__main__", "cni", "cni.codec", "value"}
