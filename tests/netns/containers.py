"""Run `mesos-cni` in a throwaway host, and see what it leaves there."""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.delegates import Delegates
from tests.support.host import SEARCH_PATH, Host
from tests.support.process import CommandError, Process
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
SOURCE = (sys.executable, "-m", "mesos_cni_port_mapper.cli")
FROZEN = ROOT / "dist" / "bin" / "mesos-cni"
CONFIGURATIONS = "/run/networks"
RUNTIME = "/run/mesos"
ADDRESS = "192.168.7.2"
RESULT = {"cniVersion": "1.0.0", "ips": [{"address": f"{ADDRESS}/24"}]}
ENDLESS = "while :; do sleep 0.05; done"


@dataclass(frozen=True)
class Left:
    """What a command left behind it: status, stdout and stderr."""

    status: int
    stdout: str
    stderr: str


class Tool:
    """`mesos-cni` on a host, with networks whose plugins are the test's own."""

    def __init__(self, host: Host, argv: Sequence[str] = SOURCE) -> None:
        self.host = host
        self.argv = tuple(argv)
        self.plugins = Delegates(host, "/run/plugins")
        self._configurations = host.path(CONFIGURATIONS)
        self._configurations.mkdir()
        self._before = self._traces()

    def network(self, name: str, plugin: str = "fake", **more: object) -> None:
        """Configure a network; its plugin answers with an address unless the test has made one."""
        if not self.host.path(f"/run/plugins/{plugin}").exists():
            self.plugins.recording(plugin, RESULT)
        document = {"cniVersion": "1.0.0", "name": name, "type": plugin, **more}
        (self._configurations / f"{name}.conf").write_text(json.dumps(document))

    def start(self, *arguments: str, input: bytes | None = b"") -> Process:
        """Start a command and return at once."""
        return self.host.start(self._full(arguments), input, self.environment())

    def run(self, *arguments: str, input: bytes = b"", timeout: float = 30) -> Left:
        """Run a command to its end, whatever that is."""
        process = self.host.start(self._full(arguments), input, self.environment())
        try:
            # Monitors have let go of our streams, so the end of those is the command's.
            finished = process.wait(timeout)
        finally:
            process.close()
        return Left(finished.status, finished.stdout.decode(), finished.stderr.decode())

    def succeed(self, *arguments: str) -> str:
        """Run a command that must not fail, and return what it printed."""
        left = self.run(*arguments)
        if (left.status, left.stderr) != (0, ""):
            raise CommandError(f"{arguments} ended with {left}")
        return left.stdout

    def detached(self, name: str, command: str, *arguments: str) -> None:
        """Launch a container that goes on by itself."""
        flags = ("run", "--detach", "--name", name, *arguments, "--command", command)
        self.succeed(*flags)

    def status(self, name: str) -> dict[str, Any]:
        """Return what `status --json` says."""
        document: dict[str, Any] = json.loads(self.succeed("status", "--json", name))
        return document

    def state(self, name: str) -> str:
        """Return a container's state in a word, or "" when there is none."""
        left = self.run("status", "--json", name)
        return str(json.loads(left.stdout)["state"]) if left.status == 0 else ""

    def environment(self) -> dict[str, str]:
        """Return the environment that a command gets."""
        return {
            "PATH": SEARCH_PATH,
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "MESOS_NETWORK_CNI_CONFIG_DIR": CONFIGURATIONS,
            "MESOS_NETWORK_CNI_PLUGINS_DIR": "/run/plugins",
            "MESOS_RUNTIME_DIR": RUNTIME,
        }

    def kill(self, pid: int, number: int = 9) -> None:
        """Kill a process of the host by its own count, with no chance to tidy up."""
        self.host.run(["kill", f"-{int(number)}", str(pid)])

    def containers(self) -> list[str]:
        """Return the names in the state directory."""
        directory = self.host.path(f"{RUNTIME}/containers")
        return sorted(entry.name for entry in directory.iterdir()) if directory.is_dir() else []

    def assert_nothing_left(self) -> None:
        """See that processes, mounts, files and containers are as they were at the start."""
        left = eventually(self._traces, self._before)
        if left != self._before or self.containers():
            message = f"before: {self._before}; left: {left}, {self.containers()}"
            raise AssertionError(message)

    def _full(self, arguments: Sequence[str]) -> list[str]:
        return [*self.argv, *arguments]

    def _traces(self) -> dict[str, object]:
        # Deleted directories show what is still mounted where nobody can look any more.
        mounts = self.host.path("/proc/1/mountinfo").read_text().splitlines()
        points = sorted(re.split(r"\s+", line)[4] for line in mounts)
        files = [name for name in self.host.files("/run") if name.startswith("mesos/")]
        return {"processes": self.host.processes(), "mounts": points, "files": files}
