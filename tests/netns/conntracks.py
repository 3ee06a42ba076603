"""Flows of all kinds through a throwaway host, what conntrack remembers of them, and forgetting."""

import json
import re
import sys
from pathlib import Path
from typing import Any

from mesos_cni_port_mapper.netfilter.conntrack import ORIGINAL, REPLY
from tests.support.host import (
    CLIENT_IPV4,
    CLIENT_IPV6,
    HOST_IPV4,
    HOST_IPV6,
    SEARCH_PATH,
    Container,
    Host,
    Place,
)

ROOT = Path(__file__).resolve().parents[2]

FAMILIES = [4, 6]
HOSTS = {4: HOST_IPV4, 6: HOST_IPV6}
SECOND = {4: "192.0.2.99", 6: "2001:db8:1::99"}
CLIENTS = {4: CLIENT_IPV4, 6: CLIENT_IPV6}
LOOPBACK = {4: "127.0.0.1", 6: "::1"}
NETWORKS = {4: "10.9.{}.{}", 6: "fd09:{}::{}"}
PREFIXES = {4: 24, 6: 64}

PORT = 5353
INNER = 53
SEND = """
import json, socket, sys
address, ports, sources = json.loads(sys.argv[1])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
for source in range(*sources):
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.bind(("", source))
        for port in range(*ports):
            one.sendto(b"hello", (address, port))
"""

Entry = tuple[str, str, str, int, int, str]
"""Protocol, source, destination, their ports, and who answers."""


def container(host: Host, name: str, number: int) -> Container:
    """Return a container with a veth of its own; its addresses end in 2."""
    made = host.container(name)
    peer = f"type veth peer name eth0 netns {made.netns}"
    ours = [f"link add veth{number} {peer}", f"link set veth{number} up"]
    theirs = ["link set eth0 up"]
    for family, network in NETWORKS.items():
        dad = " nodad" if family == 6 else ""
        length = PREFIXES[family]
        ours.append(f"address add {network.format(number, 1)}/{length} dev veth{number}{dad}")
        theirs.append(f"address add {network.format(number, 2)}/{length} dev eth0{dad}")
        theirs.append(f"-{family} route add default via {network.format(number, 1)}")
    host.run(["ip", "-batch", "-"], "\n".join(ours).encode())
    for line in theirs:
        made.run(["ip", *line.split()])
    return made


def forward(host: Host, family: int, number: int, protocol: str = "udp") -> None:
    """Lead the host's port to a container, and nowhere else."""
    tool = "ip6tables" if family == 6 else "iptables"
    target = NETWORKS[family].format(number, 2)
    shown = f"[{target}]:{INNER}" if family == 6 else f"{target}:{INNER}"
    rule = f"-p {protocol} -d {HOSTS[family]} --dport {PORT} -j DNAT --to-destination {shown}"
    host.run([tool, "-t", "nat", "-F", "MAPPED"])
    host.run([tool, "-t", "nat", "-A", "MAPPED", *rule.split()])


def entries(host: Host) -> set[Entry]:
    """Return what conntrack(8) lists of both families."""
    found = set()
    for family in FAMILIES:
        for line in host.run(["conntrack", "-L", "-f", f"ipv{family}"]).text.splitlines():
            words = re.findall(r"(src|dst|sport|dport)=(\S+)", line)
            if len(words) == 8:
                values = [value for _, value in words]
                source, destination, sport, dport = values[:4]
                protocol = line.split()[0]
                found.add((protocol, source, destination, int(sport), int(dport), values[4]))
    return found


def original(family: int = 4, address: str = "", **fields: Any) -> dict[str, Any]:
    flush = {"family": family, "protocol": "udp", "direction": ORIGINAL, "port": PORT}
    return {**flush, "address": address, **fields}


def reply(family: int, address: str, port: int = 0, **fields: Any) -> dict[str, Any]:
    flush = {"family": family, "protocol": "udp", "direction": REPLY, "port": port}
    return {**flush, "address": address, **fields}


def forget(host: Host, *flushes: dict[str, Any], kernel: str = "Kernel") -> dict[str, Any]:
    """Apply flushes in the host; return what the kernel was asked, and the error."""
    environment = {"PATH": SEARCH_PATH, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    argv = [sys.executable, "-m", "tests.support.conntrack_driver", json.dumps([flushes, kernel])]
    outcome: dict[str, Any] = json.loads(host.run(argv, env=environment).stdout)
    return outcome


def forgotten(host: Host, *flushes: dict[str, Any], kernel: str = "Kernel") -> set[Entry]:
    """Apply flushes and return which entries are gone by that."""
    before = entries(host)
    assert forget(host, *flushes, kernel=kernel)["error"] == 0
    after = entries(host)
    assert after <= before
    return before - after


def send(place: Place, address: str, ports: tuple[int, int], sources: tuple[int, int]) -> None:
    """Send a datagram from each source port to each port; the ends are not among them."""
    place.run([sys.executable, "-c", SEND, json.dumps([address, ports, sources])])
