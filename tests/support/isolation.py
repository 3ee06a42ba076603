"""The isolator in a throwaway host: its directories, its containers, and what is left of them.

A container is a sleeper in namespaces of its own; how the harness makes one is tested elsewhere.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.delegates import Delegates
from tests.support.host import SEARCH_PATH, Host
from tests.support.plugin import PLUGIN_DIRECTORY
from tests.support.process import CommandError, Process
from tests.support.waiting import eventually

_REPOSITORY = Path(__file__).resolve().parents[2]
_DRIVER = "tests.support.isolation_driver"

CONFIGURATIONS = "/run/lab/configurations"
PLUGINS = "/run/lab/plugins"
ROOT = "/run/lab/runtime/isolators/network/cni"
OWN = ("net", "mnt", "uts")

Step = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """How a step ended: with a value, or with an error's line and details."""

    value: Any = None
    error: str = ""
    details: str = ""

    def __str__(self) -> str:
        return f"{self.error}: {self.details}"


def info(name: str | None = None, **fields: Any) -> dict[str, Any]:
    """Return a NetworkInfo as JSON has it."""
    return {"name": name, **fields} if name is not None else fields


class Lab:
    """A host on which the isolator runs, each call in a process of its own."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.plugins = Delegates(host, PLUGINS)
        self.settings: dict[str, Any] = {
            "config_dir": CONFIGURATIONS,
            "plugins_dir": f"{PLUGINS}:{PLUGIN_DIRECTORY}",
            "root": ROOT,
            "plugin_timeout": 20,
        }
        host.path(CONFIGURATIONS).mkdir()

    def configure(self, file: str, document: object) -> None:
        """Write a network configuration, as it is when it is text."""
        text = document if isinstance(document, str) else json.dumps(document)
        self.host.path(f"{CONFIGURATIONS}/{file}").write_text(text)

    def unconfigure(self, file: str) -> None:
        """Delete a network configuration."""
        self.host.path(f"{CONFIGURATIONS}/{file}").unlink()

    def network(self, name: str, plugin: str = "", **fields: Any) -> None:
        """Configure a network of a fake plugin, which has the network's name if no other."""
        self.configure(f"{name}.conf", {"name": name, "type": plugin or name, **fields})

    def path(self, *parts: str) -> Path:
        """Return a path below the state root."""
        return self.host.path("/".join((ROOT, *parts)))

    def start(self, *steps: Step) -> Process:
        """Start steps without waiting for them."""
        argv = [sys.executable, "-m", _DRIVER, json.dumps(self.settings), json.dumps(steps)]
        environment = {"PATH": SEARCH_PATH, "PYTHONPATH": str(_REPOSITORY), "SECRET": "mine"}
        return self.host.start(argv, b"", environment)

    def run(self, *steps: Step, timeout: float = 60) -> list[Outcome]:
        """Run steps one after the other, by one isolator, and return how each ended."""
        process = self.start(*steps)
        try:
            finished = process.wait(timeout)
        finally:
            process.close()
        if finished.status != 0:
            raise CommandError(finished.stderr.decode())
        return [Outcome(**json.loads(line)) for line in finished.text.splitlines()]

    def do(self, name: str, **arguments: Any) -> Outcome:
        """Run one step."""
        (outcome,) = self.run((name, arguments))
        return outcome

    def ok(self, name: str, **arguments: Any) -> Any:
        """Run one step, which must succeed, and return its value."""
        outcome = self.do(name, **arguments)
        assert not outcome.error, str(outcome)
        return outcome.value

    def sleeper(self, kinds: tuple[str, ...] = OWN, joins: Process | None = None) -> Process:
        """Start a container's process in new namespaces of these kinds."""
        options = {"net": "--net", "mnt": "--mount", "uts": "--uts"}
        argv = ["unshare", *(options[kind] for kind in kinds), "--propagation", "slave"]
        if "mnt" not in kinds:
            argv = argv[:-2]
        if joins is not None:
            argv = ["nsenter", "-t", str(joins.pid_inside), "--net", "--uts", *argv]
        process = self.host.start([*argv, "sleep", "1000"])
        command = Path(f"/proc/{process.pid}/comm")
        assert eventually(command.read_text, "sleep\n") == "sleep\n"
        return process

    def isolate(self, container_id: str, *networks: Mapping[str, Any], **request: Any) -> Outcome:
        """Prepare and isolate a new container, and return how the latter ended."""
        _, outcome = self.launch(container_id, *networks, **request)
        return outcome

    def launch(
        self, container_id: str, *networks: Mapping[str, Any], **request: Any
    ) -> tuple[Process, Outcome]:
        """Prepare and isolate a new container, and return its process too."""
        process = self.sleeper()
        prepare = {"container_id": container_id, "networks": networks, **request}
        isolate = {"container_id": container_id, "pid": process.pid_inside}
        prepared, isolated = self.run(("prepare", prepare), ("isolate", isolate))
        assert not prepared.error, str(prepared)
        return process, isolated

    def container(self, container_id: str, *networks: Mapping[str, Any], **request: Any) -> Process:
        """Prepare and isolate a new container, which must succeed."""
        process, outcome = self.launch(container_id, *networks, **request)
        assert not outcome.error, str(outcome)
        return process

    def inside(self, container: Process, *argv: str) -> str:
        """Run a program as a container sees the world and return what it printed."""
        enter = ["nsenter", "-t", str(container.pid_inside), "--net", "--mount", "--uts"]
        return self.host.run([*enter, *argv]).text

    def mounts(self) -> list[str]:
        """Return what is mounted below or at the state root."""
        table = Path(f"/proc/{self.host.keeper.pid}/mountinfo").read_text()
        targets = [line.split(" ")[4] for line in table.splitlines()]
        return [target for target in targets if target.startswith(ROOT)]

    def calls(self, plugin: str) -> list[str]:
        """Return the commands that a fake plugin has received, in order."""
        return self.plugins.commands(plugin)

    def left(self) -> list[str]:
        """Return everything that is left below the state root, mounts included."""
        return [path.name for path in self.path().glob("*")] + self.mounts()
