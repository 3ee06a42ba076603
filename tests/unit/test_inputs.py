"""Port mappings as runtimes word them, and what counts where Mesos' words are there too."""

from typing import Any

import pytest

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.portmap.inputs import Wanted, parse_mappings
from mesos_cni_port_mapper.portmap.mapping import PortMapping


def mesos(*mappings: tuple[int, int]) -> dict[str, Any]:
    listed = [{"host_port": host, "container_port": container} for host, container in mappings]
    return {"args": {"org.apache.mesos": {"network_info": {"port_mappings": listed}}}}


MESOS_PATH = 'args["org.apache.mesos"].network_info.port_mappings'


def tcp(host_port: int, container_port: int) -> PortMapping:
    return PortMapping(protocol="tcp", host_port=host_port, container_port=container_port)


def runtime(*mappings: object) -> dict[str, Any]:
    return {"runtimeConfig": {"portMappings": list(mappings)}}


def asked(host_port: object = 8080, container_port: object = 80, **more: object) -> dict[str, Any]:
    return {"hostPort": host_port, "containerPort": container_port, **more}


def refusal_of(document: dict[str, Any]) -> tuple[int, str]:
    with pytest.raises(CniError) as refusal:
        parse_mappings(document)
    return refusal.value.code, str(refusal.value)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(runtime(asked(protocol="udp", hostIP="192.0.2.1")), id="the convention's"),
        pytest.param(
            {
                "runtimeConfig": {
                    "PortMappings": [
                        {
                            "HostPort": 8080,
                            "ContainerPort": 80,
                            "Protocol": "UDP",
                            "HostIP": "192.0.2.1",
                        }
                    ]
                }
            },
            id="Go's field names",
        ),
        pytest.param(
            {
                "runtimeConfig": {
                    "portmappings": [
                        {
                            "hostport": 8080,
                            "CONTAINERPORT": 80,
                            "protocol": "Udp",
                            "hostIp": "192.0.2.1",
                        }
                    ]
                }
            },
            id="any other",
        ),
    ],
)
def test_a_runtime_s_mappings_are_read_in_the_letter_case(document: dict[str, Any]) -> None:
    assert parse_mappings(document) == Wanted(
        mappings=(
            PortMapping(
                protocol="udp", host_port=8080, container_port=80, host_address="192.0.2.1"
            ),
        ),
        by_mesos=False,
    )


@pytest.mark.parametrize("protocol", [None, ""], ids=["null", "empty"])
def test_a_runtime_that_names_no_protocol_means_tcp(protocol: object) -> None:
    assert parse_mappings(runtime(asked(protocol=protocol))).mappings == (tcp(8080, 80),)


@pytest.mark.parametrize(
    ("address", "meant"),
    [
        (None, ""),
        ("", ""),
        ("0.0.0.0", "0.0.0.0"),
        ("::", "::"),
        ("0:0:0:0:0:0:0:0", "::"),
        ("127.0.0.1", "127.0.0.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:0.0.0.0", "0.0.0.0"),
    ],
)
def test_a_host_address_is_read_in_its_one_spelling(address: str | None, meant: str) -> None:
    (mapping,) = parse_mappings(runtime(asked(hostIP=address))).mappings

    assert mapping.host_address == meant


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("localhost", "hostIP: 'localhost' is no IP address"),
        ("192.0.2.1/32", "hostIP: '192.0.2.1/32' is no IP address"),
        ("192.0.2.256", "hostIP: '192.0.2.256' is no IP address"),
        ("fe80::1%eth0", "hostIP: 'fe80::1%eth0' is no IP address"),
        (" 192.0.2.1", "hostIP: ' 192.0.2.1' is no IP address"),
        (5, "hostIP: must be a string, not 5"),
    ],
)
def test_a_host_address_is_refused(address: object, complaint: str) -> None:
    assert refusal_of(runtime(asked(hostIP=address))) == (
        7,
        f"runtimeConfig.portMappings[0].{complaint}",
    )


@pytest.mark.parametrize(
    ("mapping", "code", "complaint"),
    [
        pytest.param(
            asked(0),
            7,
            "hostPort: must be a whole number from 1 to 65535, not 0",
            id="host port 0",
        ),
        pytest.param(
            {"HOSTPORT": 65536, "containerPort": 80},
            7,
            "HOSTPORT: must be a whole number from 1 to 65535, not 65536",
            id="as it was spelt",
        ),
        pytest.param(
            {"containerPort": 80},
            7,
            "hostPort: is missing; it must be a whole number",
            id="no host port",
        ),
        pytest.param(
            {"HostPort": 80},
            7,
            "containerPort: is missing; it must be a whole number",
            id="no container port",
        ),
        pytest.param(
            asked(80, 0),
            7,
            "containerPort: must be a whole number from 1 to 65535, not 0",
            id="container port 0",
        ),
        pytest.param(
            asked(Protocol="icmp"), 2, "Protocol: 'icmp' is none of tcp, udp, sctp", id="icmp"
        ),
    ],
)
def test_a_runtime_s_mapping_is_refused_with_its_place(
    mapping: object, code: int, complaint: str
) -> None:
    assert refusal_of(runtime(asked(1), mapping)) == (
        code,
        f"runtimeConfig.portMappings[1].{complaint}",
    )


def test_the_same_mapping_said_twice_is_one() -> None:
    document = runtime(asked(), asked(protocol="TCP", hostIP=""), asked(81))

    assert parse_mappings(document).mappings == (tcp(8080, 80), tcp(81, 80))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("", "", id="all addresses twice"),
        pytest.param("192.0.2.1", "192.0.2.1", id="one address twice"),
        pytest.param("192.0.2.1", "::ffff:192.0.2.1", id="one address in two spellings"),
        pytest.param("", "0.0.0.0", id="all and those of IPv4"),
        pytest.param("::", "", id="those of IPv6 and all"),
    ],
)
def test_a_port_leads_to_one_place(one: str, other: str) -> None:
    path = "runtimeConfig.portMappings"

    assert refusal_of(runtime(asked(hostIP=one), asked(8080, 81, hostIP=other))) == (
        7,
        f"{path}[1]: tcp port 8080 is mapped by {path}[0]",
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("192.0.2.1", "192.0.2.2", id="two addresses"),
        pytest.param("192.0.2.1", "", id="one and all of them"),
        pytest.param("0.0.0.0", "::", id="the two families"),
    ],
)
def test_a_port_may_lead_elsewhere_by_its_address(one: str, other: str) -> None:
    document = runtime(asked(hostIP=one), asked(8080, 81, hostIP=other))

    assert parse_mappings(document).mappings == (
        tcp(8080, 80).but(host_address=one),
        tcp(8080, 81).but(host_address=other),
    )


def test_the_same_port_for_all_addresses_and_for_those_of_a_family_are_two_mappings() -> None:
    document = runtime(asked(), asked(hostIP="0.0.0.0"))

    assert parse_mappings(document).mappings == (
        tcp(8080, 80),
        tcp(8080, 80).but(host_address="0.0.0.0"),
    )


def test_both_sources_may_say_the_same_in_any_order() -> None:
    document = {**runtime(asked(1), asked(2)), **mesos((2, 80), (1, 80))}

    assert parse_mappings(document) == Wanted(mappings=(tcp(1, 80), tcp(2, 80)), by_mesos=False)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({**runtime(asked(1)), **mesos((2, 80))}, id="another port"),
        pytest.param({**runtime(asked(1)), **mesos((1, 81))}, id="another target"),
        pytest.param({**runtime(asked(1)), **mesos((1, 80), (2, 80))}, id="one more"),
        pytest.param({**runtime(asked(1, hostIP="192.0.2.1")), **mesos((1, 80))}, id="an address"),
    ],
)
def test_sources_that_contradict_each_other_are_refused(document: dict[str, Any]) -> None:
    assert refusal_of(document) == (
        7,
        f"runtimeConfig.portMappings: differ from {MESOS_PATH}; give one of them",
    )


@pytest.mark.parametrize(
    ("document", "by_mesos"),
    [
        pytest.param({**runtime(), **mesos((8080, 80))}, True, id="a runtime's are none"),
        pytest.param({**runtime(asked()), **mesos()}, False, id="Mesos' are none"),
    ],
)
def test_an_empty_source_contradicts_nothing(document: dict[str, Any], by_mesos: bool) -> None:
    assert parse_mappings(document) == Wanted(mappings=(tcp(8080, 80),), by_mesos=by_mesos)


def test_a_source_that_is_wrong_is_refused_also_where_the_other_counts() -> None:
    assert refusal_of({**runtime(asked()), **mesos((0, 80))}) == (
        7,
        f"{MESOS_PATH}[0].host_port: must be a whole number from 1 to 65535, not 0",
    )


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"runtimeConfig": {"portMappings": []}}, id="a runtime's empty list"),
        pytest.param({"runtimeConfig": {"PortMappings": None}}, id="a runtime's null"),
        pytest.param({"runtimeConfig": {"mac": "x"}}, id="a runtime with other capabilities"),
        pytest.param({"runtimeConfig": None}, id="a runtimeConfig that is null"),
    ],
)
def test_there_are_no_mappings_with(document: dict[str, Any]) -> None:
    assert parse_mappings(document) == Wanted(mappings=(), by_mesos=False)


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        pytest.param(
            {"runtimeConfig": []},
            "runtimeConfig: must be an object, not an array",
            id="runtimeConfig",
        ),
        pytest.param(
            {"runtimeConfig": {"PortMappings": "80"}},
            "runtimeConfig.PortMappings: must be an array, not '80'",
            id="portMappings, as it was spelt",
        ),
    ],
)
def test_what_holds_mappings_is_of_the_wrong_type(document: dict[str, Any], complaint: str) -> None:
    assert refusal_of(document) == (7, complaint)
