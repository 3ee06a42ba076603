"""The delegate: the configuration it gets, and the version that is agreed on with it."""

import json
from pathlib import Path
from typing import Any

import pytest

from mesos_cni_port_mapper.cni.delegation import (
    Delegate,
    delegate_version,
    previous_result,
    render_netconf,
    replaced_keys,
)
from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.cni.executable import Executable
from mesos_cni_port_mapper.cni.result import MalformedResultError, Result
from tests.unit.children import in_child, write_script
from tests.unit.results import told_in

OUTER = {"cniVersion": "1.0.0", "name": "net", "args": {"a": 1}}


def delegate(tmp_path: Path, *steps: str) -> Delegate:
    """Make a delegate that logs the version it is asked in and whether it gets a prevResult."""
    log = tmp_path / "log"
    program = write_script(
        tmp_path / "fake",
        f"stdin=$(cat)\necho $CNI_COMMAND $stdin >>{log}\n" + "\n".join(steps),
    )
    return Delegate(
        outer=OUTER,
        netconf={"type": "fake"},
        executable=Executable(program=program, environ={"PATH": "/usr/bin:/bin"}, seconds=10),
    )


def log_of(tmp_path: Path) -> list[tuple[str, dict[str, Any]]]:
    lines = [line.partition(" ") for line in (tmp_path / "log").read_text().splitlines()]
    return [(command, json.loads(netconf)) for command, _, netconf in lines]


def versions_of(tmp_path: Path) -> list[tuple[str, str | None]]:
    return [(command, netconf.get("cniVersion")) for command, netconf in log_of(tmp_path)]


def speaks(*versions: str) -> str:
    """Answer VERSION, and refuse ADD in any version but these."""
    offered = json.dumps({"supportedVersions": versions})
    cases = "|".join(f'*\\"cniVersion\\":\\"{version}\\"*' for version in versions)
    refusal = '{"code": 1, "msg": "incompatible"}'
    return (
        f"[ $CNI_COMMAND = VERSION ] && {{ echo '{offered}'; exit; }}\n"
        f"case $stdin in {cases or 'nothing'}) ;; *) echo '{refusal}'; exit 1;; esac"
    )


def answers(version: str) -> str:
    return f"[ $CNI_COMMAND = ADD ] && echo '{json.dumps(told_in(version))}' || true"


def test_a_delegate_is_asked_in_the_version_given(tmp_path: Path) -> None:
    fake = delegate(tmp_path, answers("0.4.0"))

    assert in_child(
        lambda: fake.add("0.4.0") == (Result(version="0.4.0", document=told_in("0.4.0")), "0.4.0")
    )
    assert log_of(tmp_path) == [
        ("ADD", {"type": "fake", "name": "net", "args": {"a": 1}, "cniVersion": "0.4.0"})
    ]


def test_a_delegate_that_refuses_the_version_is_asked_in_the_newest_of_its_own(
    tmp_path: Path,
) -> None:
    fake = delegate(tmp_path, speaks("0.3.1", "0.4.0"), answers("0.4.0"))

    assert in_child(lambda: fake.add("1.0.0")[1]) == "0.4.0"
    assert versions_of(tmp_path) == [("ADD", "1.0.0"), ("VERSION", "1.0.0"), ("ADD", "0.4.0")]


@pytest.mark.parametrize("offered", [["9.9.9"], []], ids=["unknown to us", "none"])
def test_a_delegate_without_a_common_version_is_not_asked_again(
    tmp_path: Path, offered: list[str]
) -> None:
    fake = delegate(tmp_path, speaks(*offered))

    def work() -> str:
        with pytest.raises(CniError) as failure:
            fake.add("1.0.0")
        return str(failure.value)

    assert in_child(work) == "delegate fake failed on ADD (code 1): incompatible"
    assert versions_of(tmp_path) == [("ADD", "1.0.0"), ("VERSION", "1.0.0")]


def test_a_delegate_that_refuses_what_it_offers_is_not_asked_for_ever(tmp_path: Path) -> None:
    refuse = """echo '{"code": 1, "msg": "no"}'; exit 1"""
    fake = delegate(
        tmp_path,
        """[ $CNI_COMMAND = VERSION ] && { echo '{"supportedVersions": ["1.0.0"]}'; exit; }""",
        refuse,
    )

    def work() -> None:
        with pytest.raises(CniError, match="code 1"):
            fake.add("1.0.0")

    in_child(work)
    assert [command for command, _ in versions_of(tmp_path)] == ["ADD", "VERSION"]


@pytest.mark.parametrize("command", ["DEL", "CHECK"])
@pytest.mark.parametrize("version", ["0.4.0", "1.0.0"])
def test_a_previous_result_is_given_in_the_delegate_s_version(
    tmp_path: Path, command: str, version: str
) -> None:
    fake = delegate(tmp_path)
    result = Result(version="1.1.0", document=told_in("1.1.0"))

    in_child(lambda: (fake.delete if command == "DEL" else fake.check)(version, result))

    ((asked, netconf),) = log_of(tmp_path)
    assert (asked, netconf["prevResult"]) == (command, told_in(version))


@pytest.mark.parametrize("version", ["", "0.2.0", "0.3.1"])
def test_a_delegate_older_than_check_gets_neither_a_check_nor_a_previous_result(
    tmp_path: Path, version: str
) -> None:
    fake = delegate(tmp_path)
    result = Result(version="0.2.0", document=told_in("0.2.0"))

    def work() -> None:
        fake.check(version, result)
        fake.delete(version, result)

    in_child(work)
    assert [(command, "prevResult" in netconf) for command, netconf in log_of(tmp_path)] == [
        ("DEL", False)
    ]


UNTELLABLE = Result(version="0.2.0", document={"ip4": {"ip": "192.0.2.2/24", "routes": [5]}})


def test_a_previous_result_that_cannot_be_converted_does_not_stop_a_del(tmp_path: Path) -> None:
    fake = delegate(tmp_path)

    in_child(lambda: fake.delete("1.0.0", UNTELLABLE))

    ((command, netconf),) = log_of(tmp_path)
    assert (command, "prevResult" in netconf) == ("DEL", False)


def test_a_previous_result_that_cannot_be_converted_fails_a_check(tmp_path: Path) -> None:
    fake = delegate(tmp_path)

    def work() -> tuple[int, str]:
        with pytest.raises(CniError) as failure:
            fake.check("1.0.0", UNTELLABLE)
        return failure.value.code, failure.value.msg

    code, msg = in_child(work)
    assert (code, msg.rpartition(": ")[0]) == (7, "prevResult: it has not the shape of 0.2.0")
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize(
    ("outer", "inner", "version"),
    [
        pytest.param({"cniVersion": "1.0.0"}, {"cniVersion": "0.4.0"}, "0.4.0", id="its own"),
        pytest.param({"cniVersion": "1.0.0"}, {}, "1.0.0", id="the outer one"),
        pytest.param({"cniVersion": None}, {"cniVersion": None}, "", id="none"),
    ],
)
def test_the_version_a_delegate_is_asked_in(
    outer: dict[str, Any], inner: dict[str, Any], version: str
) -> None:
    assert delegate_version(outer, inner) == version


@pytest.mark.parametrize(
    ("outer", "inner", "netconf"),
    [
        pytest.param(
            {"name": "net", "args": {"a": 1}, "type": "outer", "dns": {}},
            {"type": "fake", "name": "own", "args": {"b": 2}},
            {"type": "fake", "name": "net", "args": {"a": 1}},
            id="name and args replace its own and nothing else is added",
        ),
        pytest.param(
            {"name": "net", "args": None},
            {"type": "fake", "args": {"b": 2}},
            {"type": "fake", "name": "net", "args": {"b": 2}},
            id="args that are null replace nothing",
        ),
        pytest.param(
            {"name": "net", "runtimeConfig": {"portMappings": [1], "mac": "x"}},
            {"type": "fake"},
            {"type": "fake", "name": "net", "runtimeConfig": {"mac": "x"}},
            id="port mappings are ours",
        ),
        pytest.param(
            {"name": "net", "runtimeConfig": {"PortMappings": [1], "mac": "x"}},
            {"type": "fake"},
            {"type": "fake", "name": "net", "runtimeConfig": {"mac": "x"}},
            id="however they are spelt",
        ),
        pytest.param(
            {"name": "net", "runtimeConfig": {"portMappings": [1]}},
            {"type": "fake"},
            {"type": "fake", "name": "net"},
            id="no runtimeConfig where nothing is left of it",
        ),
        pytest.param(
            {"name": "net", "runtimeConfig": {"portMappings": [1]}},
            {"type": "fake", "capabilities": {"portMappings": True}},
            {
                "type": "fake",
                "name": "net",
                "capabilities": {"portMappings": True},
                "runtimeConfig": {"portMappings": [1]},
            },
            id="port mappings for one that declares them",
        ),
        pytest.param(
            {"name": "net", "runtimeConfig": []},
            {"type": "fake"},
            {"type": "fake", "name": "net"},
            id="a runtimeConfig that is none",
        ),
    ],
)
def test_the_configuration_of_a_delegate(
    outer: dict[str, Any], inner: dict[str, Any], netconf: dict[str, Any]
) -> None:
    assert render_netconf(outer, inner, "") == netconf
    assert render_netconf(outer, inner, "1.0.0") == {**netconf, "cniVersion": "1.0.0"}


def test_rendering_leaves_the_configuration_as_it_was() -> None:
    inner = {"type": "fake", "name": "own"}

    render_netconf(OUTER, inner, "1.0.0")

    assert inner == {"type": "fake", "name": "own"}


@pytest.mark.parametrize(
    ("inner", "keys"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param({"name": "net", "args": {"a": 1}}, [], id="the same"),
        pytest.param({"name": "own"}, ["name"], id="its name"),
        pytest.param({"name": "own", "args": {}}, ["name", "args"], id="both"),
    ],
)
def test_what_the_outer_configuration_overrules(inner: dict[str, Any], keys: list[str]) -> None:
    assert replaced_keys(OUTER, inner) == keys


def test_a_previous_result_is_decoded() -> None:
    netconf = {"prevResult": told_in("0.4.0")}

    assert previous_result(netconf, "1.0.0") == Result(version="0.4.0", document=told_in("0.4.0"))


@pytest.mark.parametrize("netconf", [{}, {"prevResult": None}], ids=["missing", "null"])
def test_a_configuration_has_no_previous_result(netconf: dict[str, Any]) -> None:
    assert previous_result(netconf, "1.0.0") is None


def test_a_malformed_previous_result_is_refused() -> None:
    with pytest.raises(MalformedResultError, match="not a JSON object"):
        previous_result({"prevResult": []}, "1.0.0")
