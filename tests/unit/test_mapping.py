"""Port mappings: which ports they take in which family, and runs of them."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos_cni_port_mapper.portmap.mapping import (
    PortMapping,
    PortRun,
    families_of,
    of_family,
    ports_of,
    runs_of,
    without_ports,
)


def tcp(host_port: int, container_port: int, host_address: str = "") -> PortMapping:
    return PortMapping(
        protocol="tcp",
        host_port=host_port,
        container_port=container_port,
        host_address=host_address,
    )


@pytest.mark.parametrize(
    ("address", "families", "ports"),
    [
        ("", (4, 6), [("tcp", 80, 4, ""), ("tcp", 80, 6, "")]),
        ("0.0.0.0", (4,), [("tcp", 80, 4, "")]),
        ("::", (6,), [("tcp", 80, 6, "")]),
        ("192.0.2.1", (4,), [("tcp", 80, 4, "192.0.2.1")]),
        ("2001:db8::1", (6,), [("tcp", 80, 6, "2001:db8::1")]),
    ],
)
def test_a_mapping_takes_the_ports_of_its_host_address(
    address: str, families: tuple[int, ...], ports: list[tuple[str, int, int, str]]
) -> None:
    assert families_of(tcp(80, 8080, address)) == families
    assert ports_of(tcp(80, 8080, address)) == ports


@pytest.mark.parametrize(
    ("family", "found"),
    [
        (4, (tcp(1, 1), tcp(2, 2), tcp(4, 4, "192.0.2.1"))),
        (6, (tcp(1, 1), tcp(3, 3), tcp(5, 5, "2001:db8::1"))),
    ],
)
def test_a_family_has_the_mappings_for_its_addresses(
    family: int, found: tuple[PortMapping, ...]
) -> None:
    mappings = [
        tcp(1, 1),
        tcp(2, 2, "0.0.0.0"),
        tcp(3, 3, "::"),
        tcp(4, 4, "192.0.2.1"),
        tcp(5, 5, "2001:db8::1"),
    ]

    assert of_family(mappings, family) == found


def test_a_port_of_all_addresses_and_of_those_of_a_family_is_one_in_the_family() -> None:
    assert of_family([tcp(1, 1), tcp(1, 1, "0.0.0.0")], 4) == (tcp(1, 1),)


@pytest.mark.parametrize(
    ("address", "taken", "left"),
    [
        ("", "", []),
        ("", "0.0.0.0", ["::"]),
        ("", "::", ["0.0.0.0"]),
        ("", "192.0.2.1", [""]),
        ("0.0.0.0", "", []),
        ("::", "0.0.0.0", ["::"]),
        ("192.0.2.1", "", ["192.0.2.1"]),
        ("192.0.2.1", "192.0.2.1", []),
    ],
)
def test_what_is_left_of_a_mapping_whose_ports_are_taken(
    address: str, taken: str, left: list[str]
) -> None:
    mappings = [tcp(80, 8080, address), tcp(81, 8080)]

    assert without_ports(mappings, ports_of(tcp(80, 1, taken))) == [
        *[tcp(80, 8080, each) for each in left],
        tcp(81, 8080),
    ]


def run(host_port: int, container_port: int, count: int, protocol: str = "tcp") -> PortRun:
    return PortRun(
        protocol=protocol,
        host_address="",
        host_port=host_port,
        container_port=container_port,
        count=count,
    )


@pytest.mark.parametrize(
    ("mappings", "runs"),
    [
        pytest.param([], (), id="nothing"),
        pytest.param([tcp(8080, 80)], (run(8080, 80, 1),), id="one port"),
        pytest.param([tcp(81, 81), tcp(80, 80)], (run(80, 80, 2),), id="two in any order"),
        pytest.param(
            [tcp(8080, 80), tcp(8081, 81)], (run(8080, 80, 2),), id="two that are shifted alike"
        ),
        pytest.param(
            [tcp(8080, 80), tcp(8081, 80)],
            (run(8080, 80, 1), run(8081, 80, 1)),
            id="two to the same port",
        ),
        pytest.param(
            [tcp(80, 80), tcp(82, 82)], (run(80, 80, 1), run(82, 82, 1)), id="two with a gap"
        ),
        pytest.param(
            [tcp(80, 80), tcp(81, 81).but(protocol="udp")],
            (run(80, 80, 1), run(81, 81, 1, "udp")),
            id="two protocols",
        ),
        pytest.param(
            [tcp(80, 80), tcp(81, 81, "192.0.2.1")],
            (run(81, 81, 1).but(host_address="192.0.2.1"), run(80, 80, 1)),
            id="one address of the host before all of them",
        ),
        pytest.param(
            [tcp(80, 80), tcp(80, 81, "192.0.2.1"), tcp(80, 82, "192.0.2.2")],
            (
                run(80, 81, 1).but(host_address="192.0.2.1"),
                run(80, 82, 1).but(host_address="192.0.2.2"),
                run(80, 80, 1),
            ),
            id="two addresses before all of them",
        ),
        pytest.param(
            [tcp(80, 80), tcp(81, 81, "192.0.2.1").but(protocol="udp")],
            (run(81, 81, 1, "udp").but(host_address="192.0.2.1"), run(80, 80, 1)),
            id="one address before all of another protocol",
        ),
        pytest.param(
            [tcp(80, 80).but(protocol="udp"), tcp(80, 80), tcp(80, 80).but(protocol="sctp")],
            (run(80, 80, 1, "sctp"), run(80, 80, 1), run(80, 80, 1, "udp")),
            id="protocols in their order",
        ),
        pytest.param(
            [tcp(port, port) for port in range(1, 65536)], (run(1, 1, 65535),), id="every port"
        ),
    ],
)
def test_mappings_become_runs(mappings: list[PortMapping], runs: tuple[PortRun, ...]) -> None:
    assert runs_of(mappings) == runs


MAPPINGS = st.lists(
    st.builds(
        PortMapping,
        protocol=st.sampled_from(["tcp", "udp"]),
        host_port=st.integers(1, 12),
        container_port=st.integers(1, 12),
        host_address=st.sampled_from(["", "192.0.2.1"]),
    ),
    unique_by=lambda item: (item.protocol, item.host_address, item.host_port),
)


def members(runs: Iterable[PortRun]) -> list[PortMapping]:
    return [
        PortMapping(
            protocol=item.protocol,
            host_address=item.host_address,
            host_port=item.host_port + offset,
            container_port=item.container_port + offset,
        )
        for item in runs
        for offset in range(item.count)
    ]


@given(MAPPINGS)
def test_runs_hold_the_mappings_once_each(mappings: list[PortMapping]) -> None:
    found = members(runs_of(mappings))

    assert (len(found), set(found)) == (len(mappings), set(mappings))


@given(MAPPINGS)
def test_no_two_runs_could_be_one(mappings: list[PortMapping]) -> None:
    runs = runs_of(mappings)
    starts = {item.but(count=1) for item in runs}
    ends = {
        item.but(
            host_port=item.host_port + item.count,
            container_port=item.container_port + item.count,
            count=1,
        )
        for item in runs
    }

    assert starts & ends == set()


@given(MAPPINGS, st.randoms())
def test_runs_do_not_depend_on_the_order_of_mappings(
    mappings: list[PortMapping], random: Any
) -> None:
    shuffled = random.sample(mappings, len(mappings))

    assert runs_of(shuffled) == runs_of(mappings)
