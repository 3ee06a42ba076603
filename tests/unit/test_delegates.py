"""Several delegates: one after the other, each with the result of the one before, and back."""

import json
from pathlib import Path
from typing import Any

import pytest

from mesos_cni_port_mapper.cni.delegation import Delegate, Delegates
from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.cni.executable import Executable
from mesos_cni_port_mapper.cni.result import Result
from tests.unit.children import in_child, write_script
from tests.unit.results import told_in

REFUSES = 'echo \'{"code": 7, "msg": "no"}\'; exit 1'


def member(directory: Path, name: str, *steps: str, **netconf: Any) -> Delegate:
    """Make a delegate that logs what it is asked and does as it is told."""
    program = write_script(
        directory / name,
        f"stdin=$(cat)\necho {name} $CNI_COMMAND $stdin >>{directory}/log\n" + "\n".join(steps),
    )
    return Delegate(
        outer={"cniVersion": "1.0.0", "name": "net"},
        netconf={"type": name, **netconf},
        executable=Executable(program=program, environ={"PATH": "/usr/bin:/bin"}, seconds=10),
    )


def answers(result: dict[str, Any]) -> str:
    return f"[ $CNI_COMMAND = ADD ] && echo '{json.dumps(result)}' || true"


def result_of(address: str) -> dict[str, Any]:
    return {"cniVersion": "1.0.0", "ips": [{"address": address}]}


def log_of(directory: Path) -> list[tuple[str, str, dict[str, Any]]]:
    lines = [line.split(" ", 2) for line in (directory / "log").read_text().splitlines()]
    return [(name, command, json.loads(netconf)) for name, command, netconf in lines]


def told(directory: Path) -> list[tuple[str, str, str, Any]]:
    """Return who was asked what, in which version and with which previous result."""
    return [
        (name, command, netconf["cniVersion"], netconf.get("prevResult"))
        for name, command, netconf in log_of(directory)
    ]


ONE, TWO = result_of("192.0.2.2/24"), result_of("192.0.2.3/24")


def test_each_is_given_the_result_before_and_the_last_one_s_counts(tmp_path: Path) -> None:
    both = Delegates(
        members=(member(tmp_path, "one", answers(ONE)), member(tmp_path, "two", answers(TWO)))
    )

    assert in_child(
        lambda: (
            list(both.add())
            == [
                (Result(version="1.0.0", document=ONE), "1.0.0"),
                (Result(version="1.0.0", document=TWO), "1.0.0"),
            ]
        )
    )
    assert told(tmp_path) == [("one", "ADD", "1.0.0", None), ("two", "ADD", "1.0.0", ONE)]


def test_a_result_goes_on_in_the_next_one_s_version(tmp_path: Path) -> None:
    both = Delegates(
        members=(
            member(tmp_path, "one", answers(told_in("1.0.0"))),
            member(tmp_path, "two", answers(told_in("0.4.0")), cniVersion="0.4.0"),
        )
    )

    assert in_child(lambda: [version for _, version in both.add()]) == ["1.0.0", "0.4.0"]
    assert told(tmp_path)[1] == ("two", "ADD", "0.4.0", told_in("0.4.0"))


def test_a_result_that_cannot_go_on_is_told_as_the_delegates_fault(tmp_path: Path) -> None:
    odd = {"cniVersion": "1.0.0", "ips": [{"address": "192.0.2.2/24"}], "routes": [5]}
    both = Delegates(
        members=(
            member(tmp_path, "one", answers(odd)),
            member(tmp_path, "two", cniVersion="0.2.0"),
        )
    )

    def work() -> tuple[int, str]:
        with pytest.raises(CniError) as failure:
            list(both.add())
        return failure.value.code, failure.value.msg

    assert in_child(work) == (
        102,
        "the result before delegate two cannot be given in version 0.2.0",
    )


def test_one_that_fails_is_the_last_that_is_asked(tmp_path: Path) -> None:
    three = Delegates(
        members=(
            member(tmp_path, "one", answers(ONE)),
            member(tmp_path, "two", REFUSES),
            member(tmp_path, "three", answers(TWO)),
        )
    )

    def work() -> tuple[list[str], str]:
        agreed = []
        with pytest.raises(CniError) as failure:
            for _, version in three.add():
                agreed.append(version)
        return agreed, failure.value.msg

    assert in_child(work) == (["1.0.0"], "delegate two failed on ADD (code 7)")
    assert [name for name, _, _ in log_of(tmp_path)] == ["one", "two"]


def test_they_detach_in_reverse_each_in_the_version_agreed_on(tmp_path: Path) -> None:
    both = Delegates(
        members=(member(tmp_path, "one"), member(tmp_path, "two")), versions=("0.4.0", "1.0.0")
    )

    in_child(lambda: both.delete(Result(version="1.0.0", document=told_in("1.0.0"))))

    assert told(tmp_path) == [
        ("two", "DEL", "1.0.0", told_in("1.0.0")),
        ("one", "DEL", "0.4.0", told_in("0.4.0")),
    ]


def test_a_version_that_was_never_agreed_on_is_the_one_they_would_be_asked_in(
    tmp_path: Path,
) -> None:
    both = Delegates(
        members=(member(tmp_path, "one"), member(tmp_path, "two", cniVersion="0.3.1")),
        versions=("0.4.0",),
    )

    in_child(lambda: both.delete(None))

    assert told(tmp_path) == [("two", "DEL", "0.3.1", None), ("one", "DEL", "0.4.0", None)]


def test_one_that_does_not_detach_keeps_those_before_it(tmp_path: Path) -> None:
    both = Delegates(members=(member(tmp_path, "one"), member(tmp_path, "two", REFUSES)))

    def work() -> None:
        with pytest.raises(CniError, match="delegate two failed on DEL"):
            both.delete(None)

    in_child(work)
    assert [name for name, _, _ in log_of(tmp_path)] == ["two"]


def test_they_check_in_their_order(tmp_path: Path) -> None:
    both = Delegates(members=(member(tmp_path, "one"), member(tmp_path, "two")))

    in_child(lambda: both.check(Result(version="1.0.0", document=ONE)))

    assert told(tmp_path) == [("one", "CHECK", "1.0.0", ONE), ("two", "CHECK", "1.0.0", ONE)]


def test_nobody_attaches_detaches_and_checks_nothing() -> None:
    nobody = Delegates(members=())

    nobody.delete(None)
    nobody.check(None)
    assert list(nobody.add()) == []
