"""Podman in a throwaway host, with networks of the documentation."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.clients.page import CONTAINERS_CONF
from tests.clients.stage import GUEST, SLEEP, Stage
from tests.support.delegates import Received
from tests.support.host import Place
from tests.support.process import Finished
from tests.support.traffic import serve_tcp, serve_udp

# What the test's host lacks, and what only costs time.
_SETTINGS = """\
[containers]
cgroups = "disabled"
default_sysctls = []
log_driver = "none"

[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "crun"
"""
_STORAGE = '[storage]\ndriver = "vfs"\nrunroot = "/run/storage"\ngraphroot = "/var/lib/storage"\n'


@dataclass(frozen=True)
class Podman:
    """Podman as an operator has it who followed the documentation."""

    stage: Stage

    def __post_init__(self) -> None:
        files = {
            "/etc/containers/containers.conf": CONTAINERS_CONF,
            "/etc/containers/containers.conf.d/test.conf": _SETTINGS,
            "/etc/containers/storage.conf": _STORAGE,
        }
        for name, text in files.items():
            path = self.stage.host.path(name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    def __call__(self, *words: str, check: bool = True) -> Finished:
        """Run a command of Podman's."""
        return self.stage.run(["podman", *words], check=check)

    def run(self, name: str, network: Any, *options: str) -> str:
        """Start a container on a network and return its ID."""
        return self.attempt(name, network, *options, check=True).text.strip()

    def attempt(self, name: str, network: Any, *options: str, check: bool = False) -> Finished:
        """Start a container on a network if Podman can."""
        net = ("--network", self.stage.configure(network))
        guest = ("--name", name, *options, "--rootfs", GUEST, *SLEEP)
        return self("run", "--detach", *net, *guest, check=check)

    def inspect(self, name: str, *fields: str) -> list[str]:
        """Return what Podman knows of a container."""
        words = " ".join(f"{{{{.{field}}}}}" for field in fields)
        return self("container", "inspect", "--format", words, name).text.split()

    def serve(self, name: str, tcp: Sequence[int] = (80,), udp: Sequence[int] = ()) -> Place:
        """Answer in a running container, which is asked for its namespace anew each time."""
        (netns,) = self.netns(name)
        place = self.stage.place(name, netns)
        for port in tcp:
            serve_tcp(place, port)
        for port in udp:
            serve_udp(place, port)
        return place

    def netns(self, name: str) -> list[str]:
        """Return the path of a container's network namespace, if it has one."""
        return self.inspect(name, "NetworkSettings.SandboxKey")

    def remove(self, *names: str) -> None:
        """Remove containers, running or not."""
        self("rm", "--force", "--time", "0", *names)


def mappings(call: Received) -> Any:
    """Return the mappings that came with a call, or nothing when none did."""
    return call.config.get("runtimeConfig", {}).get("portMappings")


def owners(rules: Sequence[str]) -> set[str]:
    """Return the containers that rules are for."""
    return set(re.findall(r"container_id: (\S+)", " ".join(rules)))
