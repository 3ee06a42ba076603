import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.isolator.network_info import (
    IpAddress,
    Label,
    NetworkInfo,
    PortMapping,
    assigned,
    encode_for_args,
    encode_for_state,
    parse_network_info,
)

FULL = NetworkInfo(
    name="net1",
    ip_addresses=(IpAddress("10.0.0.9"), IpAddress("fd00::9", "IPv6")),
    groups=("g",),
    labels=(Label("app", "web"), Label("alone")),
    port_mappings=(PortMapping(8080, 80, "udp"), PortMapping(1, 2)),
)


def test_the_form_for_plugins_is_mesos_own() -> None:
    assert json.dumps(encode_for_args(FULL), sort_keys=True, separators=(",", ":")) == (
        '{"groups":["g"],"ip_addresses":[{"ip_address":"10.0.0.9","protocol":"IPv4"},'
        '{"ip_address":"fd00::9","protocol":"IPv6"}],'
        '"labels":{"labels":[{"key":"app","value":"web"},{"key":"alone"}]},"name":"net1",'
        '"port_mappings":[{"container_port":80,"host_port":8080,"protocol":"udp"},'
        '{"container_port":2,"host_port":1}]}'
    )


def test_the_form_for_state_has_flat_labels() -> None:
    document = encode_for_state(FULL)

    assert document["labels"] == [{"key": "app", "value": "web"}, {"key": "alone"}]
    assert document | {"labels": 0} == encode_for_args(FULL) | {"labels": 0}


def test_absent_parts_are_omitted() -> None:
    assert encode_for_args(NetworkInfo()) == encode_for_state(NetworkInfo()) == {}
    assert encode_for_args(NetworkInfo("")) == {"name": ""}


_INFOS = st.builds(
    NetworkInfo,
    name=st.none() | st.text(),
    ip_addresses=st.lists(
        st.sampled_from([IpAddress("10.0.0.1"), IpAddress("::1", "IPv6"), IpAddress(None, "IPv6")])
    ).map(tuple),
    groups=st.lists(st.text()).map(tuple),
    labels=st.lists(st.builds(Label, st.text(), st.none() | st.text())).map(tuple),
    port_mappings=st.lists(
        st.builds(PortMapping, st.integers(0, 65535), st.integers(0, 65535), st.none() | st.text())
    ).map(tuple),
)


@given(_INFOS)
def test_what_is_written_for_plugins_can_be_read_again(info: NetworkInfo) -> None:
    assert parse_network_info(json.loads(json.dumps(encode_for_args(info))), "x") == info


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "name",
                        "labels",
                        "key",
                        "groups",
                        "ip_addresses",
                        "ip_address",
                        "protocol",
                        "port_mappings",
                        "host_port",
                        "container_port",
                    ]
                ),
                inner,
            )
        ),
    )
)
def test_anything_is_read_or_refused_with_the_path(document: Any) -> None:
    try:
        parse_network_info(document, "networks[0]")
    except CniError as error:
        assert error.msg.startswith("networks[0]")


def test_null_is_unset_and_unknown_is_ignored_and_a_number_may_be_a_string() -> None:
    document = {
        "name": None,
        "labels": None,
        "unknown": 1,
        "port_mappings": [{"host_port": "8080", "container_port": 80.0, "protocol": None}],
    }

    assert parse_network_info(document, "x") == NetworkInfo(port_mappings=(PortMapping(8080, 80),))


def test_an_address_tells_its_own_protocol() -> None:
    document = {"ip_addresses": [{"ip_address": "fd00::1"}, {"protocol": "IPv6"}, {}]}

    assert parse_network_info(document, "x").ip_addresses == (
        IpAddress("fd00::1", "IPv6"),
        IpAddress(None, "IPv6"),
        IpAddress(None, "IPv4"),
    )
    assert assigned("fd00::1") == IpAddress("fd00::1", "IPv6")


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ([], "n"),
        ({"name": 1}, "n.name"),
        ({"groups": "g"}, "n.groups"),
        ({"groups": [1]}, "n.groups[0]"),
        ({"labels": [{"key": "a"}]}, "n.labels"),
        ({"labels": {"labels": [{"value": "a"}]}}, "n.labels.labels[0].key"),
        ({"labels": {"labels": [1]}}, "n.labels.labels[0]"),
        ({"ip_addresses": [{"ip_address": "10.0.0.1/24"}]}, "n.ip_addresses[0].ip_address"),
        ({"ip_addresses": [{"protocol": "ipv4"}]}, "n.ip_addresses[0].protocol"),
        (
            {"ip_addresses": [{"ip_address": "::1", "protocol": "IPv4"}]},
            "n.ip_addresses[0].protocol",
        ),
        ({"port_mappings": {}}, "n.port_mappings"),
        ({"port_mappings": [{"host_port": 1}]}, "n.port_mappings[0].container_port"),
        ({"port_mappings": [{"container_port": 1}]}, "n.port_mappings[0].host_port"),
        (
            {"port_mappings": [{"host_port": 65536, "container_port": 1}]},
            "n.port_mappings[0].host_port",
        ),
        (
            {"port_mappings": [{"host_port": -1, "container_port": 1}]},
            "n.port_mappings[0].host_port",
        ),
        (
            {"port_mappings": [{"host_port": True, "container_port": 1}]},
            "n.port_mappings[0].host_port",
        ),
        (
            {"port_mappings": [{"host_port": 80.9, "container_port": 1}]},
            "n.port_mappings[0].host_port",
        ),
        (
            {"port_mappings": [{"host_port": 1, "container_port": 1, "protocol": 6}]},
            "n.port_mappings[0].protocol",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_field_is_named(document: Any, path: str) -> None:
    with pytest.raises(CniError) as failure:
        parse_network_info(document, "n")

    assert failure.value.msg.startswith(f"{path}: ")
