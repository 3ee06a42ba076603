"""`mesos-cni install` on a real directory: killed at any moment, and several at the same time."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from delegates.catalogue import BUILT_IN
from tests.support.gate import need

ROOT = Path(__file__).parents[2]
SOURCE = (sys.executable, "-m", "mesos_cni_port_mapper.cli")
PLUGIN = "mesos-cni-port-mapper"
CHANGES = "rename,symlink,unlink,unlinkat,rmdir,mkdir,sendfile"

# Says which version it is of, and fails when its library is of another one or missing.
STAND_IN = """\
#!/bin/sh
library=$(dirname "$(readlink -f "$0")")/{library}
[ "$(cat "$library/version")" = {version} ] || exit 9
echo {version}
"""


def stand_in(directory: Path, version: str, *delegates: str) -> Path:
    """Make plugins that start at once, each of two files that belong together."""
    for name, library in {PLUGIN: ".lib", ".mesos-cni-delegates/program": "../.lib"}.items():
        program = directory / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(STAND_IN.format(library=library, version=version))
        program.chmod(0o755)
    (directory / ".lib").mkdir()
    (directory / ".lib/version").write_text(version)
    for delegate in delegates:
        (directory / ".mesos-cni-delegates" / delegate).symlink_to("program")
    return directory


def run(*arguments: str | Path, wrapper: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*wrapper, *SOURCE, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def install(target: Path, source: Path, *flags: str) -> None:
    left = run("install", "--plugins-dir", target, "--from", source, *flags)
    assert (left.returncode, left.stderr) == (0, "")


def answer_of(plugin: Path) -> str | None:
    """Return what a plugin says, or nothing where there is none."""
    try:
        left = subprocess.run([plugin], capture_output=True, text=True, check=False, timeout=60)
    except FileNotFoundError:
        return None
    assert (left.returncode, left.stderr) == (0, "")
    return left.stdout.strip()


def ask_version(plugin: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [plugin], env={"CNI_COMMAND": "VERSION"}, input=b"", capture_output=True, check=False
    )


def entries(directory: Path) -> dict[str, str]:
    """Return the names in a directory, and what links among them say."""
    return {
        path.name: str(path.readlink()) if path.is_symlink() else "" for path in directory.iterdir()
    }


@pytest.fixture
def one(tmp_path: Path) -> Path:
    return stand_in(tmp_path / "one", "1", "bridge", "vlan")


@pytest.fixture
def two(tmp_path: Path) -> Path:
    return stand_in(tmp_path / "two", "2", "bridge", "loopback")


@pytest.fixture
def three(tmp_path: Path) -> Path:
    return stand_in(tmp_path / "three", "3", "bridge", "loopback")


def test_the_frozen_program_installs_the_plugins_it_was_built_with(
    mesos_cni: Path, program: Path, tmp_path: Path
) -> None:
    target = tmp_path / "not/there/yet"
    command = [str(mesos_cni), "install", "--plugins-dir", str(target), "--delegates", "--json"]
    document = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)

    assert document["linked"] == [PLUGIN, *sorted(BUILT_IN)]
    for name in (PLUGIN, *BUILT_IN):
        assert "1.0.0" in json.loads(ask_version(target / name).stdout)["supportedVersions"]
    again = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert (document["changed"], again["changed"]) == (True, False)

    subprocess.run([mesos_cni, "uninstall", "--plugins-dir", target], check=True)
    assert entries(target) == {}


def test_copies_are_for_everybody_whatever_the_umask(one: Path, tmp_path: Path) -> None:
    (one / ".lib/version").chmod(0o600)
    (one / PLUGIN).chmod(0o700)

    left = run(
        *("install", "--plugins-dir", tmp_path / "plugins", "--from", one),
        wrapper=("sh", "-c", 'umask 077; exec "$@"', "sh"),
    )

    assert left.returncode == 0
    version = (tmp_path / "plugins/.mesos-cni-port-mapper").resolve()
    modes = {
        str(path.relative_to(version)): path.stat().st_mode & 0o777 for path in version.rglob("*")
    }
    assert version.stat().st_mode & 0o777 == modes[PLUGIN] == modes[".lib"] == 0o755
    assert modes[".lib/version"] == 0o644


def test_a_plugin_that_does_not_start_is_not_installed(
    one: Path, two: Path, tmp_path: Path
) -> None:
    target = tmp_path / "plugins"
    install(target, one)
    before = entries(target)
    (two / ".lib/version").write_text("of another machine")

    left = run("install", "--plugins-dir", target, "--from", two)

    assert left.returncode == 1
    assert "does not run there (it ends with 9" in left.stderr
    assert entries(target) == before


def test_a_repair_that_fails_leaves_things_as_they_were(one: Path, tmp_path: Path) -> None:
    target = tmp_path / "plugins"
    (one / ".lib/large").write_bytes(bytes(1 << 20))
    install(target, one)
    (target / ".mesos-cni-port-mapper/.lib/version").unlink()
    before = entries(target)

    left = run(
        *("install", "--plugins-dir", target, "--from", one),
        wrapper=("sh", "-c", 'ulimit -f 64; exec "$@"', "sh"),
    )

    assert left.returncode == 1
    assert left.stderr.startswith(f"mesos-cni: cannot copy {one}/.lib/large: ")
    assert left.stderr.count("\n") == 1
    assert entries(target) == before


def test_what_another_put_there_stays_and_nothing_is_changed(one: Path, tmp_path: Path) -> None:
    target = tmp_path / "plugins"
    target.mkdir()
    (target / "bridge").write_text("another's")

    left = run("install", "--plugins-dir", target, "--from", one, "--delegates")

    assert left.returncode == 1
    assert left.stderr == (
        "mesos-cni: bridge is in the way, and not of this command's making; nothing was changed\n"
    )
    assert entries(target) == {"bridge": ""}
    install(target, one)
    assert run("uninstall", "--plugins-dir", target).returncode == 0
    assert (target / "bridge").read_text() == "another's"


def test_a_damaged_installation_is_repaired(one: Path, tmp_path: Path) -> None:
    target = tmp_path / "plugins"
    install(target, one)
    (target / ".mesos-cni-port-mapper/.lib/version").unlink()

    install(target, one)

    assert answer_of(target / PLUGIN) == "1"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("install",), "--plugins-dir"),
        (("uninstall",), "--plugins-dir"),
        (("install", "--plugins-dir", "/dev/null", "--from", "{one}"), "not a directory"),
        (("install", "--plugins-dir", "{plugins}", "--from", "/dev"), "no mesos-cni-port-mapper"),
        (("uninstall", "--plugins-dir", "/dev/null"), "not a directory"),
        (("uninstall", "--plugins-dir", "/nowhere"), "not a directory"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(
    one: Path, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    left = run(*(each.format(one=one, plugins=tmp_path / "plugins") for each in arguments))

    assert left.returncode == 2
    assert words in left.stderr
    assert left.stderr.count("\n") == 1
    assert not (tmp_path / "plugins").exists()


def test_a_missing_privilege_is_named(one: Path, tmp_path: Path) -> None:
    need("setpriv")
    for path in (tmp_path, *tmp_path.parents):
        if not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o011)
    (tmp_path / "plugins").mkdir(mode=0o755)

    left = run(
        *("install", "--plugins-dir", tmp_path / "plugins", "--from", one),
        wrapper=("setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all"),
    )

    assert left.returncode == 1
    assert "it takes root, or whoever owns the directory" in left.stderr
    assert left.stderr.count("\n") == 1


def killed_at_every_change(target: Path, pristine: Path, *arguments: str | Path) -> Iterator[str]:
    """Run a command on a copy of ``pristine`` again and again, killed one change later each."""
    for call in CHANGES.split(","):
        for count in range(1, 100):
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(pristine, target, symlinks=True)
            injection = f"inject={call}:signal=KILL:when={count}"
            wrapper = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", injection)
            left = run(*arguments, wrapper=(*wrapper, "-e", f"trace={call}"))
            if left.returncode >= 0:
                assert (left.returncode, left.stderr) == (0, "")
                break
            assert left.returncode == -signal.SIGKILL
            yield f"{call} {count}"


def test_killed_at_any_moment_there_is_a_plugin_that_works_or_none(
    one: Path, two: Path, three: Path, tmp_path: Path
) -> None:
    need("strace")
    target, pristine = tmp_path / "plugins", tmp_path / "pristine"
    install(pristine, one, "--delegates")
    install(pristine, two)
    arguments = ("install", "--plugins-dir", target, "--from", three, "--delegates")

    seen = set()
    for moment in killed_at_every_change(target, pristine, *arguments):
        version = answer_of(target / PLUGIN)
        seen.add(version)
        assert version in ("2", "3"), moment
        assert answer_of(target / "bridge") == version, moment
        assert answer_of(target / "loopback") in (None, version), moment
        assert answer_of(target / "vlan") is None, moment
        install(target, three, "--delegates")
        assert {answer_of(target / name) for name in (PLUGIN, "bridge", "loopback")} == {"3"}
    assert seen == {"2", "3"}


def test_killed_while_removing_there_is_a_plugin_that_works_or_none(
    one: Path, two: Path, tmp_path: Path
) -> None:
    need("strace")
    target, pristine = tmp_path / "plugins", tmp_path / "pristine"
    install(pristine, one, "--delegates")
    install(pristine, two)
    (pristine / "portmap").write_text("another's")

    seen = set()
    for moment in killed_at_every_change(target, pristine, "uninstall", "--plugins-dir", target):
        answers = [answer_of(target / name) for name in (PLUGIN, "bridge")]
        assert set(answers) <= {"2", None}, moment
        seen.update(answers)
        assert run("uninstall", "--plugins-dir", target).returncode == 0
        assert entries(target) == {"portmap": ""}, moment
    assert seen == {"2", None}


def test_many_at_once_leave_one_installation_and_never_a_moment_without(
    bundle: Path, tmp_path: Path
) -> None:
    # The frozen program: a shell opens its script by name once more, when another may be there.
    target, other = tmp_path / "plugins", tmp_path / "other"
    shutil.copytree(bundle, other, symlinks=True)
    (other / "another-version").touch()
    install(target, bundle)
    answers = []

    with ThreadPoolExecutor(4) as pool:
        upgrades = [pool.submit(install, target, each) for each in (other, bundle) * 5]
        while not all(upgrade.done() for upgrade in upgrades):
            left = ask_version(target / PLUGIN)
            answers.append((left.returncode, left.stderr, b"supportedVersions" in left.stdout))
        for upgrade in upgrades:
            upgrade.result()

    assert len(answers) > 10
    assert set(answers) == {(0, b"", True)}
    assert len([name for name in entries(target) if "-v" in name]) == 2
    assert not {".mesos-cni-port-mapper.new", ".mesos-cni-port-mapper.old"} & set(entries(target))


def test_what_runs_keeps_its_version_and_is_named_when_it_is_to_go(
    one: Path, two: Path, three: Path, tmp_path: Path
) -> None:
    target = tmp_path / "plugins"
    shutil.copy("/bin/sleep", one / "sleep")
    install(target, one)
    running = (target / ".mesos-cni-port-mapper").resolve()
    with subprocess.Popen([target / ".mesos-cni-port-mapper/sleep", "60"]) as process:
        try:
            install(target, two)
            install(target, three)
            assert running.is_dir()

            left = run("uninstall", "--plugins-dir", target)

            assert left.returncode == 1
            assert f"{running}: kept, as pid {process.pid} runs from it" in left.stderr
            assert entries(target) == {running.name: ""}
            # It is not done, and there is nothing to be said of it but that.
            again = run("uninstall", "--plugins-dir", target)
            assert (again.returncode, again.stdout, again.stderr) == (1, "", left.stderr)
        finally:
            process.kill()
    assert run("uninstall", "--plugins-dir", target).returncode == 0
    assert entries(target) == {}
