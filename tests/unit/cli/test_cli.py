"""The command line as a whole: its modules, its flags, its start."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

from mesos_cni_port_mapper.cli import program as cli
from mesos_cni_port_mapper.cli.flags import Flags, find_builtin, rewrite_booleans
from mesos_cni_port_mapper.cli.output import addresses_of, since
from mesos_cni_port_mapper.harness.errors import UsageError


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_says_what_it_does_and_what_its_flags_do(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([name, "--help"]) == 0
    assert f"Usage: mesos-cni {name}" in capsys.readouterr().out


def test_every_module_is_a_command_or_serves_them() -> None:
    folder = Path(cli.__file__).parent
    modules = {path.stem for path in folder.glob("*.py")}
    modules |= {path.parent.name for path in folder.glob("*/__init__.py")}
    serving = {"__init__", "__main__", "docker_request", "flags", "group", "output", "request"}

    assert set(cli.COMMANDS.values()) <= modules - serving


def test_the_start_imports_neither_tables_nor_event_loops() -> None:
    code = (
        "import sys; from mesos_cni_port_mapper.cli.program import run\n"
        "status = run(['--runtime_dir', '/nonexistent', 'ps', '-q'])\n"
        "print(status, [name for name in ('rich', 'asyncio', 'docker', 'shutil')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "0 []\n"


@pytest.mark.parametrize(
    ("given", "rewritten"),
    [
        (["--network_cni_metrics=true"], ["--network_cni_metrics"]),
        (["--network-cni-metrics=false"], ["--no-network-cni-metrics"]),
        (["run", "--", "--network_cni_metrics=x"], ["run", "--", "--network_cni_metrics=x"]),
        (["--env=a=b", "x=y"], ["--env=a=b", "x=y"]),
    ],
)
def test_booleans_may_be_written_as_mesos_writes_them(
    given: list[str], rewritten: list[str]
) -> None:
    assert rewrite_booleans(given) == rewritten


def test_a_boolean_is_true_or_false() -> None:
    with pytest.raises(UsageError, match=r"^--network_cni_metrics: "):
        rewrite_booleans(["--network_cni_metrics=1"])


def test_no_flag_of_a_command_hides_a_global_one() -> None:
    group = cli.program()
    context = click.Context(group)
    everywhere = {option for parameter in group.params for option in parameter.opts}
    for name in cli.COMMANDS:
        command = group.get_command(context, name)
        assert command is not None
        own = [option for parameter in command.params for option in parameter.opts]
        assert len(own) == len(set(own))
        assert everywhere - {"--version"} <= set(own)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59, "59s"), (61, "1m 1s"), (3600, "1h 0m"), (90061, "1d 1h")]
)
def test_an_age_has_two_units_at_most(
    seconds: int, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 1000000.0 + seconds)
    assert since(1000000.0) == text


def test_addresses_are_listed_in_order() -> None:
    infos = [{"ip_addresses": [{"ip_address": "a"}, {"ip_address": "b"}]}, {"name": "x"}]
    assert addresses_of(infos) == "a, b"


def test_directories_hold_wherever_a_container_is_detached_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = Flags()
    flags.take("network_cni_config_dir", "configurations")
    flags.take("network_cni_plugins_dir", "plugins:/usr/lib/cni/::../others")

    options = flags.options()

    assert options.config_dir == f"{tmp_path}/configurations"
    # What is absolute stays word for word, because plugins get it as CNI_PATH.
    assert options.plugins_dir == f"{tmp_path}/plugins:/usr/lib/cni/::{tmp_path}/../others"


def test_no_plugins_directory_is_none() -> None:
    assert Flags().options().plugins_dir is None


@pytest.mark.parametrize("place", ["bin", "plugins", "given/second"])
def test_built_in_delegates_are_beside_us_or_beside_a_port_mapper(
    tmp_path: Path, place: str
) -> None:
    given = f"{tmp_path}/given/first::{tmp_path}/given/second"
    assert find_builtin(given, f"{tmp_path}/bin") is None

    (tmp_path / place / ".mesos-cni-delegates").mkdir(parents=True)

    assert find_builtin(given, f"{tmp_path}/bin") == f"{tmp_path}/{place}/.mesos-cni-delegates"
