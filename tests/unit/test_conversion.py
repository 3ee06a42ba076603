"""Results of every version, told in every other."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos_cni_port_mapper.cni import version as versions
from mesos_cni_port_mapper.cni.conversion import convert
from mesos_cni_port_mapper.cni.result import MalformedResultError, Result, decode_result
from tests.unit.results import VERSIONS, told_in, without_interfaces

OLDEST = ("0.1.0", "0.2.0")


@pytest.mark.parametrize("wanted", VERSIONS)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_result_is_told_in_another_version(version: str, wanted: str) -> None:
    expected = told_in(wanted)
    if version in OLDEST:
        expected = without_interfaces(expected)

    assert convert(Result(version=version, document=told_in(version)), wanted) == expected


def test_fields_of_1_1_0_are_left_out_of_1_0_0() -> None:
    document = {
        "interfaces": [{"name": "eth0", "sandbox": "/n", "mtu": 1400, "pciID": "x"}],
        "ips": [{"address": "192.0.2.2/24", "interface": 0}],
        "routes": [{"dst": "0.0.0.0/0", "mtu": 1400, "priority": 1}],
    }

    assert convert(Result(version="1.1.0", document=document), "1.0.0") == {
        "cniVersion": "1.0.0",
        "interfaces": [{"name": "eth0", "sandbox": "/n"}],
        "ips": [{"address": "192.0.2.2/24", "interface": 0}],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dns": {},
    }


def test_the_oldest_shape_has_room_for_the_first_address_of_each_family() -> None:
    document = {
        "ips": [
            {"address": "192.0.2.2/24"},
            {"address": "192.0.2.3/24"},
            {"address": "2001:db8::2/64"},
            {"address": "2001:db8::3/64"},
        ]
    }

    assert convert(Result(version="1.0.0", document=document), "0.2.0") == {
        "cniVersion": "0.2.0",
        "ip4": {"ip": "192.0.2.2/24"},
        "ip6": {"ip": "2001:db8::2/64"},
        "dns": {},
    }


@pytest.mark.parametrize("wanted", OLDEST)
def test_a_result_without_an_address_cannot_be_told_in_the_oldest_shape(wanted: str) -> None:
    with pytest.raises(MalformedResultError, match="it holds no address"):
        convert(Result(version="1.0.0", document={"dns": {}}), wanted)


@pytest.mark.parametrize("wanted", ["0.3.1", "1.0.0", "1.1.0"])
def test_an_empty_result_stays_empty(wanted: str) -> None:
    assert convert(Result(version="0.2.0", document={}), wanted) == {
        "cniVersion": wanted,
        "dns": {},
    }


@pytest.mark.parametrize(
    ("version", "document", "wanted"),
    [
        pytest.param("0.2.0", {"ip4": {"ip": "1.2.3.4/8", "routes": [5]}}, "0.3.0", id="a route"),
        pytest.param("0.2.0", {"ip4": {"gateway": "1.2.3.4"}}, "1.0.0", id="a section without ip"),
        pytest.param("1.0.0", {"ips": [{"gateway": "1.2.3.4"}]}, "0.3.0", id="no address"),
        pytest.param("1.0.0", {"ips": [5]}, "0.3.0", id="a number among the addresses"),
        pytest.param("1.0.0", {"interfaces": 5}, "0.3.0", id="interfaces that are a number"),
        pytest.param("1.1.0", {"interfaces": [None]}, "1.0.0", id="null among the interfaces"),
        pytest.param(
            "1.0.0",
            {"ips": [{"address": "1.2.3.4/8"}], "routes": [{"dst": "everywhere"}]},
            "0.2.0",
            id="a route to nowhere",
        ),
        pytest.param(
            "1.0.0",
            {"ips": [{"address": "1.2.3.4/8"}], "routes": [{"dst": 5}]},
            "0.2.0",
            id="a number for a destination",
        ),
    ],
)
def test_a_result_of_the_wrong_shape_is_refused(
    version: str, document: dict[str, Any], wanted: str
) -> None:
    with pytest.raises(MalformedResultError):
        convert(Result(version=version, document=document), wanted)


ADDRESSES = st.one_of(
    st.ip_addresses(v=4).map(lambda ip: f"{ip}/24"),
    st.ip_addresses(v=6).map(lambda ip: f"{ip}/64"),
)
ROUTES = st.fixed_dictionaries({"dst": ADDRESSES}, optional={"gw": st.just("192.0.2.1")})
RESULTS = st.fixed_dictionaries(
    {"dns": st.fixed_dictionaries({}, optional={"domain": st.just("example")})},
    optional={
        "interfaces": st.lists(
            st.fixed_dictionaries(
                {"name": st.text(max_size=5)},
                optional={"mac": st.text(max_size=5), "sandbox": st.text(max_size=5)},
            ),
            min_size=1,
            max_size=3,
        ),
        "ips": st.lists(
            st.fixed_dictionaries(
                {"address": ADDRESSES},
                optional={"gateway": st.just("192.0.2.1"), "interface": st.integers(0, 3)},
            ),
            min_size=1,
            max_size=3,
        ),
        "routes": st.lists(ROUTES, min_size=1, max_size=3),
    },
)


@given(RESULTS, st.sampled_from(["0.3.0", "0.3.1", "0.4.0", "1.1.0"]))
def test_a_result_comes_back_unchanged_from_a_version_that_can_hold_it(
    body: dict[str, Any], through: str
) -> None:
    document = {"cniVersion": "1.0.0", **body}
    there = convert(Result(version="1.0.0", document=document), through)

    assert convert(Result(version=through, document=there), "1.0.0") == document


@given(RESULTS, st.sampled_from(VERSIONS), st.sampled_from(VERSIONS))
def test_whatever_a_conversion_returns_is_a_result_of_its_version(
    body: dict[str, Any], first: str, second: str
) -> None:
    result = Result(version="1.1.0", document=body)
    for version in (first, second):
        if not result.document.get("ips") and versions.shape(version) == "0.1.0":
            return
        document = convert(result, version)
        result = decode_result(document, "0.2.0")

        assert result == Result(version=version, document=document)
        if versions.shape(version) == "0.1.0":
            return
