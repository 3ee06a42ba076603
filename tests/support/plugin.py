"""Run a CNI plugin in a throwaway host as a runtime would: environment and stdin, nothing else."""

import dataclasses
import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from tests.support.host import SEARCH_PATH, Container, Host
from tests.support.process import Finished, Process

PLUGIN_DIRECTORY = "/usr/lib/cni"

NetConf = Mapping[str, Any] | bytes


@dataclass(frozen=True)
class Answer:
    """What a plugin answered; the document is its stdout, when that is one JSON document."""

    status: int
    stdout: bytes
    stderr: str
    document: Any

    @property
    def code(self) -> int | None:
        """Return the CNI error code, or nothing when the answer is no error."""
        return self.document.get("code") if isinstance(self.document, dict) else None

    @property
    def addresses(self) -> list[str]:
        """Return the addresses of a result of version 0.3.0 or later, with their prefix."""
        return [ip["address"] for ip in self.document["ips"]]


class Call:
    """A plugin that was started and has not been waited for."""

    def __init__(self, process: Process) -> None:
        self.process = process

    @property
    def pid(self) -> int:
        """Return the PID as the test process sees it."""
        return self.process.pid

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the plugin alone; its children, if any, go on."""
        self.process.kill(number)

    def wait(self, timeout: float = 30, *, drain: bool = True) -> Answer:
        """Return the answer; without ``drain``, do not wait for heirs of its stdout."""
        finished = self.process.wait(timeout, drain=drain)
        self.process.close()
        return _answer(finished)


@dataclass(frozen=True)
class Plugin:
    """A plugin's executable in a host. Keyword arguments of a call are further variables.

    A variable given as None is left out. Without a container CNI_NETNS is empty, as after a
    reboot. A configuration may be bytes, to be sent as they are.
    """

    host: Host
    executable: str
    cni_path: tuple[str, ...] = (PLUGIN_DIRECTORY,)
    wrapper: tuple[str, ...] = ()
    timeout: float = 30

    def wrapped(self, *wrapper: str) -> Self:
        """Return this plugin started through another program, say ``strace -f -o FILE``."""
        return dataclasses.replace(self, wrapper=wrapper)

    def finding(self, *directories: str) -> Self:
        """Return this plugin with directories of delegates before those in CNI_PATH."""
        return dataclasses.replace(self, cni_path=(*directories, *self.cni_path))

    def add(
        self,
        container: Container | None,
        netconf: NetConf,
        ifname: str = "eth0",
        container_id: str | None = None,
        **env: str | None,
    ) -> Answer:
        """Run ADD."""
        return self.run("ADD", container, netconf, ifname, container_id, **env)

    def delete(
        self,
        container: Container | None,
        netconf: NetConf,
        ifname: str = "eth0",
        container_id: str | None = None,
        **env: str | None,
    ) -> Answer:
        """Run DEL."""
        return self.run("DEL", container, netconf, ifname, container_id, **env)

    def check(
        self,
        container: Container | None,
        netconf: NetConf,
        ifname: str = "eth0",
        container_id: str | None = None,
        **env: str | None,
    ) -> Answer:
        """Run CHECK."""
        return self.run("CHECK", container, netconf, ifname, container_id, **env)

    def version(self, netconf: NetConf = b'{"cniVersion":"1.0.0"}', **env: str | None) -> Answer:
        """Run VERSION, with no other CNI variable than the command."""
        return self.bare({"CNI_COMMAND": "VERSION"} | _present(env), netconf)

    def gc(self, netconf: NetConf, **env: str | None) -> Answer:
        """Run GC, with the variables that libcni sends."""
        return self.run("GC", None, netconf, "", "", **env)

    def status(self, netconf: NetConf, **env: str | None) -> Answer:
        """Run STATUS, with the variables that libcni sends."""
        return self.run("STATUS", None, netconf, "", "", **env)

    def run(
        self,
        command: str,
        container: Container | None,
        netconf: NetConf,
        ifname: str = "eth0",
        container_id: str | None = None,
        **env: str | None,
    ) -> Answer:
        """Run any command and return its answer."""
        call = self.start(command, container, netconf, ifname, container_id, **env)
        return call.wait(self.timeout)

    def start(
        self,
        command: str,
        container: Container | None,
        netconf: NetConf,
        ifname: str = "eth0",
        container_id: str | None = None,
        **env: str | None,
    ) -> Call:
        """Start any command without waiting for its end."""
        environment = self.environment(command, container, ifname, container_id, **env)
        return self.launch(environment, netconf)

    def bare(self, env: Mapping[str, str], netconf: NetConf | None) -> Answer:
        """Run with exactly this environment."""
        return self.launch(env, netconf).wait(self.timeout)

    def launch(self, env: Mapping[str, str], netconf: NetConf | None) -> Call:
        """Start with exactly this environment; without a configuration, stdin stays open."""
        data = json.dumps(netconf).encode() if isinstance(netconf, Mapping) else netconf
        argv = [*self.wrapper, self.executable]
        return Call(self.host.start(argv, data, env))

    def environment(
        self,
        command: str,
        container: Container | None,
        ifname: str = "eth0",
        container_id: str | None = None,
        **env: str | None,
    ) -> dict[str, str]:
        """Return what the plugin will find in its environment; a container's ID is its name."""
        name = container.name if container else ""
        return _present(
            {
                "PATH": SEARCH_PATH,
                "CNI_COMMAND": command,
                "CNI_CONTAINERID": name if container_id is None else container_id,
                "CNI_NETNS": container.netns if container else "",
                "CNI_IFNAME": ifname,
                "CNI_PATH": ":".join(self.cni_path),
                **env,
            }
        )


def _present(env: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in env.items() if value is not None}


def _answer(finished: Finished) -> Answer:
    try:
        document = json.loads(finished.stdout)
    except ValueError:
        document = None
    stderr = finished.stderr.decode(errors="replace")
    return Answer(finished.status, finished.stdout, stderr, document)
