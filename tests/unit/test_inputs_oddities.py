"""What is legal in the mappings a runtime sends, and worth a line because it is hardly meant."""

from typing import Any

import pytest

from mesos_cni_port_mapper.portmap.inputs import find_oddities
from tests.unit.test_inputs import asked, mesos, runtime


@pytest.mark.parametrize(
    ("document", "oddity"),
    [
        pytest.param(
            runtime(asked(), asked(81, host_ip="192.0.2.1"), asked(82, host_ip="192.0.2.1")),
            "runtimeConfig.portMappings[1]: 'host_ip' is ignored; a mapping has hostPort, "
            "containerPort, protocol, hostIP",
            id="a field that no runtime has",
        ),
        pytest.param(
            {"runtimeConfig": {"PortMappings": [asked(**{"Range\n": 5})]}},
            "runtimeConfig.PortMappings[0]: 'Range\\n' is ignored; a mapping has hostPort, "
            "containerPort, protocol, hostIP",
            id="a field with a line break",
        ),
        pytest.param(
            {"capabilities": {"ips": True}, "runtimeConfig": {"ips": ["192.0.2.2"]}},
            'capabilities: without "portMappings": true no runtime passes any',
            id="another capability alone",
        ),
        pytest.param(
            {"capabilities": {"portmappings": True}},
            'capabilities: without "portMappings": true no runtime passes any',
            id="the capability misspelt",
        ),
        pytest.param(
            {"capabilities": {}, "args": {"cni": {}}},
            'capabilities: without "portMappings": true no runtime passes any',
            id="no capability of those there are",
        ),
    ],
)
def test_what_is_hardly_meant_is_told(document: dict[str, Any], oddity: str) -> None:
    assert find_oddities(document) == (oddity,)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({}, id="a runtime that keeps capabilities to itself"),
        pytest.param({"capabilities": {"portMappings": True}}, id="a container without ports"),
        pytest.param({"capabilities": {"portMappings": False}}, id="an operator who wants none"),
        pytest.param({"capabilities": ["portMappings"]}, id="what only a runtime reads"),
        pytest.param({"capabilities": {"ips": True}, **runtime(asked())}, id="passed all the same"),
        pytest.param({"capabilities": {"ips": True}, **runtime()}, id="a runtime's empty list"),
        pytest.param({"capabilities": {"ips": True}, **mesos((80, 80))}, id="Mesos"),
        pytest.param({"capabilities": {"ips": True}, **mesos()}, id="Mesos, without ports"),
        pytest.param(
            runtime({"HOSTPORT": 1, "containerport": 2, "Protocol": "tcp", "hostIp": ""}),
            id="any letter case",
        ),
        pytest.param(runtime(asked(range=None)), id="a null"),
    ],
)
def test_there_is_nothing_odd_about(document: dict[str, Any]) -> None:
    assert find_oddities(document) == ()
