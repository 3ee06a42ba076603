"""What goes wrong while containers come and go: plugins that fail or hang, callers that die."""

import json
import time

import pytest

from tests.support.host import Host
from tests.support.isolation import PLUGINS, ROOT, Lab, info
from tests.support.waiting import eventually

RESULT = {"ip4": {"ip": "192.168.4.2/24"}}


@pytest.fixture
def lab(host: Host) -> Lab:
    return Lab(host)


def sleeps(lab: Lab) -> int:
    return sum(line == ["sleep", "60"] for line in lab.host.processes().values())


def test_a_plugin_that_failed_is_asked_to_detach_and_so_are_the_others(lab: Lab) -> None:
    lab.plugins.failing("bad", 7, "no room", commands=["ADD"])
    lab.plugins.recording("good", RESULT)
    lab.network("bad")
    lab.network("good")

    outcome = lab.isolate("web-1", info("good"), info("bad"))

    assert outcome.error == (
        "plugin bad on ADD of network 'bad' for container web-1 failed (exit status 1)"
    )
    assert outcome.details == "no room"
    assert [each["name"] for each in lab.ok("status", container_id="web-1")] == ["good"]
    lab.ok("cleanup", container_id="web-1")
    assert (lab.calls("bad"), lab.calls("good")) == (["ADD", "DEL"], ["ADD", "DEL"])
    assert lab.left() == []


def test_all_that_failed_is_told_in_one_error(lab: Lab) -> None:
    lab.plugins.crashing("one", "first words")
    lab.plugins.garbage("two")
    lab.plugins.silent("three")
    for name in ("one", "two", "three"):
        lab.network(name)

    outcome = lab.isolate("web-1", *map(info, ("one", "two", "three")))

    assert outcome.error == "3 of 3 networks failed"
    assert "failed (exit status 3): first words" in outcome.details
    assert outcome.details.count("returned no usable result") == 2


@pytest.mark.parametrize(
    "printed",
    [
        {"ip4": {"ip": "192.168.4.2"}},
        {"cniVersion": "9.0.0"},
        {"ip4": {"ip": "192.168.4.2/24"}, "dns": {"nameservers": "192.0.2.1"}},
        {"ip4": {"ip": "192.168.4.2/24"}, "dns": {"search": ["a\nnameserver 192.0.2.1"]}},
        [],
    ],
    ids=["no prefix", "version", "type", "line break", "array"],
)
def test_a_result_that_cannot_be_used_fails_the_launch(lab: Lab, printed: object) -> None:
    lab.plugins.answering("fake", printed, commands=["ADD"])
    lab.network("net", "fake")

    outcome = lab.isolate("web-1", info("net"))

    assert "plugin fake on ADD of network 'net'" in outcome.error
    assert "no usable result" in outcome.error
    lab.ok("cleanup", container_id="web-1")
    assert lab.calls("fake") == ["ADD", "DEL"]


def test_a_list_of_a_version_that_nobody_knows_fails_and_can_be_undone(lab: Lab) -> None:
    lab.plugins.answering("fake", {"cniVersion": "1.0.0"}, commands=["ADD"])
    plugins = [{"type": "fake"}, {"type": "fake"}]
    lab.configure("net.conflist", {"name": "net", "cniVersion": "9.0.0", "plugins": plugins})

    outcome = lab.isolate("web-1", info("net"))

    assert outcome.error.endswith("cannot be given the result before its own")
    lab.ok("cleanup", container_id="web-1")
    assert lab.calls("fake") == ["ADD", "DEL", "DEL"]


def test_l11_a_cleanup_that_failed_in_part_is_tried_again_for_the_rest(lab: Lab) -> None:
    lab.plugins.recording("good", RESULT)
    trouble = f"[ ! -e {PLUGINS}/broken ] || {{ echo down >&2; exit 1; }}"
    lab.plugins.scripted("bad", {"ADD": f"printf %s '{json.dumps(RESULT)}'", "DEL": trouble})
    lab.network("good")
    lab.network("bad")
    lab.container("web-1", info("good"), info("bad"))

    lab.host.path(f"{PLUGINS}/broken").touch()
    first, second = lab.run(*[("cleanup", {"container_id": "web-1"})] * 2)
    assert first.error == second.error
    assert "plugin bad on DEL" in first.error
    assert first.details == "down"
    assert [each["name"] for each in lab.ok("status", container_id="web-1")] == ["bad"]

    lab.host.path(f"{PLUGINS}/broken").unlink()
    lab.ok("cleanup", container_id="web-1")
    assert lab.calls("good") == ["ADD", "DEL"]
    assert lab.calls("bad") == ["ADD", "DEL", "DEL", "DEL"]
    assert lab.left() == []


def test_l13_a_plugin_that_hangs_is_killed_with_its_children(lab: Lab) -> None:
    lab.plugins.scripted("slow", {"ADD": "sleep 60 & sleep 60"})
    lab.network("net", "slow")
    lab.settings["plugin_timeout"] = 0.5

    began = time.monotonic()
    outcome = lab.isolate("web-1", info("net"))

    assert time.monotonic() - began < 15
    assert outcome.error.endswith("did not finish in 0.5 s and was killed")
    assert eventually(lambda: sleeps(lab), 0) == 0
    lab.ok("cleanup", container_id="web-1")
    assert lab.left() == []


def test_a_launch_that_is_given_up_takes_its_plugins_along(lab: Lab) -> None:
    lab.plugins.scripted("slow", {"ADD": "trap '' TERM\nsleep 60 & sleep 60"})
    lab.network("one", "slow")
    lab.network("two", "slow")
    container = lab.sleeper()
    request = {"container_id": "web-1", "networks": [info("one"), info("two")]}

    _, before, isolated, cleaned, after = lab.run(
        ("prepare", request),
        ("descriptors", {}),
        ("isolate", {"container_id": "web-1", "pid": container.pid_inside, "seconds": 0.5}),
        ("cleanup", {"container_id": "web-1"}),
        ("descriptors", {}),
    )

    assert isolated.error == "cancelled"
    assert cleaned.error == ""
    assert before.value == after.value
    assert eventually(lambda: sleeps(lab), 0) == 0
    assert sorted(lab.calls("slow")) == ["ADD", "ADD", "DEL", "DEL"]
    assert lab.left() == []


def test_a_plugin_dies_with_its_caller_and_so_do_its_children(lab: Lab) -> None:
    lab.plugins.scripted("slow", {"ADD": "trap '' TERM HUP INT\nsleep 60 & sleep 60"})
    lab.network("net", "slow")
    container = lab.sleeper()
    caller = lab.start(
        ("prepare", {"container_id": "web-1", "networks": [info("net")]}),
        ("isolate", {"container_id": "web-1", "pid": container.pid_inside}),
    )
    assert eventually(lambda: sleeps(lab), 2) == 2
    caller.kill()

    assert eventually(lambda: sleeps(lab), 0) == 0
    report = lab.ok("recover", live=[], orphans=[])
    assert report["cleaned"] == ["web-1"]
    assert lab.calls("slow") == ["ADD", "DEL"]
    assert lab.left() == []


def test_a_container_that_was_never_isolated_needs_no_plugin(lab: Lab) -> None:
    lab.plugins.recording("fake", RESULT)
    lab.network("net", "fake")
    request = {"container_id": "web-1", "networks": [info("net")]}

    outcomes = lab.run(
        ("prepare", request),
        ("cleanup", {"container_id": "web-1"}),
        ("cleanup", {"container_id": "web-1"}),
        ("prepare", request),
    )

    assert [outcome.error for outcome in outcomes] == [""] * 4
    assert lab.calls("fake") == []
    assert lab.left() == []


def test_a_missing_plugin_is_a_problem_at_once_and_an_error_at_launch(lab: Lab) -> None:
    lab.network("net", "absent")

    outcome = lab.isolate("web-1", info("net"))

    assert lab.ok("networks")["problems"] == [
        "/run/lab/configurations/net.conf: there is no plugin 'absent'"
    ]
    assert outcome.error == "there is no plugin 'absent' of network 'net' for container web-1"
    assert PLUGINS in outcome.details
    lab.ok("cleanup", container_id="web-1")
    assert lab.left() == []


def test_a_plugin_that_is_gone_can_be_put_back_for_cleanup(lab: Lab) -> None:
    lab.plugins.recording("fake", RESULT)
    lab.network("net", "fake")
    lab.container("web-1", info("net"))
    program = lab.host.path(f"{PLUGINS}/fake")

    program.rename(program.with_name("away"))
    assert "there is no plugin 'fake'" in lab.do("cleanup", container_id="web-1").error
    program.with_name("away").rename(program)
    lab.ok("cleanup", container_id="web-1")

    assert lab.calls("fake") == ["ADD", "DEL"]
    assert lab.left() == []


def test_a_plugin_that_cannot_be_executed_is_named(lab: Lab) -> None:
    program = lab.host.path(f"{PLUGINS}/fake")
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    lab.network("net", "fake")

    outcome = lab.isolate("web-1", info("net"))

    assert outcome.error == "cannot run plugin fake on ADD of network 'net' for container web-1"
    assert outcome.details == "No such file or directory"


def test_two_that_clean_up_at_once_detach_once(lab: Lab) -> None:
    body = f"printf %s '{json.dumps(RESULT)}'"
    lab.plugins.scripted("slow", {"ADD": body, "DEL": "sleep 0.5"})
    lab.network("net", "slow")
    lab.container("web-1", info("net"))

    both = [lab.start(("cleanup", {"container_id": "web-1"})) for _ in range(2)]

    assert ["error" in process.wait().text for process in both] == [False, False]
    assert lab.calls("slow") == ["ADD", "DEL"]
    assert lab.left() == []


def test_many_containers_come_and_go_at_once(lab: Lab) -> None:
    lab.plugins.recording("fake", RESULT)
    lab.network("net", "fake")
    names = [f"c{number}" for number in range(12)]
    pids = {name: lab.sleeper().pid_inside for name in names}

    outcomes = lab.run(
        *(("prepare", {"container_id": name, "networks": [info("net")]}) for name in names),
        ("isolate_all", {"pids": pids}),
    )
    assert {outcome.error for outcome in outcomes} == {""}
    assert len(lab.mounts()) == 13
    ending = [lab.start(("cleanup", {"container_id": name})) for name in names]
    assert ["error" in process.wait().text for process in ending] == [False] * 12

    assert sorted(lab.calls("fake")) == ["ADD"] * 12 + ["DEL"] * 12
    assert lab.left() == []


def test_close_leaves_the_mount_while_a_container_is_there(lab: Lab) -> None:
    lab.plugins.recording("fake", RESULT)
    lab.network("net", "fake")
    lab.container("web-1", info("net"))

    lab.ok("close")
    assert lab.mounts() == [ROOT, f"{ROOT}/web-1/ns"]
    lab.ok("cleanup", container_id="web-1")
    lab.ok("close")
    assert lab.left() == []


def test_a_root_that_is_a_file_system_of_the_operators_stays_mounted(lab: Lab) -> None:
    lab.plugins.recording("fake", RESULT)
    lab.network("net", "fake")
    lab.path().mkdir(parents=True)
    lab.host.run(["mount", "-t", "tmpfs", "tmpfs", ROOT])

    lab.container("web-1", info("net"))
    lab.ok("cleanup", container_id="web-1")

    assert lab.mounts() == [ROOT]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"plugins_dir": ""}, "without network_cni_plugins_dir"),
        ({"config_dir": None}, "without network_cni_config_dir"),
        ({"config_dir": "/run/absent"}, "cannot read network_cni_config_dir"),
        ({"root": "/run/lab/configurations/x/y"}, "cannot create the state root"),
        ({"plugin_timeout": 0}, "timeout"),
    ],
    ids=["plugins", "config", "missing", "root", "timeout"],
)
def test_settings_that_cannot_work_are_refused_at_once(
    lab: Lab, changes: dict[str, object], words: str
) -> None:
    lab.host.path("/run/lab/configurations/x").touch()
    lab.settings.update(changes)

    assert words in lab.do("networks").error
