"""flannel between the runtime and its delegate: when what is saved, and who undoes what."""

import json
from pathlib import Path
from typing import Any

import pytest

from delegates import flannel
from delegates.flannel import Flannel
from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.cni.request import Request
from mesos_cni_port_mapper.linux.signals import Interrupted
from tests.unit.children import in_child, write_script
from tests.unit.delegates.ipam_requests import refusal, request

ENV = """\
FLANNEL_NETWORK=10.42.0.0/16
FLANNEL_SUBNET=10.42.31.1/24
FLANNEL_MTU=1450
FLANNEL_IPMASQ=true
"""
RESULT = {"cniVersion": "1.0.0", "ips": [{"address": "10.42.31.2/24"}], "dns": {}}
FOUR = {"ip4": {"ip": "10.42.31.2/24"}, "dns": {}}


class Fake:
    """A built-in delegate that keeps a journal, and fails if it is told to."""

    def __init__(self, saved: Path, failure: BaseException | None = None) -> None:
        self.saved = saved
        self.failure = failure
        self.journal: list[tuple[str, str, bool]] = []

    def _note(self, method: str, request: Request) -> None:
        self.journal.append((method, request.netconf["type"], self.saved.exists()))
        if self.failure is not None:
            raise self.failure

    def add(self, request: Request) -> dict[str, Any]:
        self._note("add", request)
        return RESULT

    def delete(self, request: Request) -> None:
        self._note("delete", request)

    def check(self, request: Request) -> None:
        self._note("check", request)
        self.asked = request

    def status(self, request: Request) -> None:
        self._note("status", request)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Return where the delegate's configuration will be saved, with subnet.env in place."""
    (tmp_path / "subnet.env").write_text(ENV)
    return tmp_path / "data" / "web-1"


def asked(saved: Path, delegate: Any = None, **more: Any) -> Request:
    base = saved.parent.parent
    return request(
        None,
        type="flannel",
        subnetFile=str(base / "subnet.env"),
        dataDir=str(base / "data"),
        delegate=delegate,
        path=(str(base),),
        **more,
    )


def fake(
    saved: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException | None = None
) -> Fake:
    plugin = Fake(saved, failure)
    monkeypatch.setattr(flannel, "make_plugin", lambda _: plugin)
    return plugin


def test_it_is_saved_before_the_delegate_attaches_and_removed_after_it_detached(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = fake(saved, monkeypatch)

    def work() -> Any:
        result = Flannel().add(asked(saved))
        Flannel().delete(asked(saved))
        Flannel().delete(asked(saved))
        return result, plugin.journal

    assert in_child(work) == (RESULT, [("add", "bridge", True), ("delete", "bridge", True)])
    assert not saved.exists()


def test_the_delegate_detaches_by_what_was_saved(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = fake(saved, monkeypatch)

    def work() -> Any:
        Flannel().add(asked(saved, {"type": "macvlan"}))
        (saved.parent.parent / "subnet.env").unlink()
        Flannel().delete(asked(saved, {"type": "bridge", "name": "is refused by ADD"}))
        return plugin.journal[-1]

    assert in_child(work) == ("delete", "macvlan", True)


@pytest.mark.parametrize(
    "failure", [CniError(7, "no"), Interrupted(15), ValueError("a bug")], ids=str
)
def test_a_failed_add_leaves_nothing_saved(
    saved: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    plugin = fake(saved, monkeypatch, failure)

    def work() -> Any:
        with pytest.raises(type(failure)) as raised:
            Flannel().add(asked(saved))
        return str(raised.value), plugin.journal

    assert in_child(work) == (str(failure), [("add", "bridge", True)])
    assert list(saved.parent.iterdir()) == []


def test_a_failed_add_that_could_not_be_undone_leaves_it_for_the_del(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(saved, monkeypatch, CniError(106, "rules may remain"))

    assert in_child(lambda: refusal(lambda: Flannel().add(asked(saved)))) == (
        106,
        "rules may remain",
    )
    assert saved.exists()


def test_a_failed_del_can_be_repeated(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = fake(saved, monkeypatch)

    def work() -> Any:
        Flannel().add(asked(saved))
        plugin.failure = CniError(103, "locked")
        with pytest.raises(CniError):
            Flannel().delete(asked(saved))
        kept = saved.exists()
        plugin.failure = None
        Flannel().delete(asked(saved))
        return kept, saved.exists()

    assert in_child(work) == (True, False)


def test_check_is_asked_with_what_was_saved_and_the_previous_result(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = fake(saved, monkeypatch)

    def work() -> Any:
        nothing = refusal(lambda: Flannel().check(asked(saved)))
        Flannel().add(asked(saved))
        netconf = json.loads(saved.read_text())
        Flannel().check(asked(saved, prevResult=RESULT))
        return nothing, netconf, plugin.asked.netconf

    nothing, netconf, sent = in_child(work)
    assert nothing == (
        999,
        "eth0 of container web-1 has not been attached: nothing was saved",
    )
    del netconf["ifname"]
    assert sent == netconf | {"prevResult": RESULT}


def test_without_subnet_env_nothing_is_asked_or_saved(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = fake(saved, monkeypatch)
    path = saved.parent.parent / "subnet.env"
    path.unlink()

    def work() -> Any:
        return refusal(lambda: Flannel().add(asked(saved))), plugin.journal

    assert in_child(work) == ((999, f"there is no {path}"), [])
    assert not saved.parent.exists()


def test_status_is_the_delegates_when_there_is_a_subnet(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = fake(saved, monkeypatch)

    def work() -> Any:
        Flannel().status(asked(saved))
        return plugin.journal

    assert in_child(work) == [("status", "bridge", False)]
    path = saved.parent.parent / "subnet.env"
    path.write_text(ENV.replace("FLANNEL_MTU=1450\n", ""))
    refused = in_child(lambda: refusal(lambda: Flannel().status(asked(saved))))
    assert refused == (50, f"{path} has no FLANNEL_MTU")


def test_the_failure_is_told_even_where_nothing_can_be_restored(
    saved: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    class Breaking(Fake):
        def add(self, request: Request) -> dict[str, Any]:
            saved.unlink()
            saved.mkdir()
            raise CniError(7, "why it failed")

    monkeypatch.setattr(flannel, "make_plugin", lambda _: Breaking(saved))

    told = in_child(lambda: refusal(lambda: Flannel().add(asked(saved))))

    assert told == (7, "why it failed")
    assert f"cannot remove {saved}" in capfd.readouterr().err


def test_a_delegate_that_is_nowhere_is_named_before_anything_is_saved(saved: Path) -> None:
    code, message = in_child(
        lambda: refusal(lambda: Flannel().add(asked(saved, {"type": "none-such"})))
    )

    assert (code, "'none-such'" in message) == (102, True)
    assert not saved.parent.exists()


@pytest.mark.parametrize("name", ["../fake", "", "."])
def test_a_delegate_that_is_no_plugins_name_is_refused(saved: Path, name: str) -> None:
    code, message = in_child(lambda: refusal(lambda: Flannel().add(asked(saved, {"type": name}))))

    assert (code, message.partition(":")[0]) == (7, "delegate.type")


def script(saved: Path, body: str) -> Path:
    """Write a delegate for CNI_PATH that says what it is asked, and return where it says so."""
    journal = saved.parent.parent / "journal"
    write_script(
        saved.parent.parent / "fake", f'echo "$CNI_COMMAND $CNI_IFNAME" >>{journal}\n{body}'
    )
    return journal


def test_a_delegate_of_the_path_is_run_with_what_is_saved(saved: Path) -> None:
    body = f"cat >{saved}.$CNI_COMMAND\n[ $CNI_COMMAND = DEL ] || echo '{json.dumps(RESULT)}'"
    journal = script(saved, body)

    def work() -> Any:
        result = Flannel().add(asked(saved, {"type": "fake", "a": 1}))
        Flannel().delete(asked(saved, {"type": "fake"}))
        return result

    assert in_child(work) == RESULT
    assert journal.read_text() == "ADD eth0\nDEL eth0\n"
    given = [json.loads(Path(f"{saved}.{command}").read_text()) for command in ("ADD", "DEL")]
    assert given[0] == given[1]
    assert (given[0]["a"], given[0]["mtu"]) == (1, 1450)
    assert "ifname" not in given[0]
    assert not saved.exists()


def test_an_older_answer_is_given_in_the_version_asked(saved: Path) -> None:
    script(saved, f"echo '{json.dumps(FOUR | {'cniVersion': '0.2.0'})}'")

    assert in_child(lambda: Flannel().add(asked(saved, {"type": "fake"}))) == RESULT


def test_without_a_version_the_answer_goes_on_as_it_came(saved: Path) -> None:
    script(saved, f"echo '{json.dumps(FOUR)}'")
    unversioned = asked(saved, {"type": "fake"}, version="0.2.0")
    del unversioned.netconf["cniVersion"]

    assert in_child(lambda: Flannel().add(unversioned)) == FOUR
    assert "cniVersion" not in json.loads(saved.read_text())


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        ("exit 3", "1.0.0"),
        ("echo garbage", "1.0.0"),
        ("kill -9 $$", "1.0.0"),
        # A result without an address is one, but the oldest versions have no room for that.
        ('echo \'{"cniVersion": "1.0.0"}\'', "0.1.0"),
    ],
)
def test_a_program_that_fails_is_asked_to_detach(saved: Path, answer: str, version: str) -> None:
    journal = script(saved, f"[ $CNI_COMMAND = DEL ] && exit 0\n{answer}")

    code, _ = in_child(
        lambda: refusal(lambda: Flannel().add(asked(saved, {"type": "fake"}, version=version)))
    )
    assert code == 102
    assert journal.read_text() == "ADD eth0\nDEL eth0\n"
    assert list(saved.parent.iterdir()) == []


def test_a_program_that_can_do_neither_is_left_to_the_runtimes_del(saved: Path) -> None:
    script(saved, 'echo \'{"code":7,"msg":"what is wrong"}\'; exit 1')

    code, message = in_child(lambda: refusal(lambda: Flannel().add(asked(saved, {"type": "fake"}))))
    assert (code, "what is wrong" in message) == (106, True)
    assert saved.exists()
