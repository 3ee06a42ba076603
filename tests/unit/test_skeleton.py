"""The frame around a plugin: whatever happens, the runtime gets a document and a status."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from mesos_cni_port_mapper.cni import skeleton, version
from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.cni.request import Request
from mesos_cni_port_mapper.linux.signals import Interrupted
from tests.unit.streams import content, memory

ENVIRON = {
    "CNI_COMMAND": "ADD",
    "CNI_CONTAINERID": "web-1",
    "CNI_IFNAME": "eth0",
    "CNI_NETNS": "/run/netns/web-1",
    "CNI_PATH": "/opt/cni/bin",
}
NETCONF = {"cniVersion": "1.0.0", "name": "net", "type": "fake"}
RESULT = {"cniVersion": "1.0.0", "ips": [{"address": "192.0.2.2/24"}]}


class Fake:
    """A plugin that keeps a journal of what it is asked, and fails if it is told to."""

    def __init__(self, failure: BaseException | None = None) -> None:
        self.journal: list[tuple[str, str, str]] = []
        self.failure = failure

    def _note(self, method: str, request: Request) -> None:
        self.journal.append((method, request.command, request.version))
        if self.failure is not None:
            raise self.failure

    def add(self, request: Request) -> dict[str, Any]:
        self._note("add", request)
        return RESULT

    def delete(self, request: Request) -> None:
        self._note("delete", request)

    def check(self, request: Request) -> None:
        self._note("check", request)

    def gc(self, request: Request) -> None:
        self._note("gc", request)

    def status(self, request: Request) -> None:
        self._note("status", request)


def serve(
    plugin: Callable[[], Fake],
    environ: Mapping[str, str] = ENVIRON,
    netconf: object = NETCONF,
) -> tuple[int, Any]:
    """Serve one request; return the status and the document printed, or "" for none."""
    with memory(json.dumps(netconf).encode()) as stdin, memory() as stdout:
        status = skeleton.serve(plugin, environ, stdin, stdout)
        printed = content(stdout)
    assert printed == b"" or printed.endswith(b"\n")
    return status, json.loads(printed) if printed else ""


def no_plugin() -> Fake:
    raise AssertionError("nobody needs a plugin here")


def test_an_add_prints_its_result() -> None:
    fake = Fake()

    assert serve(lambda: fake) == (0, RESULT)
    assert fake.journal == [("add", "ADD", "1.0.0")]


@pytest.mark.parametrize(("command", "method"), [("DEL", "delete"), ("CHECK", "check")])
def test_other_commands_print_nothing(command: str, method: str) -> None:
    fake = Fake()

    assert serve(lambda: fake, {**ENVIRON, "CNI_COMMAND": command}) == (0, "")
    assert fake.journal == [(method, command, "1.0.0")]


def test_the_answer_to_version_is_what_is_supported() -> None:
    assert json.loads(skeleton.VERSION_ANSWER) == {
        "cniVersion": version.NEWEST,
        "supportedVersions": list(version.SUPPORTED),
    }


def test_version_looks_at_nothing_but_the_command() -> None:
    with memory() as stdin:
        pass

    with memory() as stdout:
        status = skeleton.serve(no_plugin, {"CNI_COMMAND": "VERSION"}, stdin, stdout)

        assert (status, content(stdout)) == (0, skeleton.VERSION_ANSWER)


def test_version_leaves_stdin_unread() -> None:
    with memory(b"not JSON") as stdin, memory() as stdout:
        skeleton.serve(no_plugin, {"CNI_COMMAND": "VERSION"}, stdin, stdout)

        assert os.lseek(stdin, 0, os.SEEK_CUR) == 0


def test_version_imports_nothing_of_the_plugin() -> None:
    program = (
        "import os, sys; from mesos_cni_port_mapper.cni.skeleton import serve;"
        "before = set(sys.modules); serve(None, {'CNI_COMMAND': 'VERSION'}, 0, 1);"
        "os.write(2, repr(set(sys.modules) - before).encode())"
    )
    done = subprocess.run([sys.executable, "-Sc", program], check=False, capture_output=True)

    assert (done.stdout, done.stderr) == (skeleton.VERSION_ANSWER, b"set()")


def test_a_failure_is_a_document() -> None:
    fake = Fake(CniError(11, "busy", "pid 7 holds it"))

    assert serve(lambda: fake) == (
        1,
        {"cniVersion": "1.0.0", "code": 11, "msg": "busy", "details": "pid 7 holds it"},
    )


def test_a_failure_without_details_has_no_such_field() -> None:
    fake = Fake(CniError(11, "busy"))

    assert serve(lambda: fake) == (1, {"cniVersion": "1.0.0", "code": 11, "msg": "busy"})


@pytest.mark.parametrize(
    ("named", "answered"),
    [
        pytest.param({"cniVersion": "0.3.1"}, "0.3.1", id="the version that is named"),
        pytest.param({}, "0.2.0", id="0.2.0 where none is named"),
        pytest.param({"cniVersion": "9.9.9"}, "1.1.0", id="the newest where it is unknown"),
    ],
)
def test_a_failure_is_told_in(named: dict[str, str], answered: str) -> None:
    status, document = serve(lambda: Fake(CniError(5, "no")), netconf={"name": "net", **named})

    assert (status, document["cniVersion"]) == (1, answered)


def test_an_interruption_asks_to_try_again() -> None:
    assert serve(lambda: Fake(Interrupted(15))) == (
        1,
        {"cniVersion": "1.0.0", "code": 11, "msg": "interrupted by signal 15"},
    )


def test_a_bug_is_a_document_and_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert serve(lambda: Fake(KeyError("oops"))) == (
        1,
        {
            "cniVersion": "1.0.0",
            "code": 199,
            "msg": "this is a bug in mesos-cni-port-mapper",
            "details": "KeyError('oops')",
        },
    )
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Traceback (most recent call last):\n")
    assert captured.err.endswith("\nKeyError: 'oops'\n")


def test_a_plugin_that_cannot_be_made_is_a_document_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, document = serve(no_plugin)

    assert (status, document["code"]) == (1, 199)
    assert "nobody needs a plugin here" in capsys.readouterr().err


def test_a_bug_is_in_the_program_that_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    with memory(json.dumps(NETCONF).encode()) as stdin, memory() as stdout:
        skeleton.serve(lambda: Fake(KeyError("oops")), ENVIRON, stdin, stdout, "mesos-cni-delegate")

        assert json.loads(content(stdout))["msg"] == "this is a bug in mesos-cni-delegate"
    assert "KeyError" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["GC", "STATUS"])
def test_commands_about_a_network_name_no_container(command: str) -> None:
    plugin = Fake()
    environ = {"CNI_COMMAND": command, "CNI_PATH": "/opt/cni/bin"}

    assert serve(lambda: plugin, environ, {**NETCONF, "cniVersion": "1.1.0"}) == (0, "")
    assert plugin.journal == [(command.lower(), command, "1.1.0")]


@pytest.mark.parametrize("command", ["GC", "STATUS"])
def test_commands_of_a_later_version_are_code_1(command: str) -> None:
    status, document = serve(Fake, {"CNI_COMMAND": command, "CNI_PATH": "/opt/cni/bin"})

    assert (status, document["code"]) == (1, 1)


@pytest.mark.parametrize("environ", [{}, {"CNI_COMMAND": ""}], ids=["missing", "empty"])
def test_no_command_is_code_4(environ: dict[str, str]) -> None:
    assert serve(no_plugin, environ) == (
        1,
        {"cniVersion": "1.1.0", "code": 4, "msg": "CNI_COMMAND is missing"},
    )


@pytest.mark.parametrize("command", ["add", "UPDATE", "ADD ", "version"])
def test_an_unknown_command_is_code_104(command: str) -> None:
    assert serve(no_plugin, {**ENVIRON, "CNI_COMMAND": command}) == (
        1,
        {
            "cniVersion": "1.1.0",
            "code": 104,
            "msg": f"CNI_COMMAND '{command}' is none of ADD, DEL, CHECK, GC, STATUS, VERSION",
        },
    )


def test_the_environment_is_complained_about_before_stdin() -> None:
    with memory(b"not JSON") as stdin, memory() as stdout:
        status = skeleton.serve(no_plugin, {"CNI_COMMAND": "ADD"}, stdin, stdout)

        assert (status, json.loads(content(stdout))["code"]) == (1, 4)


@pytest.mark.parametrize("command", ["ADD", "VERSION"])
def test_a_closed_stdout_makes_a_command_a_failure(command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)

    with memory(json.dumps(NETCONF).encode()) as stdin, contextlib.ExitStack() as stack:
        stack.callback(os.close, writer)
        status = skeleton.serve(Fake, {**ENVIRON, "CNI_COMMAND": command}, stdin, writer)

    assert status == 1


def test_an_answer_is_written_however_little_a_pipe_takes_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:7]))

    with memory() as stdin, memory() as stdout:
        status = skeleton.serve(no_plugin, {"CNI_COMMAND": "VERSION"}, stdin, stdout)

        assert (status, content(stdout)) == (0, skeleton.VERSION_ANSWER)
