"""Port mappings as Mesos words them, and every way of getting one wrong."""

from typing import Any

import pytest

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.portmap.inputs import Wanted, parse_mappings
from mesos_cni_port_mapper.portmap.mapping import PortMapping

PATH = 'args["org.apache.mesos"].network_info.port_mappings'


def netconf(*mappings: object) -> dict[str, Any]:
    return {"args": {"org.apache.mesos": {"network_info": {"port_mappings": list(mappings)}}}}


def wanted(host_port: object = 8080, container_port: object = 80, **more: object) -> dict[str, Any]:
    return {"host_port": host_port, "container_port": container_port, **more}


def tcp(host_port: int, container_port: int) -> PortMapping:
    return PortMapping(protocol="tcp", host_port=host_port, container_port=container_port)


def test_mappings_are_read_in_their_order() -> None:
    document = netconf(wanted(8080, 80), wanted(1, 65535, protocol="udp"))

    assert parse_mappings(document) == Wanted(
        mappings=(
            tcp(8080, 80),
            PortMapping(protocol="udp", host_port=1, container_port=65535),
        ),
        by_mesos=True,
    )


@pytest.mark.parametrize(
    ("protocol", "meant"),
    [
        ("tcp", "tcp"),
        ("TCP", "tcp"),
        ("Udp", "udp"),
        ("SCTP", "sctp"),
        (None, "tcp"),
    ],
)
def test_a_protocol_is_read_in_any_case(protocol: str | None, meant: str) -> None:
    (mapping,) = parse_mappings(netconf(wanted(protocol=protocol))).mappings

    assert mapping.protocol == meant


def test_a_port_may_be_mapped_once_for_each_protocol() -> None:
    document = netconf(*[wanted(protocol=protocol) for protocol in ("tcp", "udp", "sctp")])

    protocols = [item.protocol for item in parse_mappings(document).mappings]
    assert protocols == ["tcp", "udp", "sctp"]


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({}, id="no args"),
        pytest.param({"args": None}, id="args that are null"),
        pytest.param({"args": {"cni": {}}}, id="args of somebody else"),
        pytest.param({"args": {"org.apache.mesos": {}}}, id="no network_info"),
        pytest.param({"args": {"org.apache.mesos": {"network_info": {}}}}, id="no mappings"),
        pytest.param(netconf(), id="an empty list"),
    ],
)
def test_there_are_no_mappings_with(document: dict[str, Any]) -> None:
    assert parse_mappings(document) == Wanted(mappings=(), by_mesos=False)


HOST_PORT = "[0].host_port: must be a whole number from 1 to 65535, not "
CONTAINER_PORT = "[0].container_port: must be a whole number from 1 to 65535, not "


@pytest.mark.parametrize(
    ("mapping", "code", "complaint"),
    [
        pytest.param(wanted(0), 7, f"{HOST_PORT}0", id="host port 0"),
        pytest.param(wanted(65536), 7, f"{HOST_PORT}65536", id="host port 65536"),
        pytest.param(wanted(-1), 7, f"{HOST_PORT}-1", id="host port -1"),
        pytest.param(wanted(80.5), 7, f"{HOST_PORT}80.5", id="host port 80.5"),
        pytest.param(wanted(80.0), 7, f"{HOST_PORT}80.0", id="host port 80.0"),
        pytest.param(wanted("80"), 7, f"{HOST_PORT}'80'", id="a host port in a string"),
        pytest.param(wanted(True), 7, f"{HOST_PORT}true", id="host port true"),
        pytest.param(wanted([80]), 7, f"{HOST_PORT}an array", id="host ports in an array"),
        pytest.param(wanted({}), 7, f"{HOST_PORT}an object", id="a host port that is an object"),
        pytest.param(
            {"container_port": 80},
            7,
            "[0].host_port: is missing; it must be a whole number",
            id="no host port",
        ),
        pytest.param(
            wanted(None),
            7,
            "[0].host_port: is missing; it must be a whole number",
            id="host port null",
        ),
        pytest.param(wanted(80, 0), 7, f"{CONTAINER_PORT}0", id="container port 0"),
        pytest.param(wanted(80, 65536), 7, f"{CONTAINER_PORT}65536", id="container port 65536"),
        pytest.param(wanted(80, "80"), 7, f"{CONTAINER_PORT}'80'", id="a container port in quotes"),
        pytest.param(
            {"host_port": 80},
            7,
            "[0].container_port: is missing; it must be a whole number",
            id="no container port",
        ),
        pytest.param(
            wanted(protocol="icmp"),
            2,
            "[0].protocol: 'icmp' is none of tcp, udp, sctp",
            id="an unknown protocol",
        ),
        pytest.param(
            wanted(protocol=""),
            2,
            "[0].protocol: '' is none of tcp, udp, sctp",
            id="an empty protocol",
        ),
        pytest.param(
            wanted(protocol="tcp --dport 1"),
            2,
            "[0].protocol: 'tcp --dport 1' is none of tcp, udp, sctp",
            id="a protocol with options",
        ),
        pytest.param(
            wanted(protocol=6), 7, "[0].protocol: must be a string, not 6", id="protocol 6"
        ),
        pytest.param("8080:80", 7, "[0]: must be an object, not '8080:80'", id="a string"),
        pytest.param(None, 7, "[0]: must be an object, not null", id="null"),
        pytest.param([8080, 80], 7, "[0]: must be an object, not an array", id="an array"),
    ],
)
def test_a_mapping_is_refused(mapping: object, code: int, complaint: str) -> None:
    with pytest.raises(CniError) as refusal:
        parse_mappings(netconf(mapping))

    assert (refusal.value.code, str(refusal.value)) == (code, f"{PATH}{complaint}")


def test_the_mapping_that_is_wrong_is_named_by_its_place() -> None:
    with pytest.raises(CniError) as refusal:
        parse_mappings(netconf(wanted(1), wanted(2), wanted(0)))

    assert str(refusal.value) == f"{PATH}[2]{HOST_PORT.removeprefix('[0]')}0"


def test_a_port_that_is_mapped_twice_names_both_places() -> None:
    with pytest.raises(CniError) as refusal:
        parse_mappings(netconf(wanted(8080, 80), wanted(1), wanted(8080, 81, protocol="TCP")))

    assert (refusal.value.code, str(refusal.value)) == (
        7,
        f"{PATH}[2]: tcp port 8080 is mapped by {PATH}[0]",
    )


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        pytest.param({"args": []}, "args: must be an object, not an array", id="args"),
        pytest.param(
            {"args": {"org.apache.mesos": "x"}},
            "args[\"org.apache.mesos\"]: must be an object, not 'x'",
            id="Mesos' own",
        ),
        pytest.param(
            {"args": {"org.apache.mesos": {"network_info": 1}}},
            'args["org.apache.mesos"].network_info: must be an object, not 1',
            id="network_info",
        ),
        pytest.param(
            {"args": {"org.apache.mesos": {"network_info": {"port_mappings": {}}}}},
            f"{PATH}: must be an array, not an object",
            id="port_mappings",
        ),
    ],
)
def test_a_container_of_mappings_is_of_the_wrong_type(
    document: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(CniError) as refusal:
        parse_mappings(document)

    assert (refusal.value.code, str(refusal.value)) == (7, complaint)
