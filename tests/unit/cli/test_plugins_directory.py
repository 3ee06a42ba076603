"""What is seen of a version while it is removed, and what it is recognised by."""

import os
import shutil
from pathlib import Path

import pytest

from mesos_cni_port_mapper.cli.installation import CURRENT, PLUGIN, WASTE, Copy, RemoveVersion
from mesos_cni_port_mapper.cli.plugins_directory import apply, digest_of

VERSION = f"{CURRENT}-v0.1.0-0123456789ab"


def plugins(directory: Path) -> Path:
    """Make a plugin that can be asked for its version."""
    directory.mkdir(parents=True)
    (directory / PLUGIN).write_text("#!/bin/sh\n")
    (directory / PLUGIN).chmod(0o755)
    (directory / "library").write_text("1")
    (directory / "link").symlink_to("library")
    return directory


@pytest.mark.parametrize("step", [RemoveVersion(VERSION), Copy(VERSION)])
def test_no_part_of_a_version_is_removed_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: RemoveVersion | Copy
) -> None:
    source = plugins(tmp_path / "source")
    plugins(tmp_path / "target" / VERSION)
    removed: list[str] = []
    remove = shutil.rmtree

    def recorded(path: Path) -> None:
        removed.append(path.name)
        remove(path)

    monkeypatch.setattr(shutil, "rmtree", recorded)

    apply(tmp_path / "target", source, [step])

    assert removed == [WASTE]
    assert not (tmp_path / "target" / WASTE).exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda found: (found / "library").write_text("2"),
        lambda found: (found / "library").rename(found / "elsewhere"),
        lambda found: (found / PLUGIN).chmod(0o644),
        lambda found: (found / "stray").touch(),
        lambda found: (found / "empty").mkdir(),
        lambda found: os.mkfifo(found / "pipe"),
        lambda found: ((found / "link").unlink(), (found / "link").symlink_to(PLUGIN)),
        lambda found: ((found / "link").unlink(), (found / "link").write_text("library")),
    ],
)
def test_every_damage_changes_the_digest(tmp_path: Path, damage: object) -> None:
    one, other = plugins(tmp_path / "one"), plugins(tmp_path / "other")
    assert digest_of(one) == digest_of(other)

    assert callable(damage)
    damage(other)

    assert digest_of(one) != digest_of(other)
