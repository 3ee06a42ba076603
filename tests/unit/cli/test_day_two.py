"""The commands for looking at a host: wrong input in one line, and help that fits a screen."""

import pytest

from mesos_cni_port_mapper.cli import ports, program

PORT = "192.0.2.1:8080"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "PROTOCOL"),
        (("tcp",), "ADDRESS:PORT"),
        (("icmp", PORT), "PROTOCOL"),
        (("tcp", "192.0.2.1"), "ADDRESS:PORT"),
        (("tcp", "192.0.2.1:"), "ADDRESS:PORT"),
        (("tcp", "192.0.2.1:0"), "ADDRESS:PORT"),
        (("tcp", "192.0.2.1:65536"), "ADDRESS:PORT"),
        (("tcp", "192.0.2.1:http"), "ADDRESS:PORT"),
        (("tcp", "example.org:80"), "ADDRESS:PORT"),
        (("tcp", "2001:db8::1:80"), "ADDRESS:PORT"),
        (("tcp", "[192.0.2.1]:80"), "ADDRESS:PORT"),
        (("tcp", PORT, "--from", "nowhere0"), "--from"),
        (("tcp", PORT, "--from", "2001:db8::9"), "--from"),
        (("tcp", PORT, "--from", ""), "--from"),
        (("tcp", PORT, "--state_dir", "here"), "--state_dir"),
        (("tcp", PORT, "more"), "more"),
        (("tcp", PORT, "--no-such"), "--no-such"),
    ],
)
def test_what_cannot_be_meant_is_named_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], named: str
) -> None:
    status = program.run(["ports", "explain", *arguments])

    said = capsys.readouterr()
    assert (status, said.out) == (2, "")
    assert len(said.err.splitlines()) == 1
    assert said.err.startswith("mesos-cni: ")
    assert named in said.err


@pytest.mark.parametrize(
    "command",
    [
        ("doctor",),
        ("ports", "check"),
        ("ports", "explain", "tcp", PORT),
        ("ports", "gc", "--valid_from", "-"),
        ("ports", "ls"),
        ("ports", "repair"),
        ("ports", "restore"),
    ],
    ids=" ".join,
)
def test_the_state_directory_is_given_alike_to_all(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    for flag in ("--state_dir", "--state-dir"):
        assert program.run([*command, flag, "here"]) == 2
        assert "--state_dir: must be an absolute path" in capsys.readouterr().err

    monkeypatch.setenv("MESOS_STATE_DIR", "here")

    assert program.run(command) == 2
    assert "--state_dir: must be an absolute path" in capsys.readouterr().err


COMMANDS = [
    (),
    *[(name,) for name in program.COMMANDS],
    *[("ports", name) for name in ports.COMMANDS],
]
LONGEST: dict[tuple[str, ...], int] = {(): 40, ("run",): 30}
"""Lines of help, where a screen of 24 does not do: a list of commands, a flag for everything."""


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(words) or "itself")
def test_help_fits_a_screen_and_shows_an_example(
    capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    assert program.run([*command, "--help"]) == 0

    said = capsys.readouterr().out.splitlines()
    assert len(said) <= LONGEST.get(command, 24)
    assert max(map(len, said)) <= 100
    assert any("Example" in line and "mesos-cni" in line for line in said)
