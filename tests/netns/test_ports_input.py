"""`ports`: what cannot be meant gets one line, and so does who may not."""

from collections.abc import Iterator

import pytest

from tests.netns.containers import FROZEN
from tests.netns.ports import Ports
from tests.support.gate import need_file
from tests.support.host import Host

COMMANDS = ("check", "gc", "ls", "plan", "repair", "restore")
NEEDED = {"gc": ("--valid-from", "-"), "plan": ("--container", "c", "--address", "10.1.0.2/24")}
"""What a command is not called without."""

CONFIGURATION = b"""{
  "cniVersion": "1.0.0", "name": "net", "type": "mesos-cni-port-mapper", "chain": "CHAIN",
  "delegate": {"type": "bridge"},
  "runtimeConfig": {"portMappings": [{"hostPort": 8080, "containerPort": 80}]}
}"""


@pytest.fixture(scope="module")
def ports() -> Iterator[Ports]:
    with Host() as host:
        yield Ports(host)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("unheard-of",), "No such command"),
        (("ls", "--unheard-of"), "No such option"),
        (("ls", "surplus"), "unexpected extra argument"),
        (("ls", "--state_dir", "relative"), "--state_dir: must be an absolute path"),
        (("restore", "--state-dir", "/run\n"), "--state_dir: must be an absolute path"),
        (("gc",), "--valid-from"),
        (("gc", "--valid-from", "/none"), "--valid-from: /none: No such file"),
        (("repair", "--forget", "c", "--dry-run"), "--forget: cannot be given together"),
        (("plan",), "--container"),
        (("plan", "--container", "c", "--command", "GC"), "--command"),
        (("plan", "--container", "../c"), "CNI_CONTAINERID"),
        (("plan", "--container", "c", "--ifname", "a/b"), "CNI_IFNAME"),
        (("plan", "--container", "c"), "--address: is missing"),
        (("plan", "--container", "c", "--address", "10.1.0.2"), "--address: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_input_gets_one_line_and_status_2(
    ports: Ports, arguments: tuple[str, ...], words: str
) -> None:
    left = ports.run(*arguments, input=CONFIGURATION)

    assert (left.status, left.stdout) == (2, "")
    assert left.stderr.startswith("mesos-cni: ")
    assert words in left.stderr
    assert len(left.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "configuration",
    [b"", b"[]", b"{", b"{}", CONFIGURATION.replace(b'"CHAIN"', b"7"), b'{"cniVersion": "9.9.9"}'],
    ids=range(6),
)
def test_a_configuration_that_is_none_is_wrong_input(ports: Ports, configuration: bytes) -> None:
    left = ports.run("plan", *NEEDED["plan"], input=configuration)

    assert (left.status, left.stdout) == (2, "")
    assert len(left.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_who_may_not_is_told_what_it_takes(ports: Ports, command: str) -> None:
    without = ("setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin")

    left = Ports(ports.host, wrapper=without).run(command, *NEEDED.get(command, ()), input=b"[]")

    assert (left.status, left.stdout) == (1, "")
    assert left.stderr == (
        "mesos-cni: this needs CAP_NET_ADMIN: run it as root, with sudo for example\n"
    )


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_a_screen_and_shows_an_example(ports: Ports, command: str) -> None:
    narrow = Ports(ports.host, wrapper=("env", "COLUMNS=80"))

    told = narrow.succeed(*([command] if command else []), "--help").splitlines()

    assert len(told) <= 40
    assert max(len(line) for line in told) <= 80
    assert any(line.strip().startswith("Example: ") for line in told)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_frozen_program_has_it(ports: Ports, command: str) -> None:
    need_file(FROZEN, "make build")

    argv = [str(FROZEN), "ports", command, *NEEDED.get(command, ())]
    left = ports.host.run(argv, CONFIGURATION if command == "plan" else b"[]")

    assert left.stderr == b""


@pytest.mark.parametrize("command", COMMANDS)
def test_a_host_without_anything_is_left_as_it_is(ports: Ports, command: str) -> None:
    before = ports.host.nftables()
    files = ports.host.run(["find", "/run", "-xdev"]).text

    given = CONFIGURATION if command == "plan" else b"[]"
    left = ports.run(command, *NEEDED.get(command, ()), input=given)

    assert (left.status, left.stderr) == (0, "")
    assert ports.host.nftables() == before
    assert ports.host.run(["find", "/run", "-xdev"]).text == files
