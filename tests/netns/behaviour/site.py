"""Hosts of two families, networks with every option there is, and containers that ask for ports.

Everything here says what is asked for as CNI runtimes do, by ``runtimeConfig``. What is special to
Mesos is tested elsewhere.
"""

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.netns.behaviour.backends import BackEnd
from tests.support.delegates import Delegates
from tests.support.host import CLIENT_IPV4, CLIENT_IPV6, HOST_IPV4, HOST_IPV6, Container, Host
from tests.support.plugin import Answer, Call, Plugin
from tests.support.traffic import Outcome, Saw, Server, serve_sctp, serve_tcp, serve_udp

CHAIN = "SHARED-BY-ALL"
OWN = {4: HOST_IPV4, 6: HOST_IPV6}
OTHER = {4: "192.0.2.3", 6: "2001:db8:1::3"}
CLIENT = {4: CLIENT_IPV4, 6: CLIENT_IPV6}
LOOPBACK = {4: "127.0.0.1", 6: "::1"}
FAMILIES = (4, 6)
STATE = "/run/mesos-cni-port-mapper"
TAKEN = 105
"""The error of a port that somebody has."""

Json = dict[str, Any]

_SETTINGS = {
    # Whether neighbours can do without masquerading depends on it, and it is not ours.
    "net/bridge/bridge-nf-call-iptables": "0",
    "net/bridge/bridge-nf-call-ip6tables": "0",
    # Refusals come as ICMP, of which a kernel sends so many a second.
    "net/ipv4/icmp_ratemask": "0",
    "net/ipv6/icmp/ratelimit": "0",
    "net/ipv6/icmp/ratemask": "",
}


def settle(host: Host) -> None:
    """Give a host its second address, and let neither limits nor other subsystems decide."""
    second = "".join(f"address add {address} dev eth0 nodad\n" for address in _with_prefix(OTHER))
    host.run(["ip", "-batch", "-"], second.encode())
    for name, value in _SETTINGS.items():
        host.path(f"/proc/sys/{name}")
        host.run(["sh", "-c", f"[ ! -e /proc/sys/{name} ] || echo '{value}' >/proc/sys/{name}"])


def _with_prefix(addresses: Mapping[int, str]) -> list[str]:
    return [f"{addresses[4]}/24", f"{addresses[6]}/64"]


def mapping(
    host_port: int, container_port: int = 80, protocol: str = "tcp", host_ip: str = ""
) -> Json:
    """Return a port mapping as the CNI conventions have it."""
    wanted: Json = {
        "hostPort": host_port,
        "containerPort": container_port,
        "protocol": protocol,
    }
    return {**wanted, "hostIP": host_ip} if host_ip else wanted


def subnets(number: int) -> dict[int, str]:
    """Return the subnets of a numbered network."""
    return {4: f"10.{number}.0.0/24", 6: f"fd00:{number}::/64"}


def gateways(number: int) -> dict[int, str]:
    """Return the addresses of the host in a numbered network."""
    return {4: f"10.{number}.0.1", 6: f"fd00:{number}::1"}


def addresses(number: int, index: int = 0) -> dict[int, str]:
    """Return the addresses of a numbered network's first container, or a later one."""
    return {4: f"10.{number}.0.{index + 2}", 6: f"fd00:{number}::{index + 2:x}"}


def bridge(number: int, families: Iterable[int] = FAMILIES) -> Json:
    """Return the configuration that attaches to a numbered network's bridge."""
    everywhere = {4: "0.0.0.0/0", 6: "::/0"}
    return {
        "type": "bridge",
        "bridge": f"br{number}",
        "isGateway": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": subnets(number)[family]}] for family in families],
            "routes": [{"dst": everywhere[family]} for family in families],
        },
    }


@dataclass(frozen=True)
class Member:
    """A container that is to be on a network, and the ports it asks for."""

    plugin: Plugin
    netconf: Mapping[str, Any]
    container: Container
    mappings: tuple[Json, ...] = ()
    ifname: str = "eth0"

    def request(self, **more: Any) -> bytes:
        """Return what a runtime sends."""
        wanted = {"runtimeConfig": {"portMappings": list(self.mappings)}} if self.mappings else {}
        return json.dumps({**self.netconf, **wanted, **more}).encode()

    def run(self, command: str, **more: Any) -> Answer:
        """Run any command."""
        return self.plugin.run(command, self.container, self.request(**more), self.ifname)

    def start(self, command: str, **more: Any) -> Call:
        """Start any command without waiting for its end."""
        return self.plugin.start(command, self.container, self.request(**more), self.ifname)

    def attach(self) -> Answer:
        """Run an ADD on which the test relies."""
        answer = self.run("ADD")
        assert answer.status == 0, (answer.document, answer.stderr)
        return answer

    def detach(self) -> None:
        """Run a DEL on which the test relies."""
        answer = self.run("DEL")
        assert (answer.status, answer.stdout) == (0, b""), (answer.document, answer.stderr)

    def tag(self) -> str:
        """Return what marks the rules of this attachment."""
        name = self.netconf["name"]
        return f"container_id: {self.container.name} network: {name} ifname: {self.ifname}"


@dataclass(frozen=True)
class Site:
    """A host with one back end, and numbered networks in it that share a chain."""

    host: Host
    plugin: Plugin
    back_end: BackEnd

    def netconf(self, number: int = 1, **changes: Any) -> Json:
        """Return a network's configuration with keys changed; None takes a key away."""
        netconf = {
            "cniVersion": "1.0.0",
            "name": f"net-{number}",
            "type": "mesos-cni-port-mapper",
            "chain": CHAIN,
            "delegate": bridge(number),
            **self.back_end.keys,
            **changes,
        }
        return {key: value for key, value in netconf.items() if value is not None}

    def member(
        self, container: Container, *mappings: Json, number: int = 1, **changes: Any
    ) -> Member:
        """Return a container that wants to be on a numbered network."""
        return Member(self.plugin, self.netconf(number, **changes), container, mappings)

    def finding(self, directory: str) -> "Site":
        """Return this site with a directory of delegates before the others."""
        return dataclasses.replace(self, plugin=self.plugin.finding(directory))

    def server(
        self,
        name: str,
        *,
        tcp: Sequence[int] = (80,),
        udp: Sequence[int] = (53,),
        sctp: Sequence[int] = (),
    ) -> Container:
        """Return a new container with servers in it."""
        container = self.host.container(name)
        for serve, ports in ((serve_tcp, tcp), (serve_udp, udp), (serve_sctp, sctp)):
            for port in ports:
                serve(container, port)
        return container

    def web(self, *mappings: Json, name: str = "web", number: int = 1, **changes: Any) -> Member:
        """Return a server that is attached, with ports."""
        member = self.member(self.server(name), *mappings, number=number, **changes)
        member.attach()
        return member

    def neighbour(self, *, name: str = "neighbour", number: int = 1) -> Container:
        """Return a container that is attached to the same bridge by nobody of ours."""
        container = self.host.container(name)
        delegate = Plugin(self.host, "/usr/lib/cni/bridge")
        netconf = {**bridge(number), "cniVersion": "1.0.0", "name": f"net-{number}"}
        answer = delegate.add(container, netconf)
        assert answer.status == 0, answer.document
        return container


def name_of(outcome: Outcome) -> str:
    """Return who answered, or how the attempt ended."""
    return outcome.name if isinstance(outcome, Saw) else outcome


def serve_at(host: Host, address: str, port: int) -> list[Server]:
    """Answer on one address of the host by TCP and UDP."""
    return [serve_tcp(host, port, address), serve_udp(host, port, address)]


class Imagined:
    """Networks without links: delegates that only name addresses, for where no packet is sent."""

    def __init__(self, site: Site, first: int = 2) -> None:
        delegates = Delegates(site.host)
        delegates.fixed("fixed")
        self.site = site.finding(delegates.directory)
        self._number = first - 1

    def member(self, container: str, *mappings: Json, **changes: Any) -> Member:
        """Return a container with addresses of its own."""
        self._number += 1
        delegate = {
            "type": "fixed",
            "address": f"10.77.0.{self._number}/24",
            "address6": f"fd00:77::{self._number:x}/64",
        }
        place = self.site.host.container(container)
        return self.site.member(place, *mappings, **{"delegate": delegate, **changes})


def everything(site: Site) -> list[list[str]]:
    """Return all rules and elements there are, and what is on record."""
    tables = [(False, "raw"), (False, "nat"), (True, "raw"), (True, "nat")]
    rules = [rules_in(site, ipv6=ipv6, table=table) for ipv6, table in tables]
    state = site.host.files(STATE) if site.host.path(STATE).is_dir() else {}
    return [*rules, own_tables(site), [name for name in state if not name.endswith("/lock")]]


NOTHING: list[list[str]] = [[], [], [], [], [], []]


def rules_in(site: Site, *, ipv6: bool = False, table: str = "nat") -> list[str]:
    """Return a table as the host's iptables shows it, and the legacy variant's if it does not."""
    rules = site.host.ruleset(ipv6=ipv6, table=table)
    names = site.host.run(["cat", f"/proc/net/ip{'6' if ipv6 else ''}_tables_names"], check=False)
    if site.back_end.variant == "nft" and table in names.text.split():
        save = ["ip6tables-legacy-save" if ipv6 else "iptables-legacy-save", "-t", table]
        rules += [line for line in site.host.run(save).text.splitlines() if line.startswith("-A")]
    return rules


def own_tables(site: Site, *families: int) -> list[str]:
    """Return the lines of our tables of nf_tables, those there are."""
    lines = []
    for family in families or FAMILIES:
        table = [{4: "ip", 6: "ip6"}[family], "mesos-cni-port-mapper"]
        lines += site.host.run(["nft", "list", "table", *table], check=False).text.splitlines()
    return lines


def owners(site: Site, *families: int) -> set[str]:
    """Return whose rules there are."""
    rules = [rules_in(site, ipv6=family == 6) for family in families or FAMILIES]
    return set(re.findall(r"container_id: (\S+)", f"{rules} {own_tables(site, *families)}"))


def entries(site: Site, family: int = 4) -> int:
    """Return how many rules or elements lead the host's ports to containers, runs being one."""
    if site.back_end.has_chains:
        return len(site.host.chain(CHAIN, ipv6=family == 6) or [])
    return len([line for line in own_tables(site, family) if "container_id:" in line])
