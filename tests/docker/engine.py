"""Docker's engine in a throwaway host, and `mesos-cni` there.

The engine's files, cgroups and rules are the host's own: nothing of it reaches the machine.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.netns.containers import Left, Tool
from tests.support.gate import give_up, need
from tests.support.host import SEARCH_PATH, Host, Place
from tests.support.process import CommandError, Finished
from tests.support.waiting import eventually

SOCKET = "/var/run/docker.sock"
IMAGE = "box:1"
RUN = ("run", "--containerizer", "docker")
PATIENCE = 30.0
"""Seconds that a daemon may take on a machine that does other things too."""

_CGROUPS = Path("/proc/cgroups")

# The hierarchies of version 1: a container is made a cgroup in each, and in no other's.
_PREPARATION = """\
mount -t tmpfs -o mode=0755 tmpfs /var/lib
mount -t tmpfs -o mode=0755 tmpfs /opt
mount -t tmpfs -o mode=0755 tmpfs /sys/fs/cgroup
for kind in {controllers}; do
    mkdir /sys/fs/cgroup/$kind
    mount -t cgroup -o $kind cgroup /sys/fs/cgroup/$kind 2>&1 || rmdir /sys/fs/cgroup/$kind
done
if [ -z "$(ls /sys/fs/cgroup)" ]; then mount -t cgroup2 cgroup2 /sys/fs/cgroup; fi
mkdir -p /run/box/bin /run/box/etc /run/box/tmp /run/home /run/lock
for file in /bin/busybox $(ldd /bin/busybox 2>&1 | grep -o '/[^ ]*'); do
    cp -L --parents $file /run/box
done
for name in sh sleep cat echo hostname ip nslookup touch; do ln -s busybox /run/box/bin/$name; done
"""
_ENVIRONMENT = {"PATH": SEARCH_PATH, "LC_ALL": "C", "HOME": "/run/home"}


def need_docker() -> None:
    """Give up unless an engine can be run here."""
    need("docker", "dockerd", "containerd", "runc", "/bin/busybox")
    if os.geteuid() != 0:
        give_up("Docker's engine needs root, a user namespace will not do")


class Engine:
    """A daemon for the whole life of its host, with an image of a few programs."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.tool = Tool(host)
        lines = _CGROUPS.read_text().splitlines()[1:]
        controllers = " ".join(line.split()[0] for line in lines)
        self.shell(_PREPARATION.format(controllers=controllers))
        self._parent = f"throwaway-docker.{os.getpid()}"
        self.shell(
            f"dockerd --host unix://{SOCKET} --storage-driver vfs --pidfile /run/docker.pid"
            f" --cgroup-parent /{self._parent} >/run/dockerd.log 2>&1 &"
        )
        self.client = ["docker", "--host", f"unix://{SOCKET}"]
        if not eventually(self._answers, True, PATIENCE):
            raise CommandError(host.path("/run/dockerd.log").read_text()[-3000:])
        self.shell(f"tar -C /run/box -c . | {' '.join(self.client)} import - {IMAGE}")

    def _answers(self) -> bool:
        return self.docker("version", check=False).status == 0

    def shell(self, script: str) -> Finished:
        """Run commands as root, each of which must succeed."""
        return self.host.run(["sh", "-ec", script], env=_ENVIRONMENT, timeout=60)

    def docker(self, *words: str, check: bool = True) -> Finished:
        """Run Docker's own client."""
        return self.host.run([*self.client, *words], env=_ENVIRONMENT, check=check, timeout=60)

    def run(self, *arguments: str, image: str = IMAGE) -> Left:
        """Run a container in the foreground, to its end."""
        return self.tool.run(*RUN, "--docker_image", image, *arguments)

    def detached(self, name: str, *arguments: str, command: str = "sleep 1000") -> Place:
        """Launch a container that goes on by itself, and return where its packets come from."""
        words = ("--detach", "--name", name, *arguments, "--command", command)
        self.tool.succeed(*RUN, "--docker_image", IMAGE, *words)
        pid = self.tool.status(name)["pid"]
        return Place(self.host.keeper, name, f"/proc/{pid}/ns/net")

    def infos(self, name: str) -> Any:
        """Return the networks that `status` reports."""
        return self.tool.status(name)["network_infos"]

    @contextlib.contextmanager
    def gone_at_the_end(self) -> Iterator[None]:
        """See that after a test there is no container, neither Docker's nor ours."""
        yield
        for name in self.tool.containers():
            self.tool.succeed("kill", "--grace", "0", name)
            self.tool.succeed("cleanup", name)
        left = self.docker("ps", "--all", "--format", "{{.Names}}").text
        if left:
            raise AssertionError(f"Docker still has {left.split()}")

    def close(self) -> None:
        """End the daemon, and take its cgroups off the machine, whose kernel has only one set."""
        running = self.docker("ps", "--all", "--quiet", check=False).text.split()
        if running:
            self.docker("rm", "--force", *running)
        self.shell(
            "kill $(cat /run/docker.pid)\n"
            "while [ -e /run/docker.pid ]; do sleep 0.05; done\n"
            f"rmdir /sys/fs/cgroup/*/{self._parent} /sys/fs/cgroup/{self._parent} 2>&1 || :"
        )
