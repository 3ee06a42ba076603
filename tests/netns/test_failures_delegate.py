"""Delegates that fail: their words reach the operator, and nothing of the ADD remains."""

import time
from typing import Any

import pytest

from tests.netns.injection import DELEGATE, Scene, assert_failed, assert_no_processes, say, snapshot
from tests.netns.networks import dnat
from tests.netns.ports import Ports
from tests.support.delegates import RESULT, VERSIONS
from tests.support.host import Host
from tests.support.plugin import Plugin

ADDRESS = "192.168.7.2/24"
RESULTS: dict[str, dict[str, Any]] = {
    "0.1.0": {"ip4": {"ip": ADDRESS}},
    "0.2.0": {"ip4": {"ip": ADDRESS}},
    "0.3.0": {"ips": [{"version": "4", "address": ADDRESS}]},
    "0.3.1": {"ips": [{"version": "4", "address": ADDRESS}]},
    "0.4.0": {"ips": [{"version": "4", "address": ADDRESS}]},
    "1.0.0": {"ips": [{"address": ADDRESS}]},
    "1.1.0": {"ips": [{"address": ADDRESS}]},
}


@pytest.fixture
def scene(host: Host, plugin: Plugin) -> Scene:
    return Scene(host, plugin)


@pytest.mark.parametrize(
    ("document", "code", "words"),
    [
        ({"code": 11, "msg": "no address left now"}, 11, "no address left now"),
        ({"code": 50, "msg": "no uplink"}, 50, "no uplink"),
        ({"code": 51, "msg": "no uplink"}, 51, "no uplink"),
        ({"code": 999, "msg": "it broke", "details": "in two"}, 102, "it broke: in two"),
        ({"code": 7, "msg": "bad subnet"}, 102, "bad subnet"),
        ({"msg": "no code"}, 102, "no code"),
        ({"code": "eleven", "msg": "odd code"}, 102, "odd code"),
        ({"code": [11], "msg": "odder code"}, 102, "odder code"),
        ({"code": 11}, 102, '{"code": 11}'),
        ([1], 102, "[1]"),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else None,
)
def test_an_error_is_passed_on_in_the_delegates_words(
    scene: Scene, document: Any, code: int, words: str
) -> None:
    scene.delegate(f"{say(document)}\nexit 1")

    scene.assert_undone(scene.task().add(), code, words)


def test_a_crash_is_told_in_the_words_on_stderr(scene: Scene) -> None:
    scene.delegate("echo 'panic: oh no' >&2\nexit 3")

    answer = scene.task().add()

    scene.assert_undone(answer, 102, "panic: oh no")
    assert "exit status 3" in answer.document["msg"]
    assert "panic: oh no" in answer.stderr


def test_a_delegate_that_is_killed_is_named_with_its_signal(scene: Scene) -> None:
    scene.delegate("kill -KILL $$")

    scene.assert_undone(scene.task().add(), 102, "signal 9")


@pytest.mark.parametrize(
    ("add", "words"),
    [
        ("", "printed nothing"),
        ("echo", "printed nothing"),
        ("echo Error: no such thing", "Error: no such thing"),
        ("""printf '{"ips": ['""", '{"ips": ['),
        ("printf '\\377\\376'", "did not print JSON"),
        (say([RESULT]), "not a JSON object"),
        (say("fine"), "not a JSON object"),
        (say(None), "not a JSON object"),
        (say({"cniVersion": "1.0.0"}), "returned no address"),
        (say({"cniVersion": "1.0.0", "ips": {}}), "ips is not an array"),
        (say({"cniVersion": "1.0.0", "ips": [1]}), "not an object"),
        (say({"cniVersion": "1.0.0", "ips": [{"address": 1}]}), "address"),
        (say({"cniVersion": "1.0.0", "ips": [{"address": "192.168.7.2"}]}), "no address"),
        (say({"cniVersion": "1.0.0", "ips": [{"address": "192.168.7.256/24"}]}), "no address"),
        (say({"cniVersion": "1.0.0", "ips": [{"address": "192.168.7.2/33"}]}), "no address"),
        (say({"cniVersion": "1.0.0", "ips": [{"address": "-j ACCEPT/24"}]}), "no address"),
        (say({"cniVersion": "2.0.0", "ips": [{"address": ADDRESS}]}), "'2.0.0' is not supported"),
        (say({"cniVersion": ["1"], "ips": [{"address": ADDRESS}]}), "is not supported"),
    ],
    ids=[
        *("nothing", "blank", "words", "half", "bytes", "array", "string", "null", "no-ips"),
        *("ips-object", "ip-number", "address-number", "no-prefix", "octet", "long-prefix"),
        *("option", "future-version", "version-array"),
    ],
)
def test_an_unusable_result_fails_and_is_undone(scene: Scene, add: str, words: str) -> None:
    scene.delegate(add)

    answer = scene.task(cniVersion="1.0.0").add()

    scene.assert_undone(answer, 102, words)
    assert DELEGATE in answer.document["msg"]


def test_a_result_without_address_is_fine_without_mappings(scene: Scene) -> None:
    scene.delegate(say({"cniVersion": "1.0.0", "ips": [{"address": "fd00::2/64"}]}))
    task = scene.network.but(cniVersion="1.0.0").task(scene.container)

    assert task.attach().addresses == ["fd00::2/64"]
    assert snapshot(scene.host).rules == scene.before.rules
    task.detach()
    assert snapshot(scene.host) == scene.before


def test_a_delegate_that_hangs_is_killed_with_its_children(scene: Scene) -> None:
    scene.delegate("trap '' TERM\nsleep 61 &\n(sleep 62; :) &\nsleep 63")
    begin = time.monotonic()

    answer = scene.task(timeouts={"delegate": 0.3}).add()

    assert time.monotonic() - begin < 3
    scene.assert_undone(answer, 102)
    assert f"{DELEGATE} did not finish ADD in 0.3 s and was killed" in answer.document["msg"]
    assert_no_processes(scene.host)


def test_a_delegate_that_hangs_on_del_too_leaves_a_record_for_the_next_del(scene: Scene) -> None:
    scene.delegate("sleep 60", "sleep 60")
    task = scene.task(timeouts={"delegate": 0.3})

    assert_failed(task.add(), 102, "did not finish ADD")
    assert_failed(task.delete(), 102, "did not finish DEL")
    assert snapshot(scene.host).rules == scene.before.rules

    scene.delegate()
    assert task.delete().status == 0
    assert snapshot(scene.host) == scene.before


def test_the_first_failure_is_reported_when_undoing_fails_too(scene: Scene) -> None:
    scene.delegate(
        say({"code": 999, "msg": "first"}) + "\nexit 1",
        say({"code": 999, "msg": "second"}) + "\nexit 1",
    )

    answer = scene.task().add()

    assert_failed(answer, 102, "first")
    assert "second" in answer.stderr
    assert scene.commands == ["ADD", "DEL"]
    assert snapshot(scene.host).rules == scene.before.rules


def test_a_delegate_that_is_not_there_changes_nothing(scene: Scene) -> None:
    scene.host.path(f"{scene.delegates.directory}/{DELEGATE}").unlink()

    answer = scene.task().add()

    scene.assert_untouched(answer, 102, f"delegate.type: no plugin '{DELEGATE}' in CNI_PATH")
    assert scene.delegates.directory in answer.document["details"]


def test_a_delegate_that_is_not_executable_changes_nothing(scene: Scene) -> None:
    scene.host.path(f"{scene.delegates.directory}/{DELEGATE}").chmod(0o644)

    scene.assert_untouched(scene.task().add(), 102, f"no plugin '{DELEGATE}' in CNI_PATH")


def test_a_delegate_of_an_unknown_format_fails_add_and_can_be_replaced(scene: Scene) -> None:
    scene.host.path(f"{scene.delegates.directory}/{DELEGATE}").write_bytes(b"\x7fELF nonsense")

    assert_failed(scene.task().add(), 102, "cannot run the delegate")
    assert snapshot(scene.host).rules == scene.before.rules

    scene.delegate()
    assert scene.task().delete().status == 0
    assert snapshot(scene.host) == scene.before


def test_a_version_that_is_refused_is_agreed_on_and_kept_for_del(scene: Scene) -> None:
    error = {"cniVersion": "0.4.0", "code": 1, "msg": "incompatible CNI versions"}
    accepted = (
        'grep -q \'"cniVersion":"0.4.0"\' "$journal.stdin" || {\n' + say(error) + "\nexit 1; }\n"
    )
    scene.delegate(
        accepted + say(RESULTS["0.4.0"] | {"cniVersion": "0.4.0"}),
        accepted,
        versions=["0.1.0", "0.3.1", "0.4.0", "9.9.9"],
    )
    task = scene.task(cniVersion="1.1.0")

    answer = task.attach()

    assert answer.document == {"cniVersion": "1.1.0", "ips": [{"address": ADDRESS}], "dns": {}}
    task.detach()
    calls = [
        (call.command, call.config.get("cniVersion")) for call in scene.delegates.calls(DELEGATE)
    ]
    assert [call for call in calls if call[0] != "VERSION"] == [
        ("ADD", "1.1.0"),
        ("ADD", "0.4.0"),
        ("DEL", "0.4.0"),
    ]
    assert [command for command, _ in calls].count("VERSION") == 1
    assert snapshot(scene.host) == scene.before


@pytest.mark.parametrize(
    "versions", [["9.9.9"], ["1.1.0"], []], ids=["future", "the-refused-one", "none"]
)
def test_a_version_without_an_alternative_fails(scene: Scene, versions: list[str]) -> None:
    scene.delegate(
        say({"code": 1, "msg": "incompatible CNI versions"}) + "\nexit 1", versions=versions or [""]
    )

    scene.assert_undone(scene.task(cniVersion="1.1.0").add(), 102, "incompatible CNI versions")


@pytest.mark.parametrize("asked", [None, *VERSIONS])
@pytest.mark.parametrize("returned", VERSIONS)
def test_rules_come_from_results_of_every_version(
    scene_of_versions: Scene, returned: str, asked: str | None
) -> None:
    scene = scene_of_versions
    scene.delegate(say(RESULTS[returned] | {"cniVersion": returned}))
    task = scene.task(cniVersion=asked)

    answer = task.attach()

    rule = dnat(8080, "192.168.7.2:80", task)
    assert set(snapshot(scene.host).rules) - set(scene.before.rules) == {rule}
    shape = asked or "0.2.0"
    expected = RESULTS[shape].items()
    assert expected <= answer.document.items()
    # Without a version in its request, Mesos reads the result as the delegate gave it.
    assert answer.document["cniVersion"] in ((asked,) if asked else ("0.2.0", returned))
    task.detach()
    assert snapshot(scene.host) == scene.before


@pytest.fixture(scope="module")
def scene_of_versions(frozen: Any) -> Any:
    with Host() as host:
        yield Scene(host, Plugin(host, str(frozen)))


@pytest.mark.parametrize(
    ("delete", "code", "words"),
    [
        (say({"code": 999, "msg": "it is stuck"}) + "\nexit 1", 102, "it is stuck"),
        (say({"code": 11, "msg": "later"}) + "\nexit 1", 11, "later"),
        ("echo 'no luck' >&2\nexit 3", 102, "no luck"),
        ("sleep 60", 102, "did not finish DEL in 0.3 s"),
    ],
    ids=["error", "try-again", "crash", "hang"],
)
def test_a_del_that_fails_can_be_repeated(scene: Scene, delete: str, code: int, words: str) -> None:
    scene.delegate(delete=delete)
    task = scene.task(timeouts={"delegate": 0.3})
    task.attach()

    for _ in range(2):
        assert_failed(task.delete(), code, words)
        # The rules went first; the address is still taken.
        assert snapshot(scene.host).rules == scene.before.rules
        assert "web-1" in snapshot(scene.host).leases

    scene.delegate()
    assert task.delete().status == 0
    assert snapshot(scene.host) == scene.before
    assert scene.commands == ["ADD", "DEL", "DEL", "DEL"]


def test_a_del_without_its_delegate_removes_the_rules_and_can_be_repeated(scene: Scene) -> None:
    task = scene.task()
    task.attach()
    scene.host.path(f"{scene.delegates.directory}/{DELEGATE}").unlink()

    assert_failed(task.delete(), 102, f"no plugin '{DELEGATE}'")
    assert snapshot(scene.host).rules == scene.before.rules

    scene.delegate()
    assert task.delete().status == 0
    assert snapshot(scene.host) == scene.before


def test_an_add_that_fails_on_an_empty_host_leaves_it_empty(host: Host, plugin: Plugin) -> None:
    scene = Scene(host, plugin, alone=True)
    scene.delegate(f"{say({'code': 999, 'msg': 'it broke'})}\nexit 1")

    scene.assert_undone(scene.task().add(), 102, "it broke")
    assert scene.before.rules == ()


def test_an_add_that_fails_takes_nothing_from_an_earlier_owner(scene: Scene) -> None:
    scene.delegate(f"{say({'code': 999, 'msg': 'it broke'})}\nexit 1")

    scene.assert_undone(scene.task(8000).add(), 102, "it broke")


def test_a_repeated_add_that_fails_leaves_nothing(scene: Scene) -> None:
    first, second = scene.task(8080, 9090), scene.task(8080, 7070)
    first.attach()
    scene.delegate(f"{say({'code': 999, 'msg': 'it broke'})}\nexit 1")

    assert_failed(second.add(), 102, "it broke")

    assert snapshot(scene.host) == scene.before
    assert scene.commands == ["ADD", "ADD", "DEL"]
    assert scene.rules_at_del == list(scene.before.rules)


def test_a_plugin_killed_while_its_delegate_detaches_leaves_nothing_to_restore(
    scene: Scene,
) -> None:
    task = scene.task()
    task.attach()
    # The address may be somebody else's by the time that a restoration comes.
    scene.delegate(delete="kill -9 $PPID")
    assert task.delete().status == -9

    Ports(scene.host).succeed("restore")

    assert snapshot(scene.host).rules == scene.before.rules
    scene.delegate()
    task.detach()
    assert snapshot(scene.host) == scene.before
