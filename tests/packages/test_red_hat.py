"""Red Hat's package: installed, used, removed, on a system whose own packages are Debian's."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packages.image import ROOT, Image
from tests.packages.use import assert_documented, assert_usable
from tests.support.gate import need
from tests.support.host import Host
from tests.support.plugin import Plugin

NAME = "mesos-cni-port-mapper"
DIRECTORY = "/usr/libexec/cni"
PLUGIN = f"{DIRECTORY}/{NAME}"
DATABASE = "--dbpath=/var/lib/rpm"


@pytest.fixture
def rpm(package: Callable[[str], Path]) -> str:
    need("rpm", "chroot")
    return f"/run/packages/{package('*.rpm').name}"


@pytest.fixture
def image(host: Host, package: Callable[[str], Path]) -> Image:
    return Image(host, package("*.rpm").parent)


def test_installed_it_forwards_a_port_alone_and_removed_it_is_gone(image: Image, rpm: str) -> None:
    # Of the dependencies its database knows nothing, as they are Debian's.
    image.run("rpm", DATABASE, "--install", "--nodeps", rpm)

    assert image.run("rpm", DATABASE, "--verify", "--nodeps", NAME).text == ""
    assert image.run("mesos-cni", "--version").text.startswith("mesos-cni ")
    plugin = Plugin(image.host, PLUGIN, (DIRECTORY,), ("chroot", ROOT))
    assert_usable(plugin, image.container)
    assert_documented(image.path("/usr/share/man/man1"))

    image.run("rpm", DATABASE, "--erase", NAME)

    assert image.left() == []


def test_the_plugin_of_another_is_not_overwritten(image: Image, rpm: str) -> None:
    image.path(DIRECTORY).mkdir(parents=True)
    image.path(PLUGIN).write_text("the original")

    refused = image.run("rpm", DATABASE, "--install", "--nodeps", rpm, check=False)

    assert refused.status != 0
    assert f"{PLUGIN} is in the way" in refused.stderr.decode()
    assert image.path(PLUGIN).read_text() == "the original"
    assert not image.path("/usr/lib/mesos-cni").exists()
