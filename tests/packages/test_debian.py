"""Debian's package: installed, used, upgraded, removed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packages.image import ROOT, Image
from tests.packages.use import assert_documented, assert_usable
from tests.support.gate import need
from tests.support.host import Host
from tests.support.plugin import Plugin

NAME = "mesos-cni-port-mapper"
PLUGIN = f"/usr/lib/cni/{NAME}"
UNITS = ("mesos-cni-agent.service", "mesos-cni-restore.service")


@pytest.fixture
def deb(package: Callable[[str], Path]) -> Path:
    need("dpkg", "chroot")
    return package("*.deb")


@pytest.fixture
def image(host: Host, deb: Path) -> Image:
    return Image(host, deb.parent)


def install(image: Image, deb: Path) -> None:
    image.run("dpkg", "--install", f"/run/packages/{deb.name}")


def test_installed_it_forwards_a_port_with_debians_bridge_and_removed_it_is_gone(
    image: Image, deb: Path
) -> None:
    need("/usr/lib/cni/bridge", "systemd-analyze")
    assert image.left() == []

    install(image, deb)

    assert image.run("dpkg", "--verify", NAME).text == ""
    assert image.run("mesos-cni", "--version").text.startswith("mesos-cni ")
    assert_usable(Plugin(image.host, PLUGIN, wrapper=("chroot", ROOT)), image.container)
    assert_documented(image.path("/usr/share/man/man1"))
    units = [f"/usr/lib/systemd/system/{unit}" for unit in UNITS]
    verified = image.run("systemd-analyze", "verify", *units, check=False)
    assert [line for line in verified.stderr.decode().splitlines() if "mesos-cni" in line] == []
    assert verified.status == 0

    image.run("dpkg", "--remove", NAME)

    assert image.left() == []


def test_what_is_installed_fills_another_directory_of_plugins(image: Image, deb: Path) -> None:
    install(image, deb)
    target = "/opt/cni/bin"

    image.run("mesos-cni", "install", "--plugins-dir", target, "--delegates")

    plugin = Plugin(image.host, f"{target}/{NAME}", (target,), ("chroot", ROOT))
    assert_usable(plugin, image.container)
    image.run("mesos-cni", "uninstall", "--plugins-dir", target)
    assert list(image.path(target).iterdir()) == []


def test_an_enabled_unit_is_disabled_when_the_package_goes(image: Image, deb: Path) -> None:
    need("systemctl")
    install(image, deb)
    image.run("systemctl", "enable", *UNITS)
    wanted = "/etc/systemd/system/nftables.service.wants/mesos-cni-restore.service"
    assert image.path(wanted).is_symlink()

    image.run("dpkg", "--purge", NAME)

    assert not image.path(wanted).is_symlink()
    assert [name for name in image.left() if "mesos" in name] == []


def test_installed_again_it_takes_its_own_place(image: Image, deb: Path) -> None:
    install(image, deb)
    install(image, deb)
    image.run("dpkg", "--remove", NAME)
    install(image, deb)

    assert image.path(PLUGIN).is_symlink()


@pytest.mark.parametrize("foreign", ["program", "link"])
def test_the_plugin_of_another_is_not_overwritten(image: Image, deb: Path, foreign: str) -> None:
    if foreign == "program":
        image.path(PLUGIN).write_text("the original")
    else:
        image.path(PLUGIN).symlink_to("/opt/mesos/nowhere")
    before = image.left()

    refused = image.run("dpkg", "--install", f"/run/packages/{deb.name}", check=False)

    assert refused.status != 0
    assert f"{PLUGIN} is in the way" in refused.stderr.decode()
    assert image.left() == before == [PLUGIN[1:]]
