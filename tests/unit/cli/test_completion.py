"""Completion: a shell that reads the script asks the program and offers what it says."""

import subprocess
import sys
from pathlib import Path

import pytest

from mesos_cni_port_mapper.cli import program as cli

ROOT = Path(__file__).resolve().parents[3]
COMPLETE = """\
. script
COMP_WORDS=({words})
COMP_CWORD={last}
_mesos_cni_completion mesos-cni
echo "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_a_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["completion", shell]) == 0
    assert f"_MESOS_CNI_COMPLETE={shell}_complete" in capsys.readouterr().out


def test_a_shell_that_is_not_known_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["completion", "ksh"]) == 2
    assert "'ksh' is not one of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["mesos-cni", "sta"], ["status"]),
        (["mesos-cni", "completion", "f"], ["fish"]),
        (["mesos-cni", "run", "--hostn"], ["--hostname"]),
    ],
)
def test_bash_is_offered_what_fits(
    words: list[str], offered: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.run(["completion", "bash"])
    (tmp_path / "script").write_text(capsys.readouterr().out.replace("compopt", ":"))
    tool = tmp_path / "mesos-cni"
    tool.write_text(f'#!/bin/sh\nexec {sys.executable} -m mesos_cni_port_mapper.cli "$@"\n')
    tool.chmod(0o755)
    done = subprocess.run(
        ["/bin/bash", "-c", COMPLETE.format(words=" ".join(words), last=len(words) - 1)],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == offered
