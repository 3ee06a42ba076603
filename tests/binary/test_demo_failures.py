"""`make demo` checks what it shows: whatever does not hold ends it, with the reason."""

from pathlib import Path

import pytest

from tests.binary.demo import change, processes, replace_harness, replace_plugin, run


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("excludeDevices", [], "iptables-save should list"),
        ("chain", "ELSEWHERE", "iptables-save should list"),
        ("delegate", {"type": "bridge", "ipam": {"type": "nowhere"}}, "nowhere"),
        ("type", 1, "type: must be a string"),
    ],
)
def test_a_step_that_does_not_hold_fails_the_demo_with_its_reason(
    checkout: Path, key: str, value: object, reason: str
) -> None:
    change(checkout, lambda configuration: configuration.update({key: value}))

    demo = run(checkout)

    assert demo.returncode == 1
    assert demo.stderr.startswith("demo: failed: ")
    assert reason in demo.stderr
    assert processes(checkout) == []


def test_a_plugin_that_does_nothing_is_seen_through(checkout: Path) -> None:
    replace_plugin(checkout, "#!/bin/sh\n")

    demo = run(checkout)

    assert demo.returncode == 1
    assert "plugin" in demo.stderr.removeprefix("demo: failed: dist/bin/mesos-cni run ")


def test_a_plugin_that_leaves_its_rules_is_seen_through(checkout: Path, program: Path) -> None:
    replace_plugin(checkout, f"#!/bin/sh\n[ $CNI_COMMAND = DEL ] || exec {program}\n")

    demo = run(checkout)

    assert demo.returncode == 1
    assert "iptables-save -t nat | grep -e '^-A' -e MESOS should find nothing" in demo.stderr
    assert processes(checkout) == []


@pytest.mark.parametrize(
    ("command", "script", "reason"),
    [
        ("run", "echo web", "logs web ended with 1"),
        ("logs", "echo", "should say that the page is up"),
        ("ps", "echo '[]'", "ps should list a running web"),
        ("ps", "$real $* | sed s/true/false/", "ps should list a running web"),
        ("status", "$real $* | grep -v 8081", "status should say ['port 8081:443/tcp']"),
        ("exec", 'shift 2; cd packaging; exec "$@"', "should have said ['192.0.2.1:8080: Conn"),
        ("kill", "true", "cleanup web ended with 1"),
        ("kill", "$real $*; sleep 60 >/dev/null 2>&1 &", "not ['sleep 60']"),
        ("cleanup", "true", "ps --quiet should find nothing"),
    ],
)
def test_a_harness_that_does_something_else_is_seen_through(
    checkout: Path, command: str, script: str, reason: str
) -> None:
    replace_harness(checkout, command, script)

    demo = run(checkout)

    assert demo.returncode == 1
    assert demo.stderr.startswith("demo: failed: ")
    assert reason in demo.stderr


@pytest.mark.parametrize(
    ("directory", "name"), [("plugins", "mesos-cni-port-mapper"), ("bin", "mesos-cni")]
)
def test_without_a_program_the_demo_names_what_makes_it(
    checkout: Path, directory: str, name: str
) -> None:
    (checkout / "dist" / directory).unlink()

    demo = run(checkout)

    assert (demo.returncode, demo.stdout) == (1, "")
    assert f"{name} is not built yet; `make build`" in demo.stderr
