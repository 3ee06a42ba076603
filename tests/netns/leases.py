"""A network whose addresses host-local gives, ours or Debian's, on files in a throwaway host."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.host import Host
from tests.support.plugin import PLUGIN_DIRECTORY, Answer, Call, Plugin

DATA = "/run/leases"
DIRECTORY = f"{DATA}/net"


@dataclass(frozen=True)
class Leases:
    """The files of a network, and the plugins that work on them; nothing else is a container."""

    host: Host
    plugin: Plugin
    ipam: Mapping[str, Any] = field(default_factory=lambda: {"subnet": "10.1.2.0/24"})

    def debian(self) -> "Leases":
        """Return the same files with Debian's plugin working on them."""
        return Leases(self.host, Plugin(self.host, f"{PLUGIN_DIRECTORY}/host-local"), self.ipam)

    def through(self, *wrapper: str) -> "Leases":
        """Return the same files with the plugin run by another program."""
        return Leases(self.host, self.plugin.wrapped(*wrapper), self.ipam)

    def of(self, **ipam: Any) -> "Leases":
        """Return the same files with other ranges."""
        return Leases(self.host, self.plugin, ipam)

    def start(self, command: str, container_id: str = "web-1", **options: Any) -> Call:
        """Start a command without waiting for its end."""
        netconf = {
            "cniVersion": "1.0.0",
            "name": "net",
            "type": "any",
            "ipam": {"type": "host-local", "dataDir": DATA, **self.ipam},
        }
        options.setdefault("CNI_NETNS", f"/run/netns/{container_id}")
        netconf |= options.pop("netconf", {})
        return self.plugin.start(command, None, netconf, container_id=container_id, **options)

    def run(self, command: str, container_id: str = "web-1", **options: Any) -> Answer:
        """Run a command."""
        return self.start(command, container_id, **options).wait(60)

    def add(self, container_id: str = "web-1", **options: Any) -> list[str]:
        """Run ADD, which must succeed, and return the addresses without their prefixes."""
        return given(self.run("ADD", container_id, **options))

    def delete(self, container_id: str = "web-1", **options: Any) -> None:
        """Run DEL, which must succeed."""
        answer = self.run("DEL", container_id, **options)
        assert (answer.status, answer.stdout) == (0, b""), answer

    @property
    def path(self) -> Path:
        """Return where the files are for the test process."""
        return self.host.path(DIRECTORY)

    @property
    def files(self) -> dict[str, tuple[int, bytes]]:
        """Return every file with its mode."""
        return {
            entry.name: (entry.stat().st_mode & 0o777, entry.read_bytes())
            for entry in self.path.iterdir()
        }

    @property
    def taken(self) -> dict[str, str]:
        """Return whose each address is; whatever an address names counts."""
        return {
            name: words.decode()
            for name, (_, words) in self.files.items()
            if name[:1].isdigit() or ":" in name
        }


def given(answer: Answer) -> list[str]:
    """Return the addresses of an ADD that must have succeeded."""
    assert answer.status == 0, answer
    return [ip["address"].partition("/")[0] for ip in json.loads(answer.stdout)["ips"]]
