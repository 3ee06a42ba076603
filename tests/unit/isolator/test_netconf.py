import json
from typing import Any

import pytest

from mesos_cni_port_mapper.isolator.configurations import NetworkConfiguration, parse_configuration
from mesos_cni_port_mapper.isolator.netconf import (
    assigned_addresses,
    dns_of,
    encode,
    inject,
    parse_result,
    render_for_plugin,
    result_for_delete,
)
from mesos_cni_port_mapper.isolator.network_info import IpAddress, NetworkInfo, PortMapping

INFO = NetworkInfo("net", groups=("g",), port_mappings=(PortMapping(8080, 80, "UDP"),))
MINE = {
    "network_info": {
        "groups": ["g"],
        "name": "net",
        "port_mappings": [{"container_port": 80, "host_port": 8080, "protocol": "UDP"}],
    }
}


def configuration(**fields: Any) -> NetworkConfiguration:
    document = {"name": "net", **fields}
    return parse_configuration(json.dumps(document).encode(), checkpointed=True)


def test_the_request_is_added_to_args_and_nothing_else_is_changed() -> None:
    before = configuration(type="x", args={"other": 1}, capabilities={"bandwidth": True})

    injected = inject(before, INFO).document

    assert injected == {**before.document, "args": {"other": 1, "org.apache.mesos": MINE}}
    assert before.document["args"] == {"other": 1}
    nothing = inject(configuration(type="x", args=None), INFO)
    assert nothing.document["args"] == {"org.apache.mesos": MINE}


def test_a_plugin_that_declares_the_capability_gets_the_mappings_twice() -> None:
    injected = inject(
        configuration(type="x", capabilities={"portMappings": True}, runtimeConfig={"mac": "m"}),
        INFO,
    )

    assert injected.document["runtimeConfig"] == {
        "mac": "m",
        "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "udp"}],
    }
    refused = inject(configuration(type="x", capabilities={"portMappings": False}), INFO)
    assert "runtimeConfig" not in refused.document


@pytest.mark.parametrize(
    "fields", [{"type": "x"}, {"cniVersion": "1.0.0", "plugins": [{"type": "a"}, {"type": "b"}]}]
)
def test_what_detaching_will_read_is_what_is_attached_with(fields: dict[str, Any]) -> None:
    injected = inject(configuration(**fields), INFO)

    assert parse_configuration(encode(injected.document), checkpointed=True) == injected


def test_each_plugin_of_a_list_gets_its_part_with_the_lists_name_and_version() -> None:
    listed = configuration(cniVersion="1.0.0", plugins=[{"type": "a"}, {"type": "b", "x": 1}])
    injected = inject(listed, INFO)
    previous = parse_result(b'{"ips": [{"address": "10.0.0.1/8"}]}', "1.0.0")

    assert render_for_plugin(injected, 0, None) == {
        "type": "a",
        "args": {"org.apache.mesos": MINE},
        "name": "net",
        "cniVersion": "1.0.0",
    }
    assert render_for_plugin(injected, 1, previous) == {
        "type": "b",
        "x": 1,
        "args": {"org.apache.mesos": MINE},
        "name": "net",
        "cniVersion": "1.0.0",
        "prevResult": {"cniVersion": "1.0.0", "ips": [{"address": "10.0.0.1/8"}]},
    }


def test_a_plain_configuration_is_given_as_it_is() -> None:
    plain = configuration(type="x", unknown=[1])

    assert render_for_plugin(plain, 0, None) == plain.document


def test_json_is_compact_and_in_order() -> None:
    assert encode({"b": [1, "é"], "a": {}}) == b'{"a":{},"b":[1,"\\u00e9"]}'


MODERN = b'{"ips": [{"address": "10.0.0.2/8"}, {"address": "fd00::2/64"}]}'
OLD = b'{"ip4": {"ip": "10.0.0.2/8"}, "ip6": {"ip": "fd00::2/64"}}'


@pytest.mark.parametrize("version", ["", "0.1.0", "0.2.0", "0.3.0", "0.4.0", "1.0.0", "1.1.0"])
@pytest.mark.parametrize("data", [MODERN, OLD], ids=["modern", "old"])
def test_a_result_is_known_by_its_shape(data: bytes, version: str) -> None:
    assert assigned_addresses(parse_result(data, version), "eth0") == (
        IpAddress("10.0.0.2"),
        IpAddress("fd00::2", "IPv6"),
    )


def test_only_the_containers_own_interface_counts() -> None:
    document = {
        "cniVersion": "1.0.0",
        "interfaces": [{"name": "cni0"}, {"name": "eth0", "sandbox": "/ns"}, {"name": "eth0"}],
        "ips": [
            {"address": "10.0.0.1/8", "interface": 0},
            {"address": "10.0.0.2/8", "interface": 1},
            {"address": "10.0.0.3/8", "interface": 2},
            {"address": "10.0.0.4/8"},
        ],
        "dns": {"nameservers": []},
    }
    result = parse_result(json.dumps(document).encode(), "")

    assert [each.ip_address for each in assigned_addresses(result, "eth0")] == [
        "10.0.0.2",
        "10.0.0.4",
    ]
    assert dns_of(result) == {"nameservers": []}


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"cniVersion": "9"}', b'{"ips": 1}', b"null"])
def test_no_result_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        parse_result(data, "1.0.0")


@pytest.mark.parametrize(
    ("version", "info", "known"),
    [
        ("", MODERN, False),
        ("0.3.1", MODERN, False),
        ("0.4.0", MODERN, True),
        ("1.0.0", OLD, True),
        ("1.0.0", b"{", False),
        ("1.0.0", None, False),
        ("9.0.0", MODERN, False),
    ],
)
def test_del_gets_the_result_where_there_is_one_to_get(
    version: str, info: bytes | None, known: bool
) -> None:
    result = result_for_delete(configuration(type="x", cniVersion=version), info)

    assert (result is not None) == known
