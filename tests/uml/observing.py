"""Run the cases of a plugin in the machine, ours and Debian's, and report what came of each.

Every side has a host of its own, in which its cases run one after the other: what one leaves behind
shows in the next. An observation holds nothing that differs between two runs of one program.
"""

import json
import re
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mesos_cni_port_mapper.linux.syscalls import CLONE_NEWNET, setns
from tests.support.host import Container, Host
from tests.support.plugin import PLUGIN_DIRECTORY, Answer, Plugin
from tests.support.traffic import Saw, Server, connect_udp
from tests.uml.cases import CASES, Case
from tests.uml.modules import load

_PORT = 5000
_WITH_CHECK = ("0.4.0", "1.0.0")
_NETWORK = "/var/lib/cni/networks/net"
_LINK = ("ifname", "flags", "mtu", "promiscuity", "linkinfo", "inet6_addr_gen_mode", "txqlen")
_VLAN_OF_CLIENT = """\
link add link eth0 name eth0.5 type vlan id 5
address add 192.168.5.1/24 dev eth0.5
link set eth0.5 up
"""

Observation = dict[str, Any]


def observe(kind: str, directory: str) -> dict[str, Any]:
    """Return what both sides did: a refusal before the module is loaded, then case by case."""
    load("ipv6", "veth", "bridge")
    # The other kind's module shall not hide that this one's is missing.
    report: dict[str, Any] = {"unsupported": _unsupported(kind, directory)}
    load("8021q", "ipvlan")
    for side, place in (("ours", directory), ("debian", PLUGIN_DIRECTORY)):
        with Host("legacy") as host:
            _ip(host.client, _VLAN_OF_CLIENT)
            _serve(host.client)
            plugin = Plugin(host, f"{place}/{kind}", (place,))
            mac = _mac_of_master(host)
            report[side] = {
                case.name: _Life(host, plugin, case, mac).observe() for case in CASES[kind]
            }
    return report


def _unsupported(kind: str, directory: str) -> Observation:
    with Host("legacy") as host:
        case = CASES[kind][0]
        plugin = Plugin(host, f"{directory}/{kind}", (directory,))
        return _Life(host, plugin, case, _mac_of_master(host)).observe()


class _Life:
    """One case on one side."""

    def __init__(self, host: Host, plugin: Plugin, case: Case, mac: str) -> None:
        self.host = host
        self.plugin = plugin
        self.case = case
        self.config = {"cniVersion": case.version, "name": "net", **case.config}
        self.mac = mac

    def observe(self) -> Observation:
        """Run the case and leave the host as it was before it."""
        # On the console, which is shown when the machine does not answer.
        sys.stderr.write(f"{self.plugin.executable}: {self.case.name}\n")
        prepare, undo = self.case.host
        container = self.host.container("c1")
        _ip(self.host, prepare)
        _ip(container, self.case.container)
        seen = self._attach(container)
        container.remove()
        _ip(self.host, undo)
        return seen

    def _attach(self, container: Container) -> Observation:
        added = self._run("ADD", container)
        seen: Observation = {"ADD": self._told(added)}
        if added.status == 0:
            if not self.case.damage:
                seen |= {"container": _look(container, self.mac), "host": _names(self.host)}
            seen["traffic"] = [_ask(container, address) for address in self.case.ask]
            if self.case.neighbour:
                seen["neighbour"] = self._meet(container)
            seen |= self._check(container, added)
            seen["DEL"] = self._told(self._run("DEL", container))
        # Debian's leaves its link where a later step of ADD failed; ours must not.
        seen |= {"left": _names(container), "left on the host": self._left()}
        if self.case.again:
            answers = [self._run("DEL", container), self._run("DEL", None)]
            seen["DEL again"] = [self._told(answer) for answer in answers]
        return seen

    def _check(self, container: Container, added: Answer) -> Observation:
        if self.case.version not in _WITH_CHECK:
            return {}
        config = {**self.config, "prevResult": added.document}
        _ip(container, self.case.damage)
        return {"CHECK": self._told(self._run("CHECK", container, config=config))}

    def _meet(self, container: Container) -> str:
        other = self.host.container("c2")
        added = self._run("ADD", other)
        _serve(other)
        met = _ask(container, added.addresses[0].partition("/")[0])
        self._run("DEL", other)
        other.remove()
        return met

    def _run(
        self, command: str, container: Container | None, config: Mapping[str, Any] | None = None
    ) -> Answer:
        name = container.name if container else "c1"
        return self.plugin.run(command, container, config or self.config, "eth0", name)

    def _told(self, answer: Answer) -> Any:
        """Return an answer: the result, "" for success without one, or the error."""
        if answer.status == 0 and not answer.stdout:
            return ""
        text = json.dumps(answer.document).replace(self.mac, "MAC OF MASTER")
        document = json.loads(text)
        return {"error": document} if answer.status else document

    def _left(self) -> list[str]:
        files = [name for name in self.host.files("/var/lib/cni") if re.search(r"\.\d+$|:", name)]
        return [*_names(self.host), *[name for name in files if "last_reserved" not in name]]


def _ip(place: Host | Container, commands: str) -> None:
    if commands:
        place.run(["ip", "-batch", "-"], commands.encode())


def _ask(container: Container, address: str) -> str:
    outcome = connect_udp(container, address, _PORT)
    return f"{outcome.name} saw {outcome.peer}" if isinstance(outcome, Saw) else outcome


def _serve(place: Container) -> None:
    # Longer than any machine lives.
    Server("udp", place, _PORT, lifetime=3600)


def _look(place: Container, mac: str) -> Observation:
    """Return links, addresses and routes but those of lo, without numbers and lifetimes."""
    script = "ip -d -j address; echo; ip -4 route; ip -6 route"
    text = place.run(["sh", "-ec", script]).text.replace(mac, "MAC OF MASTER")
    listed, _, routes = text.partition("\n\n")
    links = [link for link in json.loads(listed) if link["ifname"] != "lo"]
    return {
        "links": [_picked(link) for link in links],
        "addresses": sorted(_addresses(links)),
        "routes": sorted(routes.splitlines()),
    }


def _picked(link: Mapping[str, Any]) -> Observation:
    return {key: link.get(key) for key in _LINK} | {"mac": "MAC" in link["address"]}


def _addresses(links: list[dict[str, Any]]) -> list[str]:
    return [
        f"{address['local']}/{address['prefixlen']} {address.get('broadcast')} {address['scope']}"
        for link in links
        for address in link["addr_info"]
        # Who made it from what is not the plugins' doing.
        if not address["local"].startswith("fe80:")
    ]


def _names(place: Host | Container) -> list[str]:
    """Return a place's links, by going there: starting a program takes a while in this machine."""
    file = f"/proc/{place.keeper.pid}/ns/net"
    if place.netns is not None:
        file = f"/proc/{place.keeper.pid}/root{place.netns}"
    with Path(file).open("rb") as there, Path("/proc/self/ns/net").open("rb") as here:
        try:
            setns(there.fileno(), CLONE_NEWNET)
            return sorted(name for _, name in socket.if_nameindex())
        finally:
            setns(here.fileno(), CLONE_NEWNET)


def _mac_of_master(host: Host) -> str:
    (link,) = json.loads(host.run(["ip", "-j", "link", "show", "eth0"]).text)
    return str(link["address"])
