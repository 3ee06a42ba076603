"""Networks, plugins and images for the counterparts of Mesos' own tests of its isolator."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.netns.agents import Agent
from tests.netns.containers import CONFIGURATIONS, RUNTIME, Tool
from tests.support.host import Host

MOCK = "__MESOS_TEST__"
MOCK_ADDRESS = "192.168.7.2"
MOCK_RESULT = {
    "ip4": {"ip": f"{MOCK_ADDRESS}/24"},
    "dns": {"nameservers": ["192.0.2.53"]},
}
STATE_ROOT = f"{RUNTIME}/isolators/network/cni"
IMAGE = "/run/image"
PYTHON = os.path.realpath(sys.executable)

# Pairs of addresses out of 203.0.113.0/24; the host has one, and is the container's way out.
_VETH_ADD = """\
mkdir -p /run/veth
number=0
until ip link add vmesos$number type veth peer name vmesos${number}ns 2>/dev/null; do
    number=$((number + 1))
    if [ $number -ge 128 ]; then
        printf '{"cniVersion": "0.3.0", "code": 100, "msg": "no pair of addresses is free"}'
        exit 100
    fi
done
echo vmesos$number >"/run/veth/$CNI_CONTAINERID"
outer=203.0.113.$((2 * number))
inner=203.0.113.$((2 * number + 1))
ip address add $outer/31 dev vmesos$number
ip link set vmesos$number up
ip link set vmesos${number}ns netns "$CNI_NETNS" name "$CNI_IFNAME"
inside() { nsenter --net="$CNI_NETNS" ip "$@"; }
inside address add $inner/31 dev "$CNI_IFNAME"
inside link set "$CNI_IFNAME" up
inside route add default via $outer
printf '{"ip4": {"ip": "%s/31", "gateway": "%s"}}' $inner $outer
"""
_VETH_DEL = """\
ip link delete "$(cat "/run/veth/$CNI_CONTAINERID")" 2>/dev/null
rm -f "/run/veth/$CNI_CONTAINERID"
rmdir /run/veth 2>/dev/null
exit 0
"""


class Upstream(Tool):
    """`mesos-cni` with the fixture of Mesos' tests: a network of a plugin that only answers."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.variables: dict[str, str | None] = {}
        self.plugins.recording("mockPlugin", MOCK_RESULT)
        self.configure("mockConfig", {"name": MOCK, "type": "mockPlugin"})

    def configure(self, file: str, document: Mapping[str, Any]) -> None:
        """Write a network configuration; the file needs no extension."""
        self.host.path(f"{CONFIGURATIONS}/{file}").write_text(json.dumps(document))

    def unconfigure(self, file: str) -> None:
        """Delete a network configuration."""
        self.host.path(f"{CONFIGURATIONS}/{file}").unlink()

    def mock(self, add: str, others: str = "exit 0") -> None:
        """Let the plugin run a piece of shell on ADD, and another on everything else."""
        bodies = {"ADD": add, "DEL": others, "CHECK": others}
        self.plugins.scripted("mockPlugin", bodies)

    def veth(self) -> None:
        """Configure a network of real interfaces: a pair of them for each container."""
        self.plugins.scripted("vethPlugin", {"ADD": _VETH_ADD, "DEL": _VETH_DEL})
        self.configure("vethConfig", {"name": "veth", "type": "vethPlugin"})

    def environment(self) -> dict[str, str]:
        """Return the environment of commands, with what the test has changed."""
        merged = {**super().environment(), **self.variables}
        return {name: value for name, value in merged.items() if value is not None}

    def image(self) -> tuple[str, ...]:
        """Return the flags of a container with a root of its own: an image, as far as it matters.

        Programs and their libraries are the machine's.
        """
        root = self.host.path(IMAGE)
        root.mkdir()
        for name in ("bin", "lib", "lib64", "sbin"):
            (root / name).symlink_to(f"usr/{name}")
        (root / "etc").mkdir()
        (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
        (root / "etc/nsswitch.conf").write_text("hosts: files dns\n")
        volumes = ["/usr", *([] if PYTHON.startswith("/usr/") else [str(Path(sys.base_prefix))])]
        binds = (word for path in volumes for word in ("--volume", f"{path}:{path}:ro"))
        return ("--rootfs", IMAGE, *binds)

    def finish(self, command: str, *flags: str) -> str:
        """Run a container on the mock network; its command must succeed. Return its output."""
        return self.succeed("run", "--networks", MOCK, *flags, "--command", command)


def updates(agent: Agent, name: str) -> list[str]:
    """Return the states that a framework would have been told of a task, in order."""
    return [status["state"] for status in agent.tasks()[name]["statuses"]]


def networks_of(agent: Agent, name: str) -> list[dict[str, Any]]:
    """Return the networks in the latest status of a task."""
    status = agent.tasks()[name]["statuses"][-1]["container_status"]
    infos: list[dict[str, Any]] = status["network_infos"]
    return infos
