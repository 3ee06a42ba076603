"""The machine boots, answers, is off when its time is up, and cannot change what it stands on."""

import time
from pathlib import Path

import pytest

from tests.uml import machine
from tests.uml.modules import load_order

_DEPENDENCIES = """\
kernel/net/802/stp.ko: kernel/net/llc/llc.ko
kernel/net/8021q/8021q.ko: kernel/net/802/garp.ko kernel/net/802/stp.ko kernel/net/llc/llc.ko
kernel/drivers/net/dummy.ko:
"""


def test_a_module_is_loaded_after_what_it_needs() -> None:
    assert load_order(_DEPENDENCIES, "8021q") == [
        "kernel/net/llc/llc.ko",
        "kernel/net/802/stp.ko",
        "kernel/net/802/garp.ko",
        "kernel/net/8021q/8021q.ko",
    ]


def test_a_module_that_needs_nothing_is_loaded_alone() -> None:
    assert load_order(_DEPENDENCIES, "dummy") == ["kernel/drivers/net/dummy.ko"]


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(LookupError, match="wireguard"):
        load_order(_DEPENDENCIES, "wireguard")


@pytest.mark.usefixtures("can_boot")
class TestMachine:
    def test_it_cannot_write_but_in_the_shared_directory(self, tmp_path: Path) -> None:
        shared, forbidden = tmp_path / "shared", tmp_path / "forbidden"
        shared.mkdir()

        with pytest.raises(machine.MachineError, match="Read-only file system"):
            machine.run("os:mkdir", 30, shared, path=str(forbidden))

        assert not forbidden.exists()

    def test_it_answers_what_the_function_returned(self, tmp_path: Path) -> None:
        assert machine.run("os.path:basename", 30, tmp_path, p="/a/b") == "b"

    def test_it_is_off_when_its_time_is_up(self, tmp_path: Path) -> None:
        begin = time.monotonic()

        with pytest.raises(machine.MachineError, match="did not end within 3 s"):
            machine.run("signal:pause", 3, tmp_path)

        assert time.monotonic() - begin < 15
        assert _processes_with(str(tmp_path)) == []


def _processes_with(word: str) -> list[str]:
    lines = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(entry.read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return [line for line in lines if word in line]
