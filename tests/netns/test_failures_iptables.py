"""Tools that fail, hang, lie or are not there: an address is never freed before its rules."""

import pytest

from tests.netns.injection import Held, Scene, Tool, assert_failed, assert_no_processes, snapshot
from tests.netns.networks import dnat
from tests.support.agent import TOOLS
from tests.support.host import Host
from tests.support.plugin import Plugin

BOTH = ("iptables-restore", "iptables-save")
SAY_NO = 'echo "no such luck" >&2; exit 1'


@pytest.fixture
def scene(any_host: Host, any_plugin: Plugin) -> Scene:
    return Scene(any_host, any_plugin)


@pytest.fixture
def restore(any_host: Host) -> Tool:
    return Tool(any_host, "iptables-restore")


@pytest.fixture
def save(any_host: Host) -> Tool:
    return Tool(any_host, "iptables-save")


def hide_tools(host: Host) -> None:
    """Have no iptables anywhere: neither where PATH leads nor where the plugin looks besides."""
    for name in BOTH:
        host.path(f"{TOOLS}/{name}").rename(host.path(f"{TOOLS}/hidden-{name}"))
    for directory in ("/usr/sbin", "/sbin"):
        host.hide(directory)


# Without /usr/sbin the tools cannot be run to see what is left: what was left is looked at before.


def test_without_tools_an_add_with_mappings_fails_first(scene: Scene) -> None:
    hide_tools(scene.host)

    answer = scene.task().add()

    assert_failed(answer, 103, "iptables-restore and iptables-save are not installed")
    assert "/usr/sbin" in answer.document["details"]
    assert scene.commands == []
    assert "web-1" not in str(scene.host.files("/run/leases"))


def test_without_tools_a_container_without_mappings_comes_and_goes(scene: Scene) -> None:
    hide_tools(scene.host)
    task = scene.network.task(scene.container)

    task.attach()
    task.detach()

    assert scene.commands == ["ADD", "DEL"]


def test_without_tools_a_del_of_what_is_on_record_keeps_the_address(scene: Scene) -> None:
    task = scene.task()
    task.attach()
    hide_tools(scene.host)

    assert_failed(task.delete(), 103, "not installed")
    assert_failed(task.delete(), 103, "not installed")

    assert scene.commands == ["ADD"]
    assert "web-1" in scene.host.files("/run/leases")


def test_without_tools_and_state_a_del_succeeds(scene: Scene) -> None:
    hide_tools(scene.host)

    scene.task().detach()

    assert scene.commands == ["DEL"]


@pytest.mark.parametrize("missing", BOTH)
def test_one_tool_without_the_other_is_none(host: Host, plugin: Plugin, missing: str) -> None:
    scene = Scene(host, plugin)
    other = next(name for name in BOTH if name != missing)
    hide_tools(host)
    Tool(host, other).behave("exit 0")

    assert_failed(scene.task().add(), 103, "not installed")
    assert scene.commands == []


@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_single_refusal_is_got_over(scene: Scene, restore: Tool, call: int) -> None:
    restore.behave(f'[ $n = {call} ] && {{ {SAY_NO}; }}\nreal "$@"')
    task = scene.task()

    task.attach()
    restore.behave(f'[ $n = {call} ] && {{ {SAY_NO}; }}\nreal "$@"')
    rules = scene.host.ruleset()
    task.detach()

    assert set(rules) - set(scene.before.rules) == {dnat(8080, "192.168.7.2:80", task)}
    assert snapshot(scene.host) == scene.before


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (SAY_NO, "no such luck"),
        ("echo 'Bad argument' ; exit 2", "Bad argument"),
        ("exit 3", "exit status 3"),
        ("echo 'RULE_INSERT failed (No such file)' >&2; exit 4", "RULE_INSERT failed"),
    ],
    ids=["stderr", "stdout", "silence", "resource-problem"],
)
def test_a_refusal_is_undone_and_told_in_the_tools_words(
    scene: Scene, restore: Tool, body: str, words: str
) -> None:
    restore.behave(body)

    scene.assert_undone(scene.task().add(), 103, words)

    assert restore.calls <= 5


def test_what_was_done_in_spite_of_a_refusal_is_seen(scene: Scene, restore: Tool) -> None:
    restore.behave(f'real "$@"\n[ $n = 1 ] && {{ {SAY_NO}; }}')
    task = scene.task()

    task.attach()
    task.detach()

    assert snapshot(scene.host) == scene.before


@pytest.mark.parametrize("done", ["", 'real "$@"'], ids=["before", "after"])
@pytest.mark.parametrize(
    ("body", "words"),
    [("exec sleep 61", "did not finish in 1 s and was killed"), ("kill -SEGV $$", "signal 11")],
    ids=["hang", "signal"],
)
def test_an_unknown_outcome_is_swept(
    scene: Scene, restore: Tool, done: str, body: str, words: str
) -> None:
    restore.behave(f'[ $n = 1 ] || {{ real "$@"; exit; }}\n{done}\n{body}')

    answer = scene.task(timeouts={"tools": 1}).add()

    scene.assert_undone(answer, 103, words)
    assert_no_processes(scene.host)


@pytest.mark.parametrize("body", ["exec sleep 61", "kill -SEGV $$"], ids=["hang", "signal"])
def test_while_rules_may_remain_the_address_is_kept(
    any_host: Host, any_plugin: Plugin, restore: Tool, body: str
) -> None:
    # Alone, because where others stay the nft variant's rules are removed without the tool.
    scene = Scene(any_host, any_plugin, alone=True)
    restore.behave(f'[ $n = 1 ] && real "$@"\n{body}')
    task = scene.task(timeouts={"tools": 0.3})

    answer = task.add()

    assert_failed(answer, 106, "rules may remain after")
    assert scene.commands == ["ADD"]
    rule = dnat(8080, "192.168.7.2:80", task)
    assert rule in scene.host.ruleset()
    assert_failed(task.delete(), 103)
    assert scene.commands == ["ADD"]
    assert "web-1" in snapshot(scene.host).leases

    restore.repair()
    task.detach()

    assert snapshot(scene.host) == scene.before
    assert scene.commands == ["ADD", "DEL"]
    assert scene.rules_at_del == list(scene.before.rules)


@pytest.mark.parametrize("body", ["exec sleep 61", "kill -SEGV $$"], ids=["hang", "signal"])
def test_rules_in_nf_tables_are_swept_although_the_tool_is_broken(
    host: Host, plugin: Plugin, body: str
) -> None:
    scene = Scene(host, plugin)
    Tool(host, "iptables-restore").behave(f'[ $n = 1 ] && real "$@"\n{body}')

    answer = scene.task(timeouts={"tools": 1}).add()

    scene.assert_undone(answer, 103, "iptables-restore")


def test_a_takeover_that_fails_leaves_the_owner_its_port(scene: Scene, restore: Tool) -> None:
    restore.behave(SAY_NO)

    scene.assert_undone(scene.task(8000).add(), 103, "no such luck")


@pytest.mark.parametrize("done", ["", 'real "$@"'], ids=["before", "after"])
def test_a_takeover_of_unknown_outcome_gives_the_port_back(
    scene: Scene, restore: Tool, done: str
) -> None:
    restore.behave(f'[ $n = 1 ] || {{ real "$@"; exit; }}\n{done}\nexec sleep 61')

    scene.assert_undone(scene.task(8000, timeouts={"tools": 1}).add(), 103, "did not finish")


def test_chatter_of_a_tool_that_succeeds_means_nothing(scene: Scene, restore: Tool) -> None:
    restore.behave('echo "# Warning: tables present"; echo Warning >&2; real "$@"')
    task = scene.task()

    task.attach()
    task.detach()

    assert snapshot(scene.host) == scene.before


LISTINGS = {
    "error": SAY_NO,
    "hang": "exec sleep 61",
    "signal": "kill -SEGV $$",
    "nothing": "exit 0",
    "half": 'real "$@" | grep -v COMMIT',
    "incompatible": """echo "# Table \\`nat' is incompatible, use 'nft' tool."\nexit 0""",
    "nonsense": "echo ':half'; echo; echo ':'; echo '-A'; echo '-A X'; head -c 999 /dev/urandom",
    "committed-nonsense": "printf ':half\\n:\\n-A\\n-A \\nCOMMIT\\n'",
}


@pytest.mark.parametrize("body", LISTINGS.values(), ids=LISTINGS.keys())
def test_a_del_that_cannot_list_the_rules_keeps_the_address(
    scene: Scene, save: Tool, body: str
) -> None:
    task = scene.task(timeouts={"tools": 0.3})
    task.attach()
    rules = scene.host.ruleset()
    save.behave(body)

    answers = [task.delete(), task.delete()]

    save.repair()
    assert [(answer.status, answer.code) for answer in answers] == [(1, 103), (1, 103)], answers
    assert scene.commands == ["ADD"]
    assert scene.host.ruleset() == rules
    task.detach()
    assert snapshot(scene.host) == scene.before


@pytest.mark.parametrize("body", LISTINGS.values(), ids=LISTINGS.keys())
def test_an_add_that_must_list_the_rules_and_cannot_is_undone(
    scene: Scene, restore: Tool, save: Tool, body: str
) -> None:
    # Two refusals, and the plugin wants to see for itself.
    restore.behave(SAY_NO)
    save.behave(body)

    answer = scene.task(timeouts={"tools": 0.3}).add()

    save.repair()
    scene.assert_undone(answer, 103)


def test_a_lock_held_by_another_process_is_named(host: Host, frozen: object) -> None:
    with Host("legacy") as legacy:
        scene = Scene(legacy, Plugin(legacy, str(frozen)))
        task = scene.task(timeouts={"tools": 2})
        with Held(legacy, "/run/xtables.lock") as pid:
            scene.assert_undone(task.add(), 11, f"/run/xtables.lock is locked by pid {pid}")
        task.attach()
        with Held(legacy, "/run/xtables.lock") as pid:
            answer = task.delete()
        assert_failed(answer, 11, f"pid {pid} (flock)")
        assert scene.commands[-1] == "ADD"
        task.detach()
        assert snapshot(legacy) == scene.before
