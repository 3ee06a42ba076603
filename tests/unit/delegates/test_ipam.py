"""Whom a plugin asks for addresses, and that it makes no difference where they run."""

import functools
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from delegates import ipam as ipam_module
from delegates.ipam import open_ipam
from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.cni.request import Request
from tests.support.builtin import write_stubs
from tests.unit.children import in_child, write_script
from tests.unit.delegates.ipam_requests import refusal, request

ANSWER = {"cniVersion": "1.0.0", "ips": [{"address": "192.0.2.2/24"}]}


def opened(asked: Request) -> Any:
    ipam = open_ipam(asked)
    assert ipam is not None
    return ipam


@pytest.mark.parametrize("ipam", [None, {}, {"type": ""}, {"type": None, "subnet": "192.0.2.0/24"}])
def test_without_a_type_nobody_is_asked(ipam: object) -> None:
    assert open_ipam(request(ipam)) is None


@pytest.mark.parametrize(
    ("ipam", "complaint"),
    [
        (5, "ipam: must be an object, not 5"),
        ({"type": 5}, "ipam.type: must be a string, not 5"),
        ({"type": "../x"}, "ipam.type: '../x' is no name of a plugin"),
    ],
)
def test_a_type_that_is_none_is_refused(ipam: object, complaint: str) -> None:
    assert refusal(lambda: open_ipam(request(ipam))) == (7, complaint)


def test_a_plugin_that_is_nowhere_is_named_with_where_it_was_sought() -> None:
    with pytest.raises(CniError) as failure:
        open_ipam(request({"type": "elsewhere"}, path=("/a", "/b")))

    assert failure.value.code == 102
    assert failure.value.msg == "ipam.type: no plugin 'elsewhere' is built in or in CNI_PATH"
    assert failure.value.details == "looked in: /a, /b"


def test_what_is_built_in_is_not_looked_for(tmp_path: Path) -> None:
    write_script(tmp_path / "static", "exit 1")
    asked = request({"type": "static", "addresses": [{"address": "::1/64"}]}, path=(str(tmp_path),))

    assert opened(asked).add().document["ips"] == [{"address": "::1/64"}]


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
def test_every_version_comes_back_in_one_shape(version: str) -> None:
    routes = [{"dst": "::/0", "gw": "fe80::1"}]
    ipam = {"type": "static", "addresses": [{"address": "fd00::5/64"}], "routes": routes}

    result = opened(request(ipam, version=version)).add()

    assert result.version == result.document["cniVersion"] == "1.0.0"
    assert result.document["ips"] == [{"address": "fd00::5/64"}]
    assert result.document["routes"] == routes


def test_what_only_the_newest_version_says_of_a_route_is_not_lost() -> None:
    routes = [{"dst": "::/0", "mtu": 1400}]
    ipam = {"type": "static", "addresses": [{"address": "fd00::5/64"}], "routes": routes}

    assert opened(request(ipam, version="1.1.0")).add().document["routes"] == routes


def test_what_is_built_in_is_asked_in_the_version_of_the_request() -> None:
    address = {"address": "192.0.2.5/24"}
    ipam = {"type": "static", "addresses": [address, address]}

    assert refusal(opened(request(ipam, version="0.2.0")).add)[0] == 7
    assert len(opened(request(ipam, version="0.3.0")).add().document["ips"]) == 2


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Any]:
    """Ask a program whose body is given."""

    def make(body: str, **options: Any) -> Any:
        write_script(tmp_path / "other", body)
        return opened(request({"type": "other"}, path=("/nowhere", str(tmp_path)), **options))

    return make


def failure_of(action: Callable[[], object]) -> tuple[int, str, str]:
    def work() -> tuple[int, str, str]:
        with pytest.raises(CniError) as failure:
            action()
        return failure.value.code, failure.value.msg, failure.value.details

    told: tuple[int, str, str] = in_child(work)
    return told


def test_a_program_gets_the_whole_request(tmp_path: Path, program: Callable[..., Any]) -> None:
    body = f"cat >{tmp_path}/$CNI_COMMAND\necho $CNI_IFNAME $CNI_ARGS >{tmp_path}/environ\n"
    ipam = program(f"{body}echo '{json.dumps(ANSWER)}'", cni_args="A=1", runtimeConfig={"a": 1})

    def work() -> Any:
        ipam.delete()
        ipam.check()
        return ipam.add().document

    assert in_child(work) == ANSWER
    for command in ("ADD", "DEL", "CHECK"):
        given = json.loads((tmp_path / command).read_bytes())
        assert given == {
            "cniVersion": "1.0.0",
            "name": "net",
            "type": "x",
            "ipam": {"type": "other"},
            "runtimeConfig": {"a": 1},
        }
    assert (tmp_path / "environ").read_text() == "eth0 A=1\n"


def test_a_programs_answer_without_a_version_has_that_of_the_request(
    program: Callable[..., Any],
) -> None:
    ipam = program("""echo '{"ip4": {"ip": "192.0.2.2/24"}}'""", version="0.2.0")

    assert in_child(lambda: ipam.add().document["ips"]) == ANSWER["ips"]


@pytest.mark.parametrize("command", ["add", "delete", "check"])
def test_a_programs_error_goes_on_as_it_came(program: Callable[..., Any], command: str) -> None:
    ipam = program("""echo '{"code": 77, "msg": "no more", "details": "at all"}'; exit 1""")

    assert failure_of(getattr(ipam, command)) == (77, "no more", "at all")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("echo broken >&2; exit 3", "ipam.type other failed on ADD (exit status 3)"),
        ("""echo '{"code": 0, "msg": "?"}'; exit 1""", "ipam.type other failed on ADD"),
        ("""echo '[1]'; exit 1""", "ipam.type other failed on ADD (exit status 1)"),
        ("""echo '{"ips": 5}'""", "ipam.type other returned no usable result for ADD"),
        ("""echo '{"ips": [], "cniVersion": "0.2.0"}'""", ""),
        ("echo junk", "ipam.type other did not print JSON on ADD"),
        ("true", "ipam.type other printed nothing on ADD"),
    ],
)
def test_a_program_without_a_proper_answer_has_failed(
    program: Callable[..., Any], body: str, words: str
) -> None:
    ipam = program(body)
    if not words:
        assert in_child(lambda: ipam.add().document.get("ips")) is None
        return
    code, message, _ = failure_of(ipam.add)
    assert (code, words in message) == (102, True)


def test_the_end_of_a_program_is_seen_by_whoever_asks(
    program: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ipam_module, "_SECONDS", 5)

    def work() -> Any:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        return program(f"sleep 0.1\necho '{json.dumps(ANSWER)}'").add().document

    assert in_child(work) == ANSWER


def test_a_program_that_hangs_is_ended(
    program: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ipam_module, "_SECONDS", 0.2)
    ipam = program("exec sleep 60")
    begin = time.monotonic()

    code, message, _ = failure_of(ipam.add)

    assert (code, "ipam.type other did not finish ADD in 0.2 s" in message) == (102, True)
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize("version", ["0.2.0", "0.3.1", "1.1.0"])
@pytest.mark.parametrize("extra", [{}, {"subnet": "192.0.2.0/33"}, {"routes": [{"dst": "::/0"}]}])
def test_in_process_and_as_a_program_are_the_same(
    tmp_path: Path, version: str, extra: dict[str, Any]
) -> None:
    """Each on files of its own: ADD twice, CHECK, DEL twice, CHECK, and ADD again."""
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    write_script(stubs / "other", f"exec {write_stubs(stubs)}/host-local")
    outcomes = []
    for name in ("host-local", "other"):
        base = tmp_path / name
        ipam = {"type": name, "dataDir": f"{base}", "subnet": "192.0.2.0/24", **extra}
        asked = request(ipam, version=version, path=(str(stubs),))
        told = in_child(functools.partial(run_through, asked))
        outcomes.append((str(told).replace("/other/", "/host-local/"), files_of(base)))

    assert outcomes[0] == outcomes[1]


def run_through(asked: Request) -> list[object]:
    ipam = opened(asked)
    outcomes: list[object] = []
    for action in ("add", "add", "check", "delete", "delete", "check", "add"):
        if action == "check" and asked.version < "0.4.0":
            continue  # The skeleton refuses it in a version that has no CHECK.
        try:
            result = getattr(ipam, action)()
        except CniError as error:
            outcomes.append((error.code, error.msg, error.details))
        else:
            outcomes.append(result.document if result is not None else None)
    return outcomes


def files_of(base: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in base.rglob("*") if path.is_file()}
