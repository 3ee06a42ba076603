"""Networks as operators configure them and Mesos sends them, and what they leave on a host."""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.delegates import Delegates
from tests.support.host import CLIENT_IPV4, HOST_IPV4, SEARCH_PATH, Container, Host, Place
from tests.support.plugin import PLUGIN_DIRECTORY, Answer, Plugin
from tests.support.traffic import Outcome, Saw, connect_tcp, serve_tcp, serve_udp

STATE = "/run/mesos-cni-port-mapper"
CHAIN = "MESOS-TEST-PORT-MAPPER"
SHIMS = "/run/shims"

Mesos = dict[str, Any]

# The example in the documentation of Mesos, key by key.
DOCUMENT: Mesos = {
    "name": "port-mapper-test",
    "type": "mesos-cni-port-mapper",
    "excludeDevices": ["mesos-cni0"],
    "chain": CHAIN,
    "delegate": {
        "type": "bridge",
        "bridge": "mesos-cni0",
        "isGateway": True,
        "ipMasq": True,
        "ipam": {
            "type": "host-local",
            "subnet": "192.168.0.0/16",
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    },
}


def tcp(host_port: int, container_port: int = 80) -> Mesos:
    """Return a mapping as a framework that names its protocol has it sent."""
    return {"container_port": container_port, "host_port": host_port, "protocol": "tcp"}


def udp(host_port: int, container_port: int = 53) -> Mesos:
    """Return a mapping of UDP, in the letter case of the framework's own choice."""
    return {"container_port": container_port, "host_port": host_port, "protocol": "UDP"}


@dataclass(frozen=True)
class Task:
    """A container that wants to be on a network, with its port mappings."""

    plugin: Plugin
    netconf: Mapping[str, Any]
    container: Container
    mappings: tuple[Mesos, ...]
    ifname: str = "eth0"
    container_id: str | None = None

    def request(self, **more: Any) -> bytes:
        """Return what Mesos sends: compact, keys sorted, its own part below ``args``."""
        info = {
            "labels": {"labels": [{"key": "app", "value": "web"}]},
            "name": self.netconf["name"],
            "port_mappings": list(self.mappings),
        }
        netconf = {**self.netconf, "args": {"org.apache.mesos": {"network_info": info}}, **more}
        return json.dumps(netconf, sort_keys=True, separators=(",", ":")).encode()

    def add(self) -> Answer:
        """Run ADD."""
        return self.run("ADD")

    def delete(self) -> Answer:
        """Run DEL, with the configuration of the ADD as Mesos has kept it."""
        return self.run("DEL")

    def check(self, prev_result: Any) -> Answer:
        """Run CHECK."""
        return self.run("CHECK", prevResult=prev_result)

    def run(self, command: str, **more: Any) -> Answer:
        """Run any command."""
        return self.plugin.run(
            command, self.container, self.request(**more), self.ifname, self.container_id
        )

    def attach(self) -> Answer:
        """Run an ADD on which the test relies."""
        answer = self.add()
        assert answer.status == 0, (answer.document, answer.stderr)
        return answer

    def detach(self) -> None:
        """Run a DEL on which the test relies."""
        answer = self.delete()
        assert (answer.status, answer.stdout) == (0, b""), (answer.document, answer.stderr)


@dataclass(frozen=True)
class Network:
    """A configuration, and the plugin that serves it."""

    plugin: Plugin
    netconf: Mapping[str, Any]

    def task(
        self,
        container: Container,
        *mappings: Mesos,
        ifname: str = "eth0",
        container_id: str | None = None,
    ) -> Task:
        """Return a container that wants to be on this network."""
        return Task(self.plugin, self.netconf, container, mappings, ifname, container_id)

    def but(self, **changes: Any) -> "Network":
        """Return this network with keys changed; None takes a key away."""
        merged = {**self.netconf, **changes}
        return dataclasses.replace(
            self, netconf={key: value for key, value in merged.items() if value is not None}
        )


def bridged(plugin: Plugin, number: int = 0, **changes: Any) -> Network:
    """Return the documented network with its bridge, name and subnet numbered."""
    bridge = f"mesos-cni{number}"
    ipam = DOCUMENT["delegate"]["ipam"] | {"subnet": f"10.{number + 1}.0.0/24"}
    netconf = {
        **DOCUMENT,
        "name": f"net-{number}",
        "excludeDevices": [bridge],
        # Masquerading is the bridge plugin's business, and takes half of its time.
        "delegate": DOCUMENT["delegate"] | {"bridge": bridge, "ipam": ipam, "ipMasq": False},
    }
    return Network(plugin, netconf).but(**changes)


def routeless(number: int) -> Mesos:
    """Return a bridge's delegate without a route: one default route in a container is enough."""
    return {
        "type": "bridge",
        "bridge": f"mesos-cni{number}",
        "isGateway": True,
        "ipam": {"type": "host-local", "subnet": f"10.{number + 1}.0.0/24"},
    }


def imagined(plugin: Plugin, delegates: Delegates, address: str, **changes: Any) -> Network:
    """Return a network whose delegate attaches nothing and returns an address."""
    delegates.fixed("fixed")
    delegate = {"type": "fixed", "address": f"{address}/24"}
    netconf = {**DOCUMENT, "name": "imagined", "delegate": delegate}
    return Network(plugin.finding(delegates.directory), netconf).but(**changes)


def server(
    host: Host, name: str, *, tcp: Sequence[int] = (80,), udp: Sequence[int] = ()
) -> Container:
    """Return a new container with servers in it."""
    container = host.container(name)
    for port in tcp:
        serve_tcp(container, port)
    for port in udp:
        serve_udp(container, port)
    return container


def at_once(command: str, tasks: Sequence[Task]) -> list[Answer]:
    """Run a command for all tasks side by side."""
    calls = [
        task.plugin.start(command, task.container, task.request(), task.ifname) for task in tasks
    ]
    return [call.wait() for call in calls]


def attach_without_us(host: Host, network: Network, web: Task) -> None:
    """Attach through the delegate alone: what the original would have left, but for its rules."""
    netconf = {**network.netconf["delegate"], "name": network.netconf["name"]}
    answer = Plugin(host, f"{PLUGIN_DIRECTORY}/bridge").add(web.container, netconf)
    assert answer.status == 0, answer.document


def original_chain(host: Host, chain: str = CHAIN) -> None:
    """Make a chain and its jumps as the original did."""
    for words in (f"-N {chain}", *jumps(chain)):
        host.run(["iptables", "-t", "nat", *words.split(" ")])


def shim(host: Host, tool: str, script: str) -> str:
    """Put a script in the place of a tool, and return the PATH on which it is found."""
    path = host.path(f"{SHIMS}/{tool}")
    path.parent.mkdir(exist_ok=True)
    path.write_text(script)
    path.chmod(0o755)
    return f"{SHIMS}:{SEARCH_PATH}"


def reached(place: Place, port: int, address: str = HOST_IPV4) -> Outcome:
    """Return who answers on a TCP port of the host, by name, or how the attempt ended."""
    outcome = connect_tcp(place, address, port, timeout=2)
    return outcome.name if isinstance(outcome, Saw) else outcome


def from_client(name: str, port: int = 80) -> Saw:
    """Return what a container sees of the client outside, whose address must not be hidden."""
    return Saw(name, CLIENT_IPV4, port)


def dnat(
    port: int,
    to: str,
    task: Task,
    *,
    protocol: str = "tcp",
    device: str = "mesos-cni0",
) -> str:
    """Return the one rule of a mapping with one excluded device, as iptables-save prints it."""
    return (
        f"-A {task.netconf['chain']} ! -i {device} -p {protocol} -m {protocol} --dport {port} "
        f'-m comment --comment "{tag(task)}" -j DNAT --to-destination {to}'
    )


def tag(task: Task) -> str:
    """Return the comment of a task's rules."""
    container_id = task.container_id or task.container.name
    return f"container_id: {container_id} network: {task.netconf['name']} ifname: {task.ifname}"


def jumps(chain: str = CHAIN) -> list[str]:
    """Return the jumps of a chain, as iptables-save prints them."""
    return [
        f"-A PREROUTING -m addrtype --dst-type LOCAL -j {chain}",
        f"-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j {chain}",
    ]


@dataclass(frozen=True)
class Traces:
    """What networks leave on a host: rules of the nat table, addresses taken, state files."""

    rules: tuple[str, ...] = ()
    leases: tuple[str, ...] = ()
    state: tuple[str, ...] = ()


NOTHING = Traces()


def traces(host: Host) -> Traces:
    """Return what is there now. The lock of the state directory stays, and counts as nothing."""
    leases = [name for name in host.files("/var/lib/cni") if re.search(r"/[\d.]+$", name)]
    return Traces(tuple(host.ruleset()), tuple(leases), tuple(state_files(host)))


def state_files(host: Host) -> list[str]:
    """Return the files of the state directory, without its namespace and the lock."""
    if not host.path(STATE).is_dir():
        return []
    names = [name.partition("/")[2] for name in host.files(STATE)]
    return [name for name in names if name != "lock"]
