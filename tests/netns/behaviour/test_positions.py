"""Who reaches a mapped port from where, and which source address the container sees.

Each cell is a position, a family, a protocol, the host address a mapping is for, and two options
of the network. What must come of it is in `EXPECTED`, and every cell is probed with real packets.
All cells of a back end share one host, with a network for each pair of options in one chain.
"""

import itertools
from typing import NamedTuple

import pytest

from tests.netns.behaviour.site import CLIENT, FAMILIES, LOOPBACK, OTHER, OWN, Json, Site, mapping
from tests.netns.behaviour.site import gateways as gateways_of
from tests.support.host import Container
from tests.support.traffic import Attempt, Outcome, Protocol, Saw, Server

CONTAINER_PORTS: dict[Protocol, int] = {"tcp": 80, "udp": 53, "sctp": 9}
SWITCHES = (False, True)

ANY, ONE, LOCAL = "any", "one", "loopback"
MAPPED_FOR = (ANY, ONE, LOCAL)
"""Which addresses of the host a mapping is for: any, its first one of each family, 127.0.0.1."""

OUTSIDE = "outside"
OUTSIDE_OTHER = "outside, by another address"
HOST = "host"
HOST_LOOPBACK = "host, by loopback"
ITSELF = "itself"
NEIGHBOUR = "neighbour"
NEIGHBOUR_OTHER = "neighbour, by another address"
POSITIONS = (
    OUTSIDE,
    OUTSIDE_OTHER,
    HOST,
    HOST_LOOPBACK,
    ITSELF,
    NEIGHBOUR,
    NEIGHBOUR_OTHER,
)

REFUSED = "refused"
SILENCE = "timeout"
AS_CLIENT, AS_HOST, AS_GATEWAY = "as the client", "as the host", "as the gateway"
"""The container answers, and has seen the client's own address or one of the host's."""


class Cell(NamedTuple):
    position: str
    family: int
    protocol: Protocol
    mapped_for: str
    snat: bool
    localhost: bool


CELLS = [
    Cell(*cell)
    for cell in itertools.product(
        POSITIONS, FAMILIES, CONTAINER_PORTS, MAPPED_FOR, SWITCHES, SWITCHES
    )
    # 127.0.0.1 is an address of IPv4 only; that ::1 is not served is seen with the other mappings.
    if (cell[1], cell[3]) != (6, LOCAL)
]

BOTH, V4, V6 = (4, 6), (4,), (6,)
EITHER, ON, OFF = (False, True), (True,), (False,)
PUBLISHED = (ANY, ONE)

EXPECTED = (
    # position, families, mapped for, snat, localhost, outcome
    #
    # Whoever comes from outside keeps his address, and finds what is published where he asks.
    (OUTSIDE, BOTH, PUBLISHED, EITHER, EITHER, AS_CLIENT),
    (OUTSIDE, V4, (LOCAL,), EITHER, EITHER, REFUSED),
    (OUTSIDE_OTHER, BOTH, (ANY,), EITHER, EITHER, AS_CLIENT),
    (OUTSIDE_OTHER, BOTH, (ONE,), EITHER, EITHER, REFUSED),
    (OUTSIDE_OTHER, V4, (LOCAL,), EITHER, EITHER, REFUSED),
    # The host by its own address: the address it speaks from is the one it speaks to.
    (HOST, BOTH, PUBLISHED, EITHER, EITHER, AS_HOST),
    (HOST, V4, (LOCAL,), EITHER, EITHER, REFUSED),
    # Loopback: only on request, and never ::1, for which the kernel has no route_localnet. To name
    # 127.0.0.1 is to ask. A mapping for one address is for that one.
    (HOST_LOOPBACK, V4, (ANY,), EITHER, ON, AS_GATEWAY),
    (HOST_LOOPBACK, V4, (ANY,), EITHER, OFF, REFUSED),
    (HOST_LOOPBACK, V4, (ONE,), EITHER, EITHER, REFUSED),
    (HOST_LOOPBACK, V4, (LOCAL,), EITHER, EITHER, AS_GATEWAY),
    (HOST_LOOPBACK, V6, PUBLISHED, EITHER, EITHER, REFUSED),
    # The container itself and its neighbours: without masquerading the answer goes past the host,
    # whose address was asked, so that nobody recognises it.
    (ITSELF, BOTH, PUBLISHED, ON, EITHER, AS_GATEWAY),
    (ITSELF, BOTH, PUBLISHED, OFF, EITHER, SILENCE),
    (ITSELF, V4, (LOCAL,), EITHER, EITHER, REFUSED),
    (NEIGHBOUR, BOTH, PUBLISHED, ON, EITHER, AS_GATEWAY),
    (NEIGHBOUR, BOTH, PUBLISHED, OFF, EITHER, SILENCE),
    (NEIGHBOUR, V4, (LOCAL,), EITHER, EITHER, REFUSED),
    (NEIGHBOUR_OTHER, BOTH, (ANY,), ON, EITHER, AS_GATEWAY),
    (NEIGHBOUR_OTHER, BOTH, (ANY,), OFF, EITHER, SILENCE),
    (NEIGHBOUR_OTHER, BOTH, (ONE,), EITHER, EITHER, REFUSED),
    (NEIGHBOUR_OTHER, V4, (LOCAL,), EITHER, EITHER, REFUSED),
)


def expected(cell: Cell) -> str:
    """Return what the table says of a cell, which must be one thing."""
    (outcome,) = [
        outcome
        for position, families, mapped_for, snat, localhost, outcome in EXPECTED
        if position == cell.position
        and cell.family in families
        and cell.mapped_for in mapped_for
        and cell.snat in snat
        and cell.localhost in localhost
    ]
    return outcome


def number_of(snat: bool, localhost: bool) -> int:
    """Return the number of the network that has these options."""
    return 1 + snat + 2 * localhost


def port_of(cell: Cell) -> int:
    return 8000 + 10 * number_of(cell.snat, cell.localhost) + MAPPED_FOR.index(cell.mapped_for)


def mappings_of(snat: bool, localhost: bool) -> list[Json]:
    """Return everything that the container of one network asks for."""
    host_addresses = {ANY: [""], ONE: [OWN[4], OWN[6]], LOCAL: [LOOPBACK[4]]}
    first = 8000 + 10 * number_of(snat, localhost)
    return [
        mapping(first + index, container_port, protocol, address)
        for protocol, container_port in CONTAINER_PORTS.items()
        for index, mapped_for in enumerate(MAPPED_FOR)
        for address in host_addresses[mapped_for]
    ]


def outcome_of(cell: Cell) -> Outcome:
    """Return what the table says of a cell in the words of a probe."""
    number = number_of(cell.snat, cell.localhost)
    seen = {
        AS_CLIENT: CLIENT[cell.family],
        AS_HOST: OWN[cell.family],
        AS_GATEWAY: gateways_of(number)[cell.family],
    }
    wanted = expected(cell)
    if wanted not in seen:
        return wanted
    return Saw(f"web-{number}", seen[wanted], CONTAINER_PORTS[cell.protocol])


@pytest.fixture(scope="module")
def outcomes(shared_site: Site) -> dict[Cell, Outcome]:
    """Probe every cell, all of a position and protocol at once."""
    site = shared_site
    webs: dict[int, Container] = {}
    neighbours: dict[int, Container] = {}
    for snat, localhost in itertools.product(SWITCHES, SWITCHES):
        number = number_of(snat, localhost)
        webs[number] = site.host.container(f"web-{number}")
        for protocol, port in CONTAINER_PORTS.items():
            Server(protocol, webs[number], port, lifetime=300)
        mappings = mappings_of(snat, localhost)
        site.member(webs[number], *mappings, number=number, snat=snat, localhost=localhost).attach()
        neighbours[number] = site.neighbour(name=f"neighbour-{number}", number=number)

    def attempt(cell: Cell) -> Attempt:
        number = number_of(cell.snat, cell.localhost)
        sources = {
            OUTSIDE: site.host.client,
            HOST: site.host,
            ITSELF: webs[number],
            NEIGHBOUR: neighbours[number],
        }
        place, _, by = cell.position.partition(", ")
        address = {"": OWN, "by another address": OTHER, "by loopback": LOOPBACK}[by][cell.family]
        # Patience where an answer should come: a busy machine must not be taken for a silent one.
        timeout = 0.5 if expected(cell) == SILENCE else 5
        return Attempt(cell.protocol, sources[place], address, port_of(cell), timeout)

    found = {}
    for start in range(0, len(CELLS), 64):
        some = CELLS[start : start + 64]
        attempts = [attempt(cell) for cell in some]
        found.update({cell: each.outcome() for cell, each in zip(some, attempts, strict=True)})
    return found


@pytest.mark.parametrize("protocol", CONTAINER_PORTS)
@pytest.mark.parametrize("family", FAMILIES, ids="IPv{}".format)
@pytest.mark.parametrize("position", POSITIONS)
def test_a_port_is_found_where_it_should_be_and_nowhere_else(
    outcomes: dict[Cell, Outcome], position: str, family: int, protocol: Protocol
) -> None:
    cells = [cell for cell in CELLS if cell[:3] == (position, family, protocol)]

    assert {cell[3:]: outcomes[cell] for cell in cells} == {
        cell[3:]: outcome_of(cell) for cell in cells
    }


def test_the_table_says_one_thing_of_every_cell() -> None:
    assert len({cell: expected(cell) for cell in CELLS}) == len(CELLS) == 420
