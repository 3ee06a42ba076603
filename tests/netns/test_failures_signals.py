"""Signals and streams: an ADD that is told to end undoes itself, a DEL completes."""

import signal
import time

import pytest

from tests.netns.injection import (
    DELEGATE,
    Held,
    Scene,
    Tool,
    assert_failed,
    assert_no_processes,
    say,
    snapshot,
)
from tests.netns.networks import STATE, Task, dnat, tcp
from tests.support.delegates import RESULT
from tests.support.host import Host
from tests.support.plugin import Answer, Call, Plugin

ENDING = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
NAMES = [number.name for number in ENDING]


@pytest.fixture
def scene(host: Host, plugin: Plugin) -> Scene:
    return Scene(host, plugin)


def start(task: Task, command: str = "ADD") -> Call:
    return task.plugin.start(command, task.container, task.request())


def wrapped(scene: Scene, *wrapper: str) -> Task:
    """Return the task of a plugin that is started through another program."""
    scene.network = type(scene.network)(
        scene.network.plugin.wrapped(*wrapper), scene.network.netconf
    )
    return scene.task()


def redirected(scene: Scene, redirection: str) -> Task:
    """Return the task of a plugin that a shell has given other streams."""
    return wrapped(scene, "bash", "-c", f'exec "$@" {redirection}', "--")


def unwrapped(task: Task) -> Task:
    return Task(task.plugin.wrapped(), task.netconf, task.container, task.mappings)


@pytest.mark.parametrize("number", ENDING, ids=NAMES)
def test_a_signal_while_the_delegate_runs_undoes_the_add(scene: Scene, number: int) -> None:
    scene.delegate("trap '' TERM INT HUP\nsleep 61 &\nsleep 62")
    call = start(scene.task())
    scene.delegates.await_call(DELEGATE)

    call.kill(number)

    scene.assert_undone(call.wait(5), 11, f"interrupted by signal {number}")
    assert_no_processes(scene.host)


@pytest.mark.parametrize("done", ["", 'real "$@"'], ids=["before", "after"])
@pytest.mark.parametrize("number", ENDING, ids=NAMES)
def test_a_signal_while_rules_are_made_undoes_the_add(scene: Scene, number: int, done: str) -> None:
    restore = Tool(scene.host, "iptables-restore")
    restore.behave(f'[ $n = 1 ] || {{ real "$@"; exit; }}\n{done}\n: >/run/reached\nexec sleep 61')
    call = start(scene.task())
    await_file(scene.host, "/run/reached")

    call.kill(number)

    scene.assert_undone(call.wait(5), 11, f"interrupted by signal {number}")
    assert_no_processes(scene.host)


def await_file(host: Host, path: str) -> None:
    end = time.monotonic() + 5
    while not host.path(path).exists():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_second_signal_does_not_disturb_the_undoing(scene: Scene) -> None:
    scene.delegate("sleep 61", ": >/run/undoing; sleep 0.4")
    call = start(scene.task())
    scene.delegates.await_call(DELEGATE)

    call.kill(signal.SIGTERM)
    await_file(scene.host, "/run/undoing")
    for number in ENDING:
        call.kill(number)

    scene.assert_undone(call.wait(5), 11, "interrupted by signal 15")


def test_a_signal_while_a_lock_is_waited_for_ends_the_add(scene: Scene) -> None:
    (lock,) = scene.host.path(STATE).glob("*/lock")
    with Held(scene.host, f"{STATE}/{lock.parent.name}/lock"):
        call = start(scene.task())
        time.sleep(0.3)
        call.kill(signal.SIGTERM)
        answer = call.wait(2)

    scene.assert_untouched(answer, 11, "interrupted by signal 15")


def test_signals_do_not_stop_a_del(scene: Scene) -> None:
    scene.delegate(delete=": >/run/reached; sleep 0.4")
    task = scene.task()
    task.attach()
    call = start(task, "DEL")
    await_file(scene.host, "/run/reached")

    for number in ENDING:
        call.kill(number)

    assert call.wait(5).status == 0
    assert snapshot(scene.host) == scene.before


def test_signals_do_not_stop_a_del_that_removes_rules(host: Host, plugin: Plugin) -> None:
    # The last one in a chain, so that there is something to do for the tool.
    scene = Scene(host, plugin, alone=True)
    task = scene.task()
    task.attach()
    Tool(scene.host, "iptables-restore").behave(': >/run/reached; sleep 0.4; real "$@"')
    call = start(task, "DEL")
    await_file(scene.host, "/run/reached")

    for number in ENDING:
        call.kill(number)

    assert call.wait(5).status == 0
    assert snapshot(scene.host) == scene.before


def test_a_signal_the_runtime_chose_to_ignore_is_ignored(scene: Scene) -> None:
    scene.delegate(f"sleep 0.4\n{say(RESULT)}")
    call = start(wrapped(scene, "sh", "-c", 'trap "" TERM; exec "$@"', "--"))
    scene.delegates.await_call(DELEGATE)

    call.kill(signal.SIGTERM)

    assert call.wait(5).status == 0


ODD_PARENT = """
import os, signal, sys
for name in ("CHLD", "PIPE", "ALRM", "XFSZ", "USR1"):
    signal.signal(getattr(signal, f"SIG{name}"), signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_what_the_parent_ignores_and_blocks_does_no_harm(scene: Scene) -> None:
    scene.delegate(f"grep -E 'Sig(Blk|Ign)' /proc/self/status >/run/signals\n{say(RESULT)}")
    task = wrapped(scene, "/usr/bin/python3", "-I", "-c", ODD_PARENT)

    task.attach()
    task.detach()

    assert snapshot(scene.host) == scene.before
    told = dict(line.split() for line in scene.host.path("/run/signals").read_text().splitlines())
    assert int(told["SigBlk:"], 16) == 0
    # USR1 is the runtime's own affair; ALRM and the rest are for a child as they should be.
    assert int(told["SigIgn:"], 16) & (1 << signal.SIGCHLD - 1 | 1 << signal.SIGPIPE - 1) == 0


def test_a_deadline_counts_under_such_a_parent_too(scene: Scene) -> None:
    (lock,) = scene.host.path(STATE).glob("*/lock")
    scene.network = scene.network.but(timeouts={"lock": 0.2, "delegate": 0.2})
    task = wrapped(scene, "/usr/bin/python3", "-I", "-c", ODD_PARENT)

    with Held(scene.host, f"{STATE}/{lock.parent.name}/lock"):
        scene.assert_untouched(task.add(), 11, "waited 0.2 s")
    scene.delegate("sleep 60")
    scene.assert_undone(task.add(), 102, "did not finish")


# Descriptors in the places of closed streams would be mistaken for them, by us and by children.
HAS_THE_LOCK = "ls -l /proc/$$/fd | grep -q attachments/ || exit 1"


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "2> >(:)"])
def test_a_log_that_cannot_be_written_fails_nothing(scene: Scene, redirection: str) -> None:
    scene.delegate(f"echo words >&2 || exit 1\n{HAS_THE_LOCK}\n{say(RESULT)}")
    wrapper = redirected(scene, redirection)
    # A port that is another's, so that the plugin has something to say itself.
    task = Task(wrapper.plugin, wrapper.netconf, wrapper.container, (tcp(8000),))

    answer = task.attach()

    assert answer.document["ip4"] == {"ip": "192.168.7.2/24"}
    assert answer.stderr == ""
    assert dnat(8000, "192.168.7.2:80", task) in scene.host.ruleset()
    assert_sound(scene)
    task.detach()
    assert_sound(scene)


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full", "> >(:)", "<&0 >&- 2>&-"])
def test_an_answer_that_cannot_be_given_is_a_failure_that_del_cleans_up(
    scene: Scene, redirection: str
) -> None:
    scene.delegate(f"{HAS_THE_LOCK}\n{say(RESULT)}")
    task = redirected(scene, redirection)

    answer = task.add()

    assert (answer.status, answer.stdout) == (1, b"")
    assert scene.commands == ["ADD"]
    assert dnat(8080, "192.168.7.2:80", task) in scene.host.ruleset()
    assert_sound(scene)
    unwrapped(task).detach()
    assert snapshot(scene.host) == scene.before


@pytest.mark.parametrize("redirection", [">&-", ">&- 2>&-"])
def test_a_del_has_nothing_to_say_and_needs_no_streams(scene: Scene, redirection: str) -> None:
    scene.delegate(delete=HAS_THE_LOCK)
    scene.task().attach()

    answer = redirected(scene, redirection).delete()

    assert (answer.status, answer.stdout, answer.stderr) == (0, b"", "")
    assert snapshot(scene.host) == scene.before


def assert_sound(scene: Scene) -> None:
    """Insist that nothing but records and claims was written into the files of the state."""
    for name, data in scene.host.files(STATE).items():
        assert data == b"" or (data.startswith(b'{"') and data.endswith(b"}\n")), (name, data)
        assert b"words" not in data
        assert data.count(b"\n") <= 1, (name, data)


@pytest.mark.parametrize("redirection", ["<&-", "0>/dev/null", "<&- >&- 2>&-"])
def test_an_input_that_cannot_be_read_changes_nothing(scene: Scene, redirection: str) -> None:
    answer: Answer = redirected(scene, redirection).add()

    if ">&-" in redirection:
        assert answer.status == 1
    else:
        assert_failed(answer, 100, "cannot read the network configuration from stdin")
    assert snapshot(scene.host) == scene.before
    assert scene.commands == []
