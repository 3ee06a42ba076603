"""Flags that concern a running container, directories, and variables: each wrong in turn."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.netns.containers import Tool
from tests.support.gate import need_host
from tests.support.host import Host
from tests.support.waiting import eventually

RUN = ("run", "--networks", "net", "--command", "true")
PERSIST = "--network_cni_root_dir_persist"
A_FILE = "/etc/passwd"


@dataclass(frozen=True)
class Site:
    """A host with a container `web`."""

    host: Host
    tool: Tool

    def traces(self) -> tuple[object, ...]:
        """Return what a command may not change when it is refused."""
        files = [name for name in self.host.files("/run") if name.startswith("mesos/")]
        commands = self.tool.plugins.commands("fake")
        return self.host.processes(), files, self.tool.containers(), commands


@pytest.fixture(scope="module")
def module_site() -> Iterator[Site]:
    need_host("nft")
    with Host() as host:
        made = Tool(host)
        made.network("net")
        made.detached("web", "exec sleep infinity", "--networks", "net")
        yield Site(host, made)


@pytest.fixture
def site(module_site: Site) -> Iterator[Site]:
    before = module_site.traces()
    yield module_site
    assert eventually(module_site.traces, before) == before


def refused(tool: Tool, *arguments: str) -> tuple[int, str]:
    left = tool.run(*arguments)
    assert left.stdout == ""
    assert left.stderr.startswith("mesos-cni: ")
    assert left.stderr.count("\n") == 1
    return left.status, left.stderr


@pytest.mark.parametrize("value", ["x", "-1", "86401", "inf", "1s"])
def test_a_grace_period_that_is_none_is_refused(site: Site, value: str) -> None:
    status, words = refused(site.tool, "kill", "--grace", value, "web")

    assert (status, "--grace" in words, value[:2] in words) == (2, True, True)
    assert site.tool.state("web") == "running"


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--env", "["), "--env: not JSON"),
        (("--env", "[]"), "--env: must be an object"),
        (("--env", '{"A": 1}'), "--env: A: must be a string"),
        (("--env", '{"A=B": ""}'), "--env: 'A=B' cannot"),
        (("--env", "/no/such"), "--env: /no/such: No such file"),
        (("--workdir", "x"), "--workdir: must be an absolute path"),
        (("--workdir", "/usr/../etc"), "--workdir: must be an absolute path"),
        (("--tty",), "--tty: our standard input is no terminal"),
        (("--tty=yes",), "--tty"),
        (("--no-such-flag",), "--no-such-flag"),
    ],
)
def test_a_flag_of_exec_that_cannot_be_meant_is_named(
    site: Site, flags: tuple[str, ...], named: str
) -> None:
    status, words = refused(site.tool, "exec", *flags, "web", "echo", "never")

    assert status == 2
    assert named in words


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--user", "nobody-here"), "user: there is no user 'nobody-here'"),
        (("--user", "daemon:no-group"), "user: there is no group 'no-group'"),
        (("--user", ":daemon"), "user: there is no user ''"),
        (("--user", "-1"), "user: there is no user '-1'"),
        (("--user", "9999999999"), "user: there is no user '9999999999'"),
        (("--workdir", "/no/such"), "working directory /no/such: "),
        (("--workdir", A_FILE), "working directory"),
    ],
)
def test_what_the_container_does_not_have_is_named(
    site: Site, flags: tuple[str, ...], named: str
) -> None:
    status, words = refused(site.tool, "exec", *flags, "web", "echo", "never")

    assert status == 1
    assert named in words


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ((PERSIST, "--work_dir", A_FILE), A_FILE),
        ((PERSIST, "--work_dir", "/proc/no"), "/proc/no"),
        (("--network_cni_plugins_dir", ":"), "network_cni_plugins_dir"),
        (("--network_cni_config_dir", A_FILE), "network_cni_config_dir"),
    ],
)
def test_a_directory_that_is_none_fails_whatever_needs_it(
    site: Site, flags: tuple[str, ...], named: str
) -> None:
    for command in (RUN, ("networks",), ("agent", "--socket", "/run/agent.sock"), ("recover",)):
        status, words = refused(site.tool, *command, *flags)
        assert (command[0], status, named in words) == (command[0], 1, True)


def test_a_directory_without_the_plugin_is_named_with_the_plugin(site: Site) -> None:
    status, words = refused(site.tool, *RUN, "--network_cni_plugins_dir", "/no/such:/etc")

    assert status == 1
    assert "'fake' of network 'net'" in words
    assert "looked in: /no/such, /etc" in words


@pytest.mark.parametrize(
    ("variable", "status", "named"),
    [
        ("MESOS_PLUGIN_TIMEOUT=x", 2, "--plugin_timeout"),
        ("MESOS_PLUGIN_TIMEOUT=0", 2, "--plugin_timeout"),
        ("MESOS_PLUGIN_TIMEOUT=-1", 2, "--plugin_timeout"),
        ("MESOS_PLUGIN_TIMEOUT=86401", 2, "--plugin_timeout"),
        ("MESOS_NETWORK_CNI_METRICS=maybe", 2, "--network_cni_metrics"),
        ("MESOS_NETWORK_CNI_ROOT_DIR_PERSIST=2", 2, "--network_cni_root_dir_persist"),
        ("MESOS_NETWORK_CNI_ROOT_DIR_PERSIST=true", 2, "--work_dir"),
        ("MESOS_DEFAULT_CONTAINER_DNS={", 2, "--default_container_dns: not JSON"),
        ("MESOS_DEFAULT_CONTAINER_DNS=/no/such", 2, "--default_container_dns: /no/such"),
        ('MESOS_DEFAULT_CONTAINER_DNS={"mesos": 1}', 2, "--default_container_dns.mesos"),
        ("MESOS_NETWORK_CNI_CONFIG_DIR=/no/such", 1, "network_cni_config_dir: /no/such"),
        ("MESOS_NETWORK_CNI_PLUGINS_DIR=:", 1, "network_cni_plugins_dir"),
        (f"MESOS_RUNTIME_DIR={A_FILE}", 1, A_FILE),
    ],
)
def test_a_variable_that_cannot_be_meant_is_refused_under_its_flags_name(
    site: Site, monkeypatch: pytest.MonkeyPatch, variable: str, status: int, named: str
) -> None:
    monkeypatch.setattr(site.tool, "argv", ("env", variable, *site.tool.argv))

    left, words = refused(site.tool, *RUN)

    assert left == status
    assert named in words
