"""Results: what counts as one, which address is the container's, and what is passed on."""

from typing import Any

import pytest

from mesos_cni_port_mapper.cni.result import (
    MalformedResultError,
    Result,
    address_of,
    decode_result,
    encode_result,
)
from tests.unit.results import VERSIONS, told_in

BRIDGE = {"name": "cni0"}
CONTAINER = {"name": "eth0", "sandbox": "/run/netns/web-1"}
OTHER = {"name": "eth1", "sandbox": "/run/netns/web-1"}
ON_HOST = {"name": "eth0"}


def result_of(*ips: dict[str, Any], interfaces: object = None) -> Result:
    document: dict[str, Any] = {"cniVersion": "1.0.0", "ips": list(ips)}
    if interfaces is not None:
        document["interfaces"] = interfaces
    return decode_result(document, "1.0.0")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_result_has_the_version_it_names(version: str) -> None:
    document = told_in(version)

    assert decode_result(document, "0.2.0") == Result(version=version, document=document)


@pytest.mark.parametrize("named", [{}, {"cniVersion": ""}, {"cniVersion": None}], ids=str)
def test_a_result_without_a_version_has_the_assumed_one(named: dict[str, Any]) -> None:
    assert decode_result(named, "1.0.0") == Result(version="1.0.0", document=named)


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        pytest.param([], "it is not a JSON object", id="an array"),
        pytest.param(None, "it is not a JSON object", id="null"),
        pytest.param({"cniVersion": "2.0"}, "its cniVersion '2.0' is not supported", id="too new"),
        pytest.param({"cniVersion": 1}, "its cniVersion 1 is not supported", id="a number"),
        pytest.param({"cniVersion": ["1.0.0"]}, "is not supported", id="a version in an array"),
        pytest.param({"ips": {}}, "ips is not an array", id="ips that are no array"),
        pytest.param({"ips": ["192.0.2.2/24"]}, "not an object", id="an address on its own"),
        pytest.param({"ips": [{}]}, "address is missing", id="no address"),
        pytest.param({"ips": [{"address": 1}]}, "of the wrong type", id="a number for an address"),
        pytest.param(
            {"ips": [{"address": "192.0.2.2"}]},
            "'192.0.2.2' is no address with a prefix",
            id="no prefix",
        ),
        pytest.param({"ips": [{"address": "192.0.2.2/33"}]}, "no address", id="a long prefix"),
        pytest.param({"ips": [{"address": "192.0.2.2/-1"}]}, "no address", id="a negative prefix"),
        pytest.param({"ips": [{"address": "192.0.2.2/٣"}]}, "no address", id="an Arabic prefix"),
        pytest.param({"ips": [{"address": "192.0.2/24"}]}, "no address", id="a short address"),
        pytest.param({"ips": [{"address": "::1/129"}]}, "no address", id="a long IPv6 prefix"),
        pytest.param({"ips": [{"address": "1\0/8"}]}, "no address", id="a zero byte"),
        pytest.param({"interfaces": {}}, "interfaces is not an array", id="interfaces"),
        pytest.param({"interfaces": [{}, 5]}, r"interfaces\[1\] is not an", id="an interface"),
        pytest.param(
            {"cniVersion": "0.2.0", "ip4": "192.0.2.2/24"}, "not an object", id="ip4 as a string"
        ),
        pytest.param({"cniVersion": "0.2.0", "ip6": {}}, "ip is missing", id="ip6 without ip"),
    ],
)
def test_a_document_is_no_result(document: object, complaint: str) -> None:
    with pytest.raises(MalformedResultError, match=complaint):
        decode_result(document, "1.0.0")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("family", "address"), [(4, "192.0.2.2/24"), (6, "2001:db8::2/64")])
def test_the_address_is_found_in(version: str, family: int, address: str) -> None:
    assert address_of(decode_result(told_in(version), version), family, "eth0") == address


@pytest.mark.parametrize(
    ("interface", "counts"),
    [
        pytest.param({}, True, id="not named"),
        pytest.param({"interface": 1}, True, id="the container's"),
        pytest.param({"interface": 0}, False, id="the bridge's"),
        pytest.param({"interface": 2}, False, id="another of the container's"),
        pytest.param({"interface": 3}, False, id="of the same name on the host"),
        pytest.param({"interface": 4}, True, id="beyond the list"),
        pytest.param({"interface": -1}, True, id="negative"),
        pytest.param({"interface": "0"}, True, id="no number"),
        pytest.param({"interface": None}, True, id="null"),
    ],
)
def test_an_address_counts_by_its_interface(interface: dict[str, Any], counts: bool) -> None:
    result = result_of(
        {"address": "192.0.2.2/24", **interface},
        interfaces=[BRIDGE, CONTAINER, OTHER, ON_HOST],
    )

    assert address_of(result, 4, "eth0") == ("192.0.2.2/24" if counts else "")


def test_an_address_counts_where_no_interfaces_are_told() -> None:
    assert address_of(result_of({"address": "192.0.2.2/24", "interface": 0}), 4, "eth0") == (
        "192.0.2.2/24"
    )


def test_the_first_address_of_the_family_is_the_one() -> None:
    result = result_of(
        {"address": "2001:db8::2/64"},
        {"address": "192.0.2.2/24", "interface": 0},
        {"address": "192.0.2.3/24", "interface": 1},
        {"address": "192.0.2.4/24", "interface": 1},
        interfaces=[BRIDGE, CONTAINER],
    )

    assert address_of(result, 4, "eth0") == "192.0.2.3/24"


@pytest.mark.parametrize("family", [4, 6])
def test_a_result_without_addresses_has_none(family: int) -> None:
    assert address_of(result_of(), family, "eth0") == ""


@pytest.mark.parametrize("version", VERSIONS)
def test_a_result_in_the_version_wanted_is_passed_on_as_it_came(version: str) -> None:
    document = {**told_in(version), "vendor": {"x": 1}}
    result = Result(version=version, document=document)

    assert encode_result(result, version, declared=True) is document


@pytest.mark.parametrize(
    ("version", "wanted"),
    [("0.1.0", "0.2.0"), ("0.3.0", "0.4.0"), ("0.4.0", "0.3.1")],
)
def test_unknown_fields_survive_a_change_of_version_within_a_shape(
    version: str, wanted: str
) -> None:
    document = {**told_in(version), "vendor": {"x": 1}}

    assert encode_result(Result(version=version, document=document), wanted, declared=True) == {
        **document,
        "cniVersion": wanted,
    }


def test_a_result_without_a_version_is_given_the_declared_one() -> None:
    result = Result(version="0.2.0", document={"ip4": {"ip": "192.0.2.2/24"}})

    assert encode_result(result, "0.2.0", declared=True) == {
        "cniVersion": "0.2.0",
        "ip4": {"ip": "192.0.2.2/24"},
    }


def test_a_runtime_that_declares_no_version_is_not_told_one() -> None:
    document = {"ip4": {"ip": "192.0.2.2/24"}}

    assert encode_result(Result(version="0.2.0", document=document), "0.2.0", declared=False) == (
        document
    )


def test_another_shape_is_converted_for_a_runtime_that_declares_none() -> None:
    result = Result(version="1.0.0", document=told_in("1.0.0"))

    assert encode_result(result, "0.2.0", declared=False) == told_in("0.2.0")
