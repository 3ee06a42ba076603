"""Containers with a root of their own: what they see, and that nothing leads out of it."""

from pathlib import Path

import pytest

from tests.netns.containers import FROZEN, SOURCE, Tool
from tests.support.gate import need_file
from tests.support.host import Host

ROOTFS = "/run/rootfs"
# Programs and their libraries, from the machine, as an image would have them.
SYSTEM = ("--rootfs", ROOTFS, "--volume", "/usr:/usr:ro")


@pytest.fixture(params=["source", "frozen"])
def tool(request: pytest.FixtureRequest, host: Host) -> Tool:
    if request.param == "frozen":
        need_file(FROZEN, "make build")
    _image(host.path(ROOTFS))
    return Tool(host, SOURCE if request.param == "source" else [str(FROZEN)])


@pytest.fixture
def source(host: Host) -> Tool:
    _image(host.path(ROOTFS))
    return Tool(host)


def _image(root: Path) -> None:
    root.mkdir()
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / name).symlink_to(f"usr/{name}")
    (root / "etc").mkdir()
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nweb:x:33:44::/srv:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nweb:x:44:\nextra:x:55:root,web\n")


def shell(tool: Tool, command: str, *flags: str) -> list[str]:
    left = tool.run("run", *SYSTEM, *flags, "--command", command)
    assert (left.status, left.stderr) == (0, "")
    return left.stdout.splitlines()


def test_the_root_is_the_rootfs_and_the_hosts_is_gone(tool: Tool) -> None:
    seen = shell(tool, "ls / | xargs; cut -d' ' -f5 /proc/self/mountinfo | sort | xargs")
    mounts = "/ /dev /dev/full /dev/null /dev/pts /dev/random /dev/shm /dev/tty /dev/urandom"
    files = "/etc/hostname /etc/hosts /etc/resolv.conf"

    assert seen == [
        "bin dev etc lib lib64 proc sbin sys usr",
        f"{mounts} /dev/zero {files} /proc /sys /usr",
    ]
    tool.assert_nothing_left()


def test_the_devices_are_the_harmless_ones(source: Tool) -> None:
    devices = shell(source, "ls /dev | xargs; echo x >/dev/null; head -c4 /dev/zero | wc -c")

    names = "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero"
    assert devices == [names, "4"]


def test_system_files_cannot_be_changed(source: Tool) -> None:
    source.network("net")
    tries = [
        "echo 1500 >/sys/class/net/lo/mtu",
        "echo x >/usr/new",
        "echo x >/etc/hosts",
        "echo x >/etc/resolv.conf",
    ]
    command = "; ".join(f"({each}) 2>/dev/null || echo refused" for each in tries)

    assert shell(source, command, "--networks", "net") == ["refused"] * len(tries)
    assert sorted(source.host.files(ROOTFS)) == [
        "etc/group",
        "etc/hostname",
        "etc/hosts",
        "etc/passwd",
        "etc/resolv.conf",
    ]
    source.assert_nothing_left()


def test_users_are_those_of_the_container(tool: Tool) -> None:
    assert shell(tool, "id -u; id -g; id -G; echo $HOME", "--user", "web") == [
        "33",
        "44",
        "44 55",
        "/srv",
    ]
    left = tool.run("run", *SYSTEM, "--user", "daemon", "--command", "id")
    assert (left.status, "no user 'daemon'" in left.stderr) == (1, True)
    tool.assert_nothing_left()


def test_volumes_are_directories_and_files_read_only_where_asked(source: Tool) -> None:
    data = source.host.path("/run/data")
    data.mkdir()
    (data / "file").write_text("hello\n")
    flags = ("--volume", "/run/data:/a/b", "--volume", "/run/data/file:/etc/motd:ro")
    command = "cat /etc/motd; echo new >/a/b/new; (echo x >/etc/motd) 2>/dev/null || echo refused"

    assert shell(source, command, *flags) == ["hello", "refused"]
    assert (data / "new").read_text() == "new\n"
    source.assert_nothing_left()


def test_what_is_mounted_below_a_read_only_volume_is_read_only_too(source: Tool) -> None:
    source.host.run(["mkdir", "-p", "/run/data/below"])
    source.host.run(["mount", "-t", "tmpfs", "tmpfs", "/run/data/below"])
    command = "(echo x >/data/below/x) 2>/dev/null || echo refused"

    assert shell(source, command, "--volume", "/run/data:/data:ro") == ["refused"]


@pytest.mark.parametrize("link", ["/", "/run", "../../../../run", "loop"])
def test_a_link_in_the_image_leads_nowhere_else(source: Tool, link: str) -> None:
    source.host.path(f"{ROOTFS}/etc/loop").symlink_to("loop")
    source.host.path(f"{ROOTFS}/etc/there").symlink_to(link)
    data = source.host.path("/run/data")
    data.mkdir()
    before = source.host.files("/run/data")
    left = source.run(
        "run",
        *SYSTEM,
        "--volume",
        "/run/data:/etc/there/victim/x",
        "--command",
        "ls /etc/there/victim",
    )

    if link == "loop":
        assert left.status == 1
        assert "symbolic links" in left.stderr
    else:
        assert left.stdout == "x\n"
    assert not source.host.path("/run/victim").exists()
    assert source.host.files("/run/data") == before
    source.assert_nothing_left()


def test_without_a_rootfs_nothing_is_made_on_the_host_for_a_volume(source: Tool) -> None:
    source.host.path("/run/data").mkdir()
    left = source.run("run", "--volume", "/run/data:/run/none/here", "--command", "true")

    assert (left.status, "volume /run/none/here" in left.stderr) == (1, True)
    assert not source.host.path("/run/none").exists()
    source.assert_nothing_left()


def test_another_command_is_in_the_same_root(tool: Tool) -> None:
    tool.detached("web", "cd /srv 2>/dev/null; sleep 60", *SYSTEM, "--hostname", "h")
    found = tool.run("exec", "--user", "web", "web", "sh", "-c", "ls / | xargs; id -u; echo $PPID")

    names = "bin dev etc lib lib64 proc sbin sys usr"
    assert (found.status, found.stdout.splitlines()[:2]) == (0, [names, "33"])
    tool.succeed("kill", "--grace", "0", "web")
    tool.succeed("cleanup", "web")
    tool.assert_nothing_left()


def test_an_image_whose_dev_leads_elsewhere_has_nothing_made_on_the_host(tool: Tool) -> None:
    victim = tool.host.path("/run/victim")
    victim.mkdir()
    tool.host.path(f"{ROOTFS}/dev").symlink_to("/run/victim")

    assert shell(tool, "ls /dev/stdout /run/victim/stdout") == ["/dev/stdout", "/run/victim/stdout"]
    assert list(victim.iterdir()) == []
