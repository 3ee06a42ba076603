"""Containers of an agent, what must be true of them, and what the host shows instead.

A `Fleet` does things to containers and keeps in mind what should have come of it. `observe` reads
the same from four places that know nothing of each other: the agent's `/state`, the kernel, the
isolator's checkpoints, the containers' directories.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.netns.agents import Agent, identity
from tests.netns.containers import CONFIGURATIONS, RUNTIME
from tests.netns.fleet_networks import (
    ATTACHING,
    FAILING,
    FAKE,
    HUNG,
    REAL,
    SLOW,
    STUBBORN,
    TROUBLE,
    FleetTool,
    chain_of,
    configuration_of,
    write_plugins,
)
from tests.netns.networks import NOTHING, tcp, traces
from tests.support.delegates import COMMANDS
from tests.support.host import Host
from tests.support.waiting import eventually

_FLAGS = ("--socket", "/run/agent.sock")
_FOREVER = "exec sleep infinity"


@dataclass(frozen=True)
class Seen:
    """Everything that is compared after each step."""

    states: Mapping[str, str]
    directories: Sequence[str]
    checkpoints: Sequence[str]
    namespaces: Sequence[str]
    own_namespaces: bool
    forwarded: Sequence[str]
    leases: int
    links: int
    misled: Sequence[str]


@dataclass
class Member:
    """A container: the networks it asked for, the rule it is to have there, whether it goes on."""

    networks: tuple[str, ...]
    rule: str
    running: bool = True
    attached: tuple[str, ...] = ()


@dataclass
class Fleet:
    """The containers of one host."""

    host: Host
    members: dict[str, Member] = field(default_factory=dict)
    configured: set[str] = field(default_factory=set)
    editions: dict[str, int] = field(default_factory=dict)
    given: dict[str, Mapping[str, int]] = field(default_factory=dict)
    trouble: str = ""
    launched: int = 0

    def __post_init__(self) -> None:
        self.tool = FleetTool(self.host)
        self._links = self._count_links()
        write_plugins(self.host, self.tool.plugins)
        for name in (*ATTACHING, FAILING, SLOW):
            self.configure(name)
        self.agent = Agent(self.tool, *_FLAGS).ready()

    def configure(self, name: str) -> None:
        """Write a network's configuration, never the same twice."""
        self.editions[name] = self.editions.get(name, 0) + 1
        self._file(name).write_text(json.dumps(configuration_of(name, self.editions[name])))
        self.configured.add(name)

    def forget(self, name: str) -> None:
        """Remove a network's configuration."""
        self._file(name).unlink(missing_ok=True)
        self.configured.discard(name)

    def spoil(self, name: str, text: str) -> None:
        """Make a network's configuration one that cannot be read."""
        self._file(name).write_text(text)
        self.configured.discard(name)

    def unusable(self) -> list[str]:
        """Return the networks that containers cannot be attached to as things are configured."""
        return [name for name in ATTACHING if name not in self.configured]

    def launch(self, *networks: str) -> None:
        """Launch a container; whether it works is known beforehand."""
        self.launched += 1
        name, port = f"c-{self.launched}", 8000 + self.launched
        infos: list[dict[str, Any]] = [{"name": network} for network in networks]
        for info in infos:
            if info["name"] == REAL:
                info["port_mappings"] = [tcp(port)]
        rule = f"{chain_of(self.editions[REAL])} {port}"
        self.given[name] = dict(self.editions)
        answer = self.agent.launch(name, *infos, command=_FOREVER)
        assert (answer.status == 200) == self._can_launch(networks), answer
        if answer.status == 200:
            self.members[name] = Member(networks, rule, attached=networks)
        elif self.trouble and STUBBORN in networks and self.configured.issuperset(networks):
            # Undone as far as it goes: what cannot be detached is kept for `recover`.
            left = (STUBBORN,)
            self.members[name] = Member(networks, rule, running=False, attached=left)

    def kill(self, name: str, number: int) -> None:
        """End a container and wait until it is detached, or cannot be."""
        answer = self.agent.call("KILL_CONTAINER", container_id=identity(name), signal=number)
        assert answer.status == 200, answer
        self._ended(name)

    def kill_init(self, name: str) -> None:
        """Kill a container's init behind everybody's back."""
        self.tool.kill(self._record(name, "init.json")["pid"])
        self._ended(name)

    def kill_monitor(self, name: str) -> None:
        """Kill a monitor, and have a recovery give the container another."""
        monitor = self._record(name, "monitor.json")
        self.tool.kill(monitor["pid"])
        self.recover()
        assert self._record(name, "monitor.json") != monitor, name

    def kill_both(self, name: str) -> None:
        """Kill a container's monitor and its init, and have a recovery detach what is left."""
        for file in ("monitor.json", "init.json"):
            self.tool.kill(self._record(name, file)["pid"])
        self.members[name].running = False
        self._recover()
        # It may be the agent that was faster, and is still at it.
        assert eventually(lambda: self._is_over(name), True) is True, name
        self._detached()
        self._tidy()

    def kill_agent(self) -> None:
        """Kill the agent and start another one, which recovers."""
        self.agent.kill()
        self.agent.process.close()
        self.agent.restart()
        self._detached()
        self._tidy()

    def recover(self) -> None:
        """Recover by hand, which fails only where something still cannot be detached."""
        self._recover()
        self._detached()
        self._tidy()

    def set_trouble(self, trouble: str) -> None:
        """Make DEL of the stubborn network fail or hang, or work again for whoever tries again."""
        self.host.path(TROUBLE).write_text(trouble)
        self.trouble = trouble
        if not trouble:
            # Before the agent does, whose turn may be any moment now.
            self.recover()

    def hung(self) -> int:
        """Return for how many containers a DEL has hung."""
        return len(list(self.host.path(HUNG).iterdir()))

    def running(self) -> list[str]:
        """Return the names of the containers that go on."""
        return [name for name, member in self.members.items() if member.running]

    def close(self) -> None:
        """End all containers and the agent; then nothing may be left."""
        self.set_trouble("")
        for name in self.running():
            self.kill(name, 15)
        self.recover()
        assert self.members == {}
        assert eventually(self._count_links, self._links) == self._links
        assert self._misled() == []
        assert self.agent.end()[0] == 0
        self.agent.process.close()
        self.tool.assert_nothing_left()
        assert traces(self.host) == NOTHING
        assert set(self.tool.plugins.commands(FAKE)) <= set(COMMANDS)

    def expected(self) -> Seen:
        """Return what must be there now."""
        attached = {name: each.attached for name, each in self.members.items() if each.attached}
        real = [self.members[name] for name, networks in attached.items() if REAL in networks]
        return Seen(
            states={name: _state_of(member) for name, member in self.members.items()},
            directories=sorted(self.members),
            checkpoints=sorted(
                f"{name}/{network}/eth{self.members[name].networks.index(network)}"
                for name, networks in attached.items()
                for network in networks
            ),
            namespaces=sorted(attached),
            own_namespaces=True,
            forwarded=sorted(member.rule for member in real),
            leases=len(real),
            links=len(real),
            misled=[],
        )

    def observed(self) -> Seen:
        """Return what is there now."""
        root = self.host.path(f"{RUNTIME}/isolators/network/cni")
        left = traces(self.host)
        return Seen(
            states={
                name: "running" if state == "TASK_RUNNING" else "ended"
                for name, state in self.agent.states().items()
            },
            directories=self.tool.containers(),
            checkpoints=sorted(str(path.relative_to(root)) for path in root.glob("*/*/eth*")),
            namespaces=self._namespaces(),
            own_namespaces=all(self._is_own(name) for name in self._attached()),
            forwarded=sorted(_forwarded(left.rules)),
            leases=len(left.leases),
            links=self._count_links() - self._links,
            misled=self._misled(),
        )

    def _recover(self) -> None:
        left = self.tool.run("recover")
        assert left.status == 0 or self.trouble, left

    def _can_launch(self, networks: Iterable[str]) -> bool:
        wanted = set(networks)
        return wanted <= self.configured and not wanted & {FAILING, SLOW}

    def _ended(self, name: str) -> None:
        self.members[name].running = False
        self.agent.call("WAIT_CONTAINER", container_id=identity(name))
        self._detached(name)
        self._tidy()

    def _detached(self, *names: str) -> None:
        """Note that ended containers have left their networks, as far as that works."""
        for name in names or tuple(self.members):
            member = self.members[name]
            if not member.running:
                kept = (STUBBORN,) if self.trouble and STUBBORN in member.attached else ()
                member.attached = kept

    def _tidy(self) -> None:
        """Remove the containers that have ended and are detached; others cannot be."""
        for name, member in list(self.members.items()):
            if not member.running:
                wanted = 409 if member.attached else 200
                # It may be the agent that detaches it, and is still at it.
                assert eventually(partial(self._remove, name), wanted) == wanted, name
                if not member.attached:
                    del self.members[name]

    def _remove(self, name: str) -> int:
        return self.agent.call("REMOVE_CONTAINER", container_id=identity(name)).status

    def _attached(self) -> list[str]:
        return [name for name in self.running() if self.members[name].attached]

    def _is_own(self, name: str) -> bool:
        """Tell whether the namespace that is kept is the one that the container's init is in."""
        pid = self._record(name, "init.json")["pid"]
        handle = self.host.path(f"{RUNTIME}/isolators/network/cni/{name}/ns")
        return handle.stat().st_ino == self.host.path(f"/proc/{pid}/ns/net").stat().st_ino

    def _is_over(self, name: str) -> bool:
        status = self.tool.status(name)
        return status["state"] == "exited" and not status["monitored"]

    def _record(self, name: str, file: str) -> dict[str, Any]:
        path = self.host.path(f"{RUNTIME}/containers/{name}/{file}")
        document: dict[str, Any] = json.loads(path.read_bytes())
        return document

    def _namespaces(self) -> list[str]:
        table = self.host.path("/proc/1/mountinfo").read_text()
        return sorted(set(re.findall(rf" {RUNTIME}/isolators/network/cni/([^/ ]+)/ns ", table)))

    def _misled(self) -> list[str]:
        """Return the calls for which there was another configuration when it was launched."""
        return [
            f"{call.command} of {name} for {container}: edition {call.config['edition']}"
            for name in (FAKE, STUBBORN)
            for call in self.tool.plugins.calls(name)
            for container in (call.env["CNI_CONTAINERID"],)
            if call.config["edition"] != self.given[container][name]
        ]

    def _count_links(self) -> int:
        links = json.loads(self.host.run(["ip", "-json", "link", "show", "type", "veth"]).stdout)
        return len(links)

    def _file(self, name: str) -> Any:
        return self.host.path(f"{CONFIGURATIONS}/{name}.conf")


def _state_of(member: Member) -> str:
    return "running" if member.running else "ended"


def _forwarded(rules: Iterable[str]) -> list[str]:
    found = re.findall(r"^-A (\S+) .*--dport (\d+)", "\n".join(rules), re.MULTILINE)
    return [" ".join(each) for each in found]
