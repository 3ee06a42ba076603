"""What is decided about containers from what is known of them."""

import json
import os
import signal
from typing import Any

import pytest

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.harness.account import Account, parse_account
from mesos_cni_port_mapper.harness.birth import flags_of
from mesos_cni_port_mapper.harness.command import environment_of
from mesos_cni_port_mapper.harness.containers import (
    EXITED,
    LOST,
    RUNNING,
    STARTING,
    STOPPING,
    Ending,
    Outcome,
    outcome_of,
    state_of,
)
from mesos_cni_port_mapper.harness.errors import HarnessError, UsageError, one_line
from mesos_cni_port_mapper.harness.identity import (
    Identity,
    decode_identity,
    encode_identity,
    identify,
    is_running,
    parse_start_time,
)
from mesos_cni_port_mapper.harness.isolation import (
    Options,
    decode_options,
    encode_options,
    first_address,
    request_of,
)
from mesos_cni_port_mapper.harness.monitor import encode_failure
from mesos_cni_port_mapper.harness.mounts import plan_mounts
from mesos_cni_port_mapper.harness.orders import Command, Mount
from mesos_cni_port_mapper.harness.recovery import plan_for
from mesos_cni_port_mapper.harness.signalling import parse_signal
from mesos_cni_port_mapper.harness.spec import Spec, Volume
from mesos_cni_port_mapper.isolator.records import Preparation
from mesos_cni_port_mapper.linux import files, syscalls
from mesos_cni_port_mapper.linux.syscalls import MS_RDONLY

PASSWD = "root:x:0:0::/root:/bin/sh\nweb:x:33:44:Web:/srv:/bin/sh\nbroken\n33x:x:7:7::/x:/bin/sh\n"
GROUP = "root:x:0:\nweb:x:44:\nextra:x:55:other,web\n"


@pytest.mark.parametrize(
    ("monitored", "init_runs", "attached", "ended", "state"),
    [
        (True, False, False, False, STARTING),
        (True, True, False, False, STARTING),
        (True, True, True, False, RUNNING),
        (False, True, True, False, RUNNING),
        (True, False, True, False, STOPPING),
        (True, False, True, True, EXITED),
        (False, False, True, True, EXITED),
        (False, False, True, False, LOST),
        (False, True, False, False, LOST),
        (False, False, False, False, LOST),
    ],
)
def test_the_state_follows_from_four_facts(
    monitored: bool, init_runs: bool, attached: bool, ended: bool, state: str
) -> None:
    found = state_of(monitored=monitored, init_runs=init_runs, attached=attached, ended=ended)
    assert found == state


@pytest.mark.parametrize(
    ("state", "monitored", "detached", "action"),
    [
        (RUNNING, True, None, "leave"),
        (STARTING, True, None, "leave"),
        (EXITED, True, False, "leave"),
        (RUNNING, False, None, "monitor"),
        (LOST, False, None, "finish"),
        (EXITED, False, True, "leave"),
        (EXITED, False, False, "finish"),
    ],
)
def test_recovery_leaves_what_somebody_looks_after(
    state: str, monitored: bool, detached: bool | None, action: str
) -> None:
    ending = None if detached is None else Ending(status=0, finished=1.0, detached=detached)
    assert plan_for(state=state, monitored=monitored, ending=ending) == action


@pytest.mark.parametrize(
    ("returncode", "outcome"),
    [(0, Outcome(0)), (143, Outcome(143)), (-9, Outcome(137, 9)), (-15, Outcome(143, 15))],
)
def test_a_signal_is_counted_as_a_shell_counts_it(returncode: int, outcome: Outcome) -> None:
    assert outcome_of(returncode) == outcome


@pytest.mark.parametrize(
    ("user", "account"),
    [
        (None, Account(uid=0, gid=0, groups=(0,), home="/root")),
        ("web", Account(uid=33, gid=44, groups=(44, 55), home="/srv")),
        ("33", Account(uid=33, gid=44, groups=(44, 55), home="/srv")),
        ("web:extra", Account(uid=33, gid=55, groups=(55,), home="/srv")),
        ("web:0", Account(uid=33, gid=0, groups=(0, 55), home="/srv")),
        ("1000", Account(uid=1000, gid=0, groups=(0,), home="/")),
        ("1000:1001", Account(uid=1000, gid=1001, groups=(1001,), home="/")),
    ],
)
def test_a_user_is_looked_up_in_the_containers_files(user: str | None, account: Account) -> None:
    assert parse_account(user, PASSWD, GROUP) == account


@pytest.mark.parametrize("user", ["nobody", ":web", "web:none", "-1", "4294967295", "broken"])
def test_a_user_who_is_not_there_is_an_error(user: str) -> None:
    with pytest.raises(HarnessError, match=r"^user: "):
        parse_account(user, PASSWD, GROUP)


def test_a_process_is_known_by_more_than_its_number() -> None:
    me = identify(os.getpid())

    assert decode_identity(json.loads(json.dumps(encode_identity(me)))) == me
    assert is_running(me)
    assert not is_running(Identity(me.pid, me.start_time - 1, me.boot_id))
    assert not is_running(Identity(me.pid, me.start_time, "another boot"))


def test_a_process_that_has_ended_does_not_run_although_nobody_has_reaped_it() -> None:
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    child = identify(pid)
    assert is_running(child)
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    assert not is_running(child)
    os.waitpid(pid, 0)
    assert not is_running(child)


def test_a_process_that_is_reaped_while_it_is_looked_at_does_not_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    me = identify(os.getpid())
    # /proc has nothing of it any more, although its number could be opened just before.
    monkeypatch.setattr(files, "read", lambda _path: None)

    assert not is_running(me)


@pytest.mark.parametrize("name", [b"sh", b"a b", b") R 1 (", b"(("])
def test_a_process_name_may_look_like_anything(name: bytes) -> None:
    fields = b" ".join(str(number).encode() for number in range(4, 53))
    assert parse_start_time(b"17 (" + name + b") S " + fields) == 22


@pytest.mark.parametrize("document", [{}, {"pid": 0, "start_time": 1, "boot_id": ""}])
def test_half_an_identity_is_an_error(document: dict[str, object]) -> None:
    with pytest.raises(CniError):
        decode_identity(document)


@pytest.mark.parametrize(
    ("text", "number"),
    [("TERM", 15), ("SIGTERM", 15), ("sigterm", 15), ("9", 9), ("RTMIN", signal.SIGRTMIN)],
)
def test_a_signal_has_several_names(text: str, number: int) -> None:
    assert parse_signal(text, "--signal") == number


@pytest.mark.parametrize("text", ["", "0", "-1", "NOPE", "65", "1000000000", "SIGSIGTERM"])
def test_no_other_signal_exists(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--signal: "):
        parse_signal(text, "--signal")


def test_what_was_asked_for_beats_what_the_isolator_gives_beats_the_defaults() -> None:
    command = Command(environment={"LIBPROCESS_IP": "1.2.3.4", "A": "b"})
    given = {"LIBPROCESS_IP": "0.0.0.0", "HOME": "/given"}

    found = environment_of(command, given, "/root")

    assert (found["LIBPROCESS_IP"], found["HOME"], found["A"]) == ("1.2.3.4", "/given", "b")
    assert "TERM" not in found


def test_the_namespaces_are_those_the_isolator_asks_for_and_our_own() -> None:
    own = flags_of(Preparation(frozenset(("net", "mnt", "uts"))))
    none = flags_of(Preparation())
    joining = flags_of(Preparation(frozenset(("mnt",)), joins="web"))

    always = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWIPC
    assert own == always | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWNET
    assert none == always | syscalls.CLONE_NEWUTS
    assert joining == always


def test_mounts_come_in_an_order_in_which_none_hides_another() -> None:
    volume = Volume(host_path="/a", container_path="/dev/shm/x", read_only=True)
    spec = Spec(container_id="a", rootfs="/r", volumes=(volume,))

    steps = plan_mounts(spec, own_network=False)

    targets = [step.target for step in steps]
    assert targets.index("/dev") < targets.index("/dev/pts") < targets.index("/dev/shm/x")
    assert targets[-1] == "/dev/shm/x"
    (sys,) = [step for step in steps if step.target == "/sys"]
    assert isinstance(sys, Mount)
    assert sys.flags & MS_RDONLY


@pytest.mark.parametrize(
    ("own_network", "targets"), [(True, ["/proc", "/sys"]), (False, ["/proc"])]
)
def test_without_a_rootfs_the_hosts_files_stay(own_network: bool, targets: list[str]) -> None:
    steps = plan_mounts(Spec(container_id="a"), own_network=own_network)
    assert [step.target for step in steps] == targets


def test_options_are_read_as_they_were_written_and_may_lack_some() -> None:
    options = Options(runtime_dir="/r", plugins_dir="/p:/q", default_container_dns={"mesos": []})

    assert decode_options(json.loads(json.dumps(encode_options(options))), Options()) == options
    assert decode_options({"unknown": 1, "config_dir": "/c"}, options).config_dir == "/c"


def test_the_state_root_is_mesos_own() -> None:
    below = "isolators/network/cni"
    assert str(Options(runtime_dir="/r").root) == f"/r/{below}"
    assert str(Options(work_dir="/w", root_dir_persist=True).root) == f"/w/{below}"


def test_a_network_that_cannot_be_meant_is_named_by_its_place() -> None:
    spec = Spec(container_id="a", networks=({"name": "n"}, {"name": 1}))
    with pytest.raises(UsageError, match=r"^--networks\[1\]\.name: "):
        request_of(spec, "--networks")


def test_the_first_address_is_the_containers() -> None:
    infos: list[dict[str, Any]] = [
        {"name": "a"},
        {"ip_addresses": [{"ip_address": "10.0.0.1", "protocol": "IPv4"}]},
    ]
    assert first_address(infos) == "10.0.0.1"
    assert first_address([{"name": "a"}]) is None


def test_an_error_is_one_line() -> None:
    assert one_line(OSError(2, "No such file", "/x")) == "/x: No such file"
    assert one_line(ValueError("a\n  b")) == "a b"
    assert one_line(ValueError()) == "ValueError"


def test_a_bug_is_reported_by_name_and_place() -> None:
    with pytest.raises(KeyError) as raised:
        dict[str, str]().pop("veth")

    found = encode_failure(raised.value)

    assert found["status"] == 1
    assert found["error"].startswith("this is a bug: KeyError('veth') in test_a_bug_is_reported")


def test_a_failure_is_reported_in_its_own_words() -> None:
    found = encode_failure(HarnessError("cannot run it", 127))

    assert found == {"error": "cannot run it", "status": 127}
