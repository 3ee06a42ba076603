"""The namespaces of one run, and everything in them that can be looked at.

Imported by the worker, so only the standard library and this project are here.
"""

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from mesos_cni_port_mapper.linux.syscalls import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    MNT_DETACH,
    MS_BIND,
    mount,
    setns,
    umount2,
    unshare,
)
from tests.support.agent import NAMESPACES, OUTSIDE, TOOLS, prepare

T = TypeVar("T")

PATH = f"{TOOLS}:/usr/sbin:/usr/bin:/sbin:/bin"
SHELL = {"PATH": PATH, "LC_ALL": "C"}
STATE = "/var/lib/cni"
CLIENT = f"{OUTSIDE}/client"
PROBED_PORT = 9
# What is sent before all carriers are known to be up is lost, and so are questions for a neighbour.
HEARD_WITHIN = 3
# Without looking for duplicates an address is in use once its link has a carrier.
SETTLED_AFTER = 0.5

NETFILTER = 12  # NETLINK_NETFILTER, which Python does not name.
# Multicast groups of netlink, as masks: links, addresses and routes; nftables.
ROUTES = sum(1 << group - 1 for group in (1, 5, 7, 9, 11))
NFTABLES = 1 << 7 - 1

# What plugins touch, and their neighbours.
GLOBAL = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding")
IPV4 = (
    *("accept_local", "arp_announce", "arp_ignore", "arp_notify", "forwarding"),
    *("promote_secondaries", "proxy_arp", "route_localnet", "rp_filter"),
)
IPV6 = (
    *("accept_dad", "accept_ra", "addr_gen_mode", "autoconf", "dad_transmits", "disable_ipv6"),
    *("enhanced_dad", "forwarding", "keep_addr_on_down", "ndisc_notify", "proxy_ndp"),
)

_UPLINK = f"""\
link add eth0 address 02:00:00:00:00:01 type veth peer name eth0 netns {CLIENT}
address add 192.0.2.1/24 dev eth0
address add 2001:db8:1::1/64 dev eth0 nodad
link set eth0 up
"""
_CLIENT = """\
link set eth0 address 02:00:00:00:00:02
address add 192.0.2.2/24 dev eth0
address add 2001:db8:1::2/64 dev eth0 nodad
link set eth0 up
"""


class Machine:
    """The fresh namespaces of one run: a host, containers by name, a client where one is needed."""

    def __init__(self, run: Mapping[str, Any]) -> None:
        unshare(CLONE_NEWNET | CLONE_NEWNS)
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self._others: dict[str, int] = {}
        self._settles = not run["dad"]
        self._gone = False
        prepare(str(Path(TOOLS, "iptables").readlink()))
        for sysctl in GLOBAL:
            Path("/proc/sys", sysctl).write_text("0")
        if run["dad"]:
            # In the containers it is the subject; how far the host's own has come is a matter of
            # milliseconds, and nothing waits for it.
            Path("/proc/sys/net/ipv6/conf/default/accept_dad").write_text("0")
        for name in run["containers"]:
            self._create(name, f"{NAMESPACES}/{name}", dad=run["dad"])
        if run["uplink"]:
            self._create("client", CLIENT, dad=False)
            _execute(["ip", "-batch", "-"], _UPLINK)
            self.inside("client", lambda: _execute(["ip", "-batch", "-"], _CLIENT))
        for path, content in run["files"].items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_bytes(content.encode("latin-1"))
        self._news = {
            name: self.inside(name, lambda: _subscribe(socket.NETLINK_ROUTE, ROUTES))
            for name in self._seen()
        }
        self._news["rules"] = _subscribe(NETFILTER, NFTABLES)

    def _seen(self) -> list[str]:
        return ["host", *(name for name in self._others if name != "client")]

    def _create(self, name: str, path: str, *, dad: bool) -> None:
        unshare(CLONE_NEWNET)
        if not dad:
            Path("/proc/sys/net/ipv6/conf/default/accept_dad").write_text("0")
        Path(path).touch()
        mount("/proc/self/ns/net", path, "", MS_BIND)
        self._others[name] = os.open(path, os.O_RDONLY)
        setns(self._home, CLONE_NEWNET)

    def inside(self, name: str, work: Callable[[], T]) -> T:
        """Do something in another network namespace of this machine, or in the host's."""
        setns(self._others.get(name, self._home), CLONE_NEWNET)
        try:
            return work()
        finally:
            setns(self._home, CLONE_NEWNET)

    def forget(self, name: str) -> None:
        """Let a container's namespace go, and wait until the kernel has taken its links away."""
        links = self.inside(name, _links)
        self._gone = True
        self._news.pop(name).close()
        os.close(self._others.pop(name))
        umount2(f"{NAMESPACES}/{name}", MNT_DETACH)
        Path(NAMESPACES, name).unlink()
        end = time.monotonic() + 2
        while _leads_to(_links(), links) and time.monotonic() < end:
            time.sleep(0.002)

    def observe(self, *, anyway: bool = False) -> dict[str, Any]:
        """Return the state of the kernel and of the files, raw.

        Links, addresses, routes and rules are None while the kernel has told of no change, since
        listing them costs more than most calls.
        """
        places = self._seen()
        changed = [_drain(news) for news in self._news.values()]
        anyway, self._gone = anyway or self._gone, False
        networks = rules = None
        if anyway or any(changed):
            networks = self._list(places)
            rules = _answers([_start([name]) for name in ("iptables-save", "ip6tables-save")])
        return {
            "networks": networks,
            "rules": rules,
            "sysctls": {place: self.inside(place, _read_sysctls) for place in places},
            "files": _read_files(STATE),
        }

    def _list(self, places: list[str]) -> dict[str, str]:
        end = time.monotonic() + SETTLED_AFTER
        while True:
            texts = _answers([self.inside(place, _list_network) for place in places])
            listed = dict(zip(places, texts, strict=True))
            waiting = self._settles and any(map(_is_settling, texts))
            if not waiting or time.monotonic() > end:
                return listed
            time.sleep(0.005)

    def probe(self, name: str, address: str) -> str:
        """Send a datagram from a container to the client; return the source that the client saw."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        there = self.inside("client", lambda: socket.socket(family, socket.SOCK_DGRAM))
        here = self.inside(name, lambda: socket.socket(family, socket.SOCK_DGRAM))
        for place in (name, "host"):
            self.inside(place, _hurry)
        with there, here:
            there.bind((address, PROBED_PORT))
            there.settimeout(0.05)
            end = time.monotonic() + HEARD_WITHIN
            seen = "nothing arrives"
            while time.monotonic() < end:
                try:
                    here.sendto(b"?", (address, PROBED_PORT))
                    return str(there.recvfrom(16)[1][0])
                except TimeoutError:
                    pass
                except OSError as error:
                    seen = str(error.strerror)
            return seen


def _is_settling(listed: str) -> bool:
    """Tell whether an IPv6 address is there and the kernel does not answer to it yet."""
    addresses = re.findall(r'"family":"inet6","local":"([^"]+)"', listed)
    return '"tentative"' in listed or any(
        f'"type":"local","dst":"{address}"' not in listed for address in addresses
    )


def _subscribe(protocol: int, groups: int) -> socket.socket:
    news = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
    news.bind((0, groups))
    return news


def _drain(news: socket.socket) -> bool:
    heard = False
    while True:
        try:
            heard = bool(news.recv(1 << 16)) or heard
        except BlockingIOError:
            return heard
        except OSError:
            # More than fits has happened.
            heard = True


def _hurry() -> None:
    # Whoever is asked for before the carrier has come is asked again a second later.
    for family in ("ipv4", "ipv6"):
        for retry in Path(f"/proc/sys/net/{family}/neigh").glob("*/retrans_time_ms"):
            retry.write_text("50")


def _links() -> list[dict[str, Any]]:
    # Not from /sys, which shows the host's links wherever we are.
    (text,) = _answers([_start(["ip", "-d", "-j", "link"])])
    listed: list[dict[str, Any]] = json.loads(text)
    return listed


def _leads_to(here: list[dict[str, Any]], there: list[dict[str, Any]]) -> bool:
    """Tell whether a link is the other end of one there, or still receives on behalf of one."""
    kinds = {link.get("linkinfo", {}).get("info_kind") for link in there}
    far = {(link.get("link_index"), link["ifindex"]) for link in there}
    return any(
        (link["ifindex"], link.get("link_index")) in far
        if "macvlan" not in kinds
        else link["promiscuity"] > 0
        for link in here
    )


def _list_network() -> subprocess.Popen[str]:
    process = _start(["ip", "-d", "-j", "-batch", "-"], subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write("address show\nroute show table all\n")
    process.stdin.close()
    return process


def _start(argv: list[str], stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    return subprocess.Popen(argv, stdin=stdin, stdout=subprocess.PIPE, env=SHELL, text=True)


def _answers(processes: list[subprocess.Popen[str]]) -> list[str]:
    texts = []
    for process in processes:
        assert process.stdout is not None
        with process.stdout as stream:
            texts.append(stream.read())
        if process.wait() != 0:
            raise ChildProcessError(process.args)
    return texts


def _execute(argv: list[str], words: str) -> None:
    subprocess.run(argv, input=words, env=SHELL, text=True, check=True)


def _read_sysctls() -> dict[str, str]:
    values = {name: _value(f"/proc/sys/{name}") for name in GLOBAL}
    for family, names in (("ipv4", IPV4), ("ipv6", IPV6)):
        for link in Path(f"/proc/sys/net/{family}/conf").iterdir():
            for name in names:
                path = f"net/{family}/conf/{link.name}/{name}"
                values[path] = _value(f"/proc/sys/{path}")
    return values


def _value(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 64).decode().strip()
    except OSError as error:
        return str(error.strerror)
    finally:
        os.close(descriptor)


def _read_files(directory: str) -> dict[str, str]:
    # Directories count too; latin-1 takes any byte.
    return {
        str(path.relative_to(directory)): path.read_bytes().decode("latin-1")
        if path.is_file()
        else "a directory"
        for path in sorted(Path(directory).rglob("*"))
    }
