"""Asking a plugin that is a program: what it is given, and every way in which it can go wrong."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mesos_cni_port_mapper.cni import executable
from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.cni.executable import Executable, VersionRefusedError, find_plugin
from mesos_cni_port_mapper.cni.result import Result
from tests.unit.children import in_child, is_gone, write_script

ANSWER = {"cniVersion": "1.0.0", "ips": [{"address": "192.0.2.2/24"}]}


@pytest.fixture
def plugin(tmp_path: Path) -> Callable[..., Executable]:
    """Make plugins out of the bodies of shell scripts."""

    def make(body: str, seconds: float = 10) -> Executable:
        program = write_script(tmp_path / "fake", body)
        return Executable(program=program, environ={"PATH": "/usr/bin:/bin"}, seconds=seconds)

    return make


def failure_of(ask: Callable[[], object]) -> tuple[str, int, str, str]:
    def work() -> tuple[str, int, str, str]:
        with pytest.raises(CniError) as failure:
            ask()
        error = failure.value
        return type(error).__name__, error.code, error.msg, error.details

    told: tuple[str, int, str, str] = in_child(work)
    return told


def test_a_plugin_gets_its_environment_and_its_configuration(
    tmp_path: Path, plugin: Callable[..., Executable]
) -> None:
    fake = plugin(
        f"env -u PWD -u _ -u SHLVL | sort >{tmp_path}/environ\n"
        f"cat >{tmp_path}/stdin\necho '{json.dumps(ANSWER)}'"
    ).but(environ={"PATH": "/usr/bin:/bin", "CNI_COMMAND": "replaced", "CNI_IFNAME": "eth0"})

    result = in_child(lambda: fake.add({"type": "fake", "a": "é"}, "0.2.0").document)

    assert result == ANSWER
    assert (tmp_path / "environ").read_text().splitlines() == [
        "CNI_COMMAND=ADD",
        "CNI_IFNAME=eth0",
        "PATH=/usr/bin:/bin",
    ]
    assert json.loads((tmp_path / "stdin").read_text()) == {"type": "fake", "a": "é"}


def test_an_answer_without_a_version_is_taken_to_be_in_the_one_asked(
    plugin: Callable[..., Executable],
) -> None:
    fake = plugin("""echo '{"ip4": {"ip": "192.0.2.2/24"}}'""")

    def work() -> bool:
        return fake.add({}, "0.2.0") == Result(
            version="0.2.0", document={"ip4": {"ip": "192.0.2.2/24"}}
        )

    assert in_child(work)


def test_a_command_without_a_result_may_print_anything(plugin: Callable[..., Executable]) -> None:
    assert in_child(lambda: plugin("echo nonsense").command("DEL", {})) is None


@pytest.mark.parametrize(
    ("body", "code", "msg", "details"),
    [
        pytest.param(
            """echo '{"code": 7, "msg": "bad subnet", "details": "10.0"}'; exit 1""",
            102,
            "delegate fake failed on ADD (code 7)",
            "bad subnet: 10.0",
            id="with a document",
        ),
        pytest.param(
            """echo '{"code": 11, "msg": "busy"}'; exit 1""",
            11,
            "delegate fake failed on ADD (code 11)",
            "busy",
            id="with code 11, which passes through",
        ),
        pytest.param(
            """echo '{"code": 50, "msg": "full"}'; exit 1""",
            50,
            "delegate fake failed on ADD (code 50)",
            "full",
            id="with code 50, which passes through",
        ),
        pytest.param(
            """echo '{"msg": "no code"}'; exit 3""",
            102,
            "delegate fake failed on ADD (exit status 3)",
            "no code",
            id="with a document without a code",
        ),
        pytest.param(
            """echo '{"code": [], "msg": "odd", "details": {}}'; exit 3""",
            102,
            "delegate fake failed on ADD (exit status 3)",
            "odd",
            id="with a document of odd types",
        ),
        pytest.param(
            "echo no JSON; echo words >&2; exit 4",
            102,
            "delegate fake failed on ADD (exit status 4)",
            "no JSON",
            id="with words on stdout",
        ),
        pytest.param(
            "echo words >&2; exit 4",
            102,
            "delegate fake failed on ADD (exit status 4)",
            "words",
            id="with words on stderr alone",
        ),
        pytest.param(
            "exit 4", 102, "delegate fake failed on ADD (exit status 4)", "", id="silently"
        ),
        pytest.param(
            "kill -9 $$", 102, "delegate fake failed on ADD (signal 9)", "", id="by a signal"
        ),
        pytest.param(
            "printf '\\377'; exit 1",
            102,
            "delegate fake failed on ADD (exit status 1)",
            "\N{REPLACEMENT CHARACTER}",
            id="with bytes that are no UTF-8",
        ),
        pytest.param(
            "true", 102, "delegate fake printed nothing on ADD", "", id="by saying nothing"
        ),
        pytest.param(
            "echo '  '", 102, "delegate fake printed nothing on ADD", "", id="by printing blanks"
        ),
        pytest.param(
            "echo hello",
            102,
            "delegate fake did not print JSON on ADD: Expecting value: line 1 column 1 (char 0)",
            "hello",
            id="by printing garbage",
        ),
        pytest.param(
            "echo '[]'",
            102,
            "delegate fake returned no usable result for ADD",
            "it is not a JSON object",
            id="by printing an array",
        ),
        pytest.param(
            """echo '{"cniVersion": "1.0.0", "interfaces": [5], "ips": []}'""",
            102,
            "delegate fake returned no usable result for ADD",
            "interfaces[0] is not an object",
            id="by printing an interface that is none",
        ),
        pytest.param(
            "echo '[1e999]'",
            102,
            "delegate fake did not print JSON on ADD: 1e999 is too large a number",
            "[1e999]",
            id="by printing a number nobody can repeat",
        ),
    ],
)
def test_a_plugin_fails(
    plugin: Callable[..., Executable], body: str, code: int, msg: str, details: str
) -> None:
    fake = plugin(body)

    assert failure_of(lambda: fake.add({}, "1.0.0")) == ("CniError", code, msg, details)


def test_a_plugin_that_talks_too_much_is_quoted_in_part(
    plugin: Callable[..., Executable],
) -> None:
    fake = plugin("head -c 9000 /dev/zero | tr '\\0' a; echo end; exit 1")

    _, _, _, details = failure_of(lambda: fake.add({}, "1.0.0"))

    assert details == f"{'a' * 2000} [...] {'a' * 1997}end"


def test_a_refused_version_is_an_error_of_its_own(plugin: Callable[..., Executable]) -> None:
    fake = plugin("""echo '{"code": 1, "msg": "incompatible"}'; exit 1""")

    assert failure_of(lambda: fake.add({}, "1.0.0")) == (
        VersionRefusedError.__name__,
        102,
        "delegate fake failed on ADD (code 1)",
        "incompatible",
    )


def test_a_log_on_stderr_is_passed_on(
    plugin: Callable[..., Executable], capfd: pytest.CaptureFixture[str]
) -> None:
    fake = plugin(f"echo 'a warning' >&2; echo '{json.dumps(ANSWER)}'")

    in_child(lambda: fake.add({}, "1.0.0").document)

    assert capfd.readouterr() == ("", "a warning\n")


def test_a_plugin_that_hangs_is_killed_with_its_children(
    tmp_path: Path, plugin: Callable[..., Executable]
) -> None:
    fake = plugin(f"echo $$ >{tmp_path}/pid; sleep 60 & sleep 60", seconds=0.3)

    assert failure_of(lambda: fake.add({}, "1.0.0")) == (
        "CniError",
        102,
        "delegate fake did not finish ADD in 0.3 s and was killed",
        "",
    )
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_a_program_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    program = tmp_path / "fake"
    program.write_bytes(b"\x7fELF, but not really")
    program.chmod(0o755)
    fake = Executable(program=str(program), environ={}, seconds=1)

    assert failure_of(lambda: fake.command("DEL", {})) == (
        "CniError",
        102,
        f"cannot run the delegate {program}",
        "Exec format error",
    )


@pytest.mark.parametrize(
    ("answer", "versions"),
    [
        pytest.param({"supportedVersions": ["0.4.0", "1.0.0"]}, ["0.4.0", "1.0.0"], id="a list"),
        pytest.param({"supportedVersions": []}, [], id="an empty list"),
        pytest.param({"supportedVersions": None}, [], id="null"),
        pytest.param({"supportedVersions": 5}, [], id="a number"),
        pytest.param({"supportedVersions": "1.0.0"}, [], id="a string"),
        pytest.param({}, [], id="nothing"),
        pytest.param([], [], id="an array"),
    ],
)
def test_the_versions_a_plugin_offers(
    plugin: Callable[..., Executable], answer: Any, versions: list[str]
) -> None:
    fake = plugin(f"[ $CNI_COMMAND = VERSION ] && echo '{json.dumps(answer)}'")

    assert in_child(fake.supported_versions) == versions


def test_the_first_executable_in_the_path_is_the_plugin(tmp_path: Path) -> None:
    for name in ("first", "second", "third"):
        (tmp_path / name).mkdir()
    (tmp_path / "first" / "fake").mkdir()
    (tmp_path / "second" / "fake").write_text("not executable")
    program = write_script(tmp_path / "third" / "fake", "true")
    path = [f"{tmp_path}/{name}" for name in ("missing", "first", "second", "third")]

    assert find_plugin("fake", path) == program


def test_a_plugin_that_is_not_there_is_named_with_where_it_was_sought() -> None:
    builtin = f"{Path(sys.executable).resolve().parent}/.mesos-cni-delegates"

    with pytest.raises(CniError) as failure:
        find_plugin("fake", ("/nowhere", "/else"))

    assert (failure.value.code, failure.value.msg, failure.value.details) == (
        102,
        "delegate.type: no plugin 'fake' in CNI_PATH, and none of ours",
        f"looked in: /nowhere, /else, {builtin}",
    )


def test_a_plugin_beside_our_program_is_found_after_those_in_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "path").mkdir()
    (tmp_path / ".mesos-cni-delegates").mkdir()
    monkeypatch.setattr(executable, "own_directory", lambda: str(tmp_path))
    builtin = write_script(tmp_path / ".mesos-cni-delegates" / "fake", "true")

    assert find_plugin("fake", [str(tmp_path / "path")]) == builtin
    given = write_script(tmp_path / "path" / "fake", "true")
    assert find_plugin("fake", [str(tmp_path / "path")]) == given


def open_files() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_a_plugin_leaves_no_descriptors_behind(plugin: Callable[..., Executable]) -> None:
    fake = plugin("exit 0")

    def work() -> bool:
        before = open_files()
        fake.command("DEL", {})
        return open_files() == before

    assert in_child(work)
