"""Hosts with many mappings on them: what one more costs, and what a new connection does."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Ratios
from bench.scenarios import PortMapping
from bench.sides import OURS, PortMapper
from bench.stage import BenchError, Call
from tests.support.host import HOST_IPV4, Container, Host, Place
from tests.support.plugin import Plugin

_OF_ONE = 100
"""Mappings of one attachment, at most."""

_FIRST_PORT, _CONTAINER_PORT = 2000, 8000
_CONNECT = Path(__file__).with_name("connect.py")
_CONNECTIONS = 20
"""In a row through one port, before it is the other's turn."""

_TURNS = 20
"""So many more than of programs: a turn is short, and most are not interrupted."""

_WEB = """\
link add web0 type veth peer name eth0 netns {netns}
address add 10.77.255.254/16 dev web0
link set web0 up
"""
_IN_WEB = """\
link set eth0 up
route add default via 10.77.255.254
"""


@dataclass(frozen=True)
class Member:
    """An attachment of a crowd."""

    container_id: str
    address: str
    mappings: tuple[PortMapping, ...]


def single_ports(count: int) -> list[Member]:
    """Return attachments with so many mappings in all, no two of which follow one another."""
    return [
        _member(
            number,
            [
                (_FIRST_PORT + 2 * (start + index), _CONTAINER_PORT + index)
                for index in range(min(_OF_ONE, count - start))
            ],
        )
        for number, start in enumerate(range(0, count, _OF_ONE))
    ]


def runs(count: int) -> list[Member]:
    """Return so many attachments with a run of ports each, which are the container's own too."""
    return [
        _member(number, [(start + index, start + index) for index in range(_OF_ONE)])
        for number in range(count)
        for start in [_FIRST_PORT + (_OF_ONE + 1) * number]
    ]


def _member(number: int, mappings: Sequence[PortMapping]) -> Member:
    high, low = divmod(number, 250)
    return Member(f"crowd-{number}", f"10.77.{high}.{low + 1}/16", tuple(mappings))


class Crowd:
    """A network namespace as a host on which attachments have mappings.

    Everything is asked of the frozen plugin, so that rules, records and claims are real.
    """

    def __init__(self, host: Host, place: Place, web: Container, backend: str) -> None:
        self._place = place
        self._web = web
        self._side = PortMapper(backend=backend)
        self._plugin = Plugin(host, str(OURS))

    def fill(self, members: Sequence[Member]) -> None:
        """Attach them all."""
        for each in members:
            (add,) = self.calls(each, "ADD")
            done = self._place.run([add.program], add.stdin.encode(), add.environ, check=False)
            if done.status != 0:
                message = f"ADD of {each.container_id} said {done.text}{done.stderr.decode()}"
                raise BenchError(message)

    def calls(self, member: Member, *commands: str) -> list[Call]:
        """Return what a runtime asks for an attachment."""
        netconf = json.dumps(self._side.netconf([member.address], member.mappings))
        return [
            Call(
                str(OURS),
                self._plugin.environment(command, self._web, container_id=member.container_id),
                netconf,
                self._place.netns or "",
            )
            for command in commands
        ]


def connect_web(host: Host, web: Container, members: Sequence[Member]) -> None:
    """Give a container a way to its host, and the addresses of the first and the last member."""
    host.run(["ip", "-batch", "-"], _WEB.format(netns=web.netns).encode())
    addresses = dict.fromkeys([members[0].address, members[-1].address])
    lines = [f"address add {address} dev eth0\n" for address in addresses]
    web.run(["ip", "-batch", "-"], "".join([*lines, _IN_WEB]).encode())


def compare_connections(
    host: Host, web: Container, members: Sequence[Member], rounds: int
) -> Ratios:
    """Return new connections a second through the last mapping, divided by the first's.

    First and last are as the rules of a chain are looked at: the newest attachment's come first.
    """
    (near, near_target), (far, far_target) = members[-1].mappings[0], members[0].mappings[-1]
    ports = sorted({near_target, far_target})
    server = web.start(
        [sys.executable, "-I", "-S", str(_CONNECT)],
        json.dumps({"address": "", "ports": ports}).encode(),
    )
    try:
        if server.stdout_line() != b"ready":
            message = "nothing listens in the container"
            raise BenchError(message)
        job = {
            "targets": [(HOST_IPV4, near), (HOST_IPV4, far)],
            "connections": _CONNECTIONS,
            "rounds": _TURNS * rounds,
        }
        measured = host.client.run(
            [sys.executable, "-I", "-S", str(_CONNECT)], json.dumps(job).encode(), timeout=600
        )
    finally:
        server.kill()
        server.close()
    return Ratios(tuple(first / last for first, last in json.loads(measured.stdout)))
