"""The one program behind all built-in plugins: which one it is, and what it loads for that."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from delegates.__main__ import _name
from delegates.catalogue import BUILT_IN, IPAM, make_plugin
from delegates.hardware_address import parse_hardware_address
from mesos_cni_port_mapper.cni.errors import CniError
from tests.support.builtin import write_stubs

EXPENSIVE = {"json", "re", "enum", "typing", "logging", "socket", "pyroute2", "subprocess"}


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["/opt/cni/bin/bridge"], "bridge"),
        (["host-local"], "host-local"),
        (["/opt/cni/mesos-cni-delegate", "bridge"], "bridge"),
        (["/src/delegates/__main__.py", "ptp"], "ptp"),
        (["/opt/cni/mesos-cni-delegate"], "mesos-cni-delegate"),
    ],
)
def test_the_plugin_is_what_the_program_is_called(argv: list[str], name: str) -> None:
    assert _name(argv) == name


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_plugin_answers(name: str) -> None:
    plugin = make_plugin(name)

    assert all(callable(getattr(plugin, method)) for method in ("add", "delete", "check"))


def test_those_that_give_addresses_are_built_in() -> None:
    assert set(IPAM) <= set(BUILT_IN)


def run(program: Path, command: str) -> tuple[int, object]:
    environ = {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": "web",
        "CNI_IFNAME": "eth0",
        "CNI_PATH": "/nowhere",
    }
    netconf = b'{"cniVersion":"1.0.0","name":"net","type":"x"}'
    done = subprocess.run([program], input=netconf, env=environ, capture_output=True, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else None


def test_an_unknown_name_says_which_are_known(tmp_path: Path) -> None:
    program = write_stubs(tmp_path) / "bridge"
    other = program.rename(tmp_path / "frobnicate")

    status, document = run(other, "DEL")

    assert status == 1
    assert isinstance(document, dict)
    assert document["code"] == 4
    assert "'frobnicate'" in document["msg"]
    assert "host-local" in document["details"]


def test_a_del_of_a_container_that_is_gone_imports_nothing_expensive(tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path[:0] = {[str(Path(__file__).resolve().parents[3])]!r};"
        "before = set(sys.modules);"
        "from delegates.catalogue import make_plugin;"
        "from mesos_cni_port_mapper.cni.request import Request;"
        "make_plugin('bridge').delete(Request(command='DEL', container_id='web', ifname='eth0',"
        " netns='', path=(), environ={}, netconf={'name': 'net'}, version='1.0.0'));"
        "print(*set(sys.modules) - before)"
    )
    done = subprocess.run(
        [sys.executable, "-ISc", program], check=True, capture_output=True, text=True
    )

    loaded = set(done.stdout.split())
    assert "delegates.bridge" in loaded
    assert loaded & EXPENSIVE == set()


@pytest.mark.parametrize(
    "text", ["02:00:00:00:0a:01", "02-00-00-00-0A-01", "0200.0000.0a01", "02:00:00:00:0A:01"]
)
def test_a_hardware_address_has_several_spellings(text: str) -> None:
    assert parse_hardware_address("mac", text) == "02:00:00:00:0a:01"


@pytest.mark.parametrize(
    "text",
    ["", "02:00:00:00:01", "02:00:00:00:00:0g", "020000000a01", "02:00-00:00:00:01", "02::1"],
)
def test_what_is_no_hardware_address_is_refused(text: str) -> None:
    with pytest.raises(CniError) as caught:
        parse_hardware_address("runtimeConfig.mac", text)

    assert caught.value.msg.startswith("runtimeConfig.mac: ")
