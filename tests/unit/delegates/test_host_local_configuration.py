"""host-local's configuration: which ranges it makes, and every way in which it can be wrong."""

from typing import Any

import pytest

from delegates.host_local.allocation import Range
from delegates.host_local.configuration import Configuration, parse_configuration, parse_place
from mesos_cni_port_mapper.cni.address import number_of, text_of
from tests.unit.delegates.ipam_requests import refusal, request

SUBNET = "192.0.2.0/24"


def shown(parsed: Range) -> str:
    return f"{parsed} /{parsed.prefix} via {text_of(*parsed.gateway)}"


def ranges_of(ipam: dict[str, Any], **top: Any) -> list[list[str]]:
    return [[shown(item) for item in ranges] for ranges in parse(ipam, **top).sets]


def parse(ipam: dict[str, Any], **top: Any) -> Configuration:
    return parse_configuration(request(ipam, **top))


@pytest.mark.parametrize(
    ("ipam", "expected"),
    [
        ({"subnet": SUBNET}, "192.0.2.1-192.0.2.254 /24 via 192.0.2.1"),
        ({"subnet": "192.0.2.4/30"}, "192.0.2.5-192.0.2.6 /30 via 192.0.2.5"),
        ({"subnet": "0.0.0.0/0"}, "0.0.0.1-255.255.255.254 /0 via 0.0.0.1"),
        ({"subnet": "FD00:0:0::/120"}, "fd00::1-fd00::ff /120 via fd00::1"),
        ({"subnet": SUBNET, "gateway": "192.0.2.9"}, "192.0.2.1-192.0.2.254 /24 via 192.0.2.9"),
        ({"subnet": SUBNET, "gateway": "10.0.0.1"}, "192.0.2.1-192.0.2.254 /24 via 10.0.0.1"),
        ({"subnet": SUBNET, "gateway": ""}, "192.0.2.1-192.0.2.254 /24 via 192.0.2.1"),
        (
            {"subnet": SUBNET, "rangeStart": "192.0.2.0", "rangeEnd": "192.0.2.255"},
            "192.0.2.0-192.0.2.255 /24 via 192.0.2.1",
        ),
        (
            {"subnet": SUBNET, "rangeStart": "192.0.2.7", "rangeEnd": "192.0.2.7"},
            "192.0.2.7-192.0.2.7 /24 via 192.0.2.1",
        ),
        (
            {"subnet": SUBNET, "rangeStart": None, "rangeEnd": "", "gateway": None, "ranges": None},
            "192.0.2.1-192.0.2.254 /24 via 192.0.2.1",
        ),
    ],
)
def test_a_subnet_is_a_range(ipam: dict[str, Any], expected: str) -> None:
    assert ranges_of(ipam) == [[expected]]


def test_the_runtimes_ranges_come_first_and_then_the_subnet() -> None:
    ipam = {
        "subnet": "10.1.0.0/24",
        "ranges": [[{"subnet": "10.2.0.0/24"}, {"subnet": "10.3.0.0/24"}]],
    }

    sets = ranges_of(ipam, runtimeConfig={"ipRanges": [[{"subnet": "10.4.0.0/24"}]]})

    assert [[item.split("-")[0] for item in ranges] for ranges in sets] == [
        ["10.4.0.1"],
        ["10.1.0.1"],
        ["10.2.0.1", "10.3.0.1"],
    ]


def test_ranges_of_one_subnet_may_be_in_several_sets() -> None:
    low = {"subnet": SUBNET, "rangeEnd": "192.0.2.99"}
    high = {"subnet": SUBNET, "rangeStart": "192.0.2.100"}

    assert len(parse({"ranges": [[low], [high]]}).sets) == 2
    assert len(parse({"ranges": [[high, low]]}).sets) == 1


@pytest.mark.parametrize(
    ("ipam", "complaint"),
    [
        ({}, "ipam.ranges: is missing, and so is subnet"),
        ({"ranges": []}, "ipam.ranges: is missing, and so is subnet"),
        ({"ranges": 5}, "ipam.ranges: must be an array"),
        ({"ranges": [{"subnet": SUBNET}]}, "ipam.ranges[0]: must be an array of ranges"),
        ({"ranges": [[]]}, "ipam.ranges[0]: is an empty set"),
        ({"ranges": [[5]]}, "ipam.ranges[0][0]: must be an object"),
        ({"ranges": [[{}]]}, "ipam.ranges[0][0].subnet: is missing"),
        ({"subnet": ""}, "ipam.subnet: '' is no address with a prefix"),
        ({"subnet": "192.0.2.0"}, "ipam.subnet: '192.0.2.0' is no address with a prefix"),
        ({"subnet": "::ffff:192.0.2.0/120"}, "ipam.subnet: '::ffff:192.0.2.0/120' is an IPv4"),
        ({"subnet": "192.0.2.7/24"}, "ipam.subnet: 192.0.2.7/24 has bits beyond its prefix; the "),
        ({"subnet": "192.0.2.0/31"}, "ipam.subnet: 192.0.2.0/31 is too small"),
        ({"subnet": "fd00::/127"}, "ipam.subnet: fd00::/127 is too small"),
        ({"subnet": SUBNET, "gateway": "x"}, "ipam.gateway: 'x' is no address"),
        ({"subnet": SUBNET, "gateway": 1}, "ipam.gateway: must be a string"),
        ({"subnet": SUBNET, "rangeStart": "x"}, "ipam.rangeStart: 'x' is no address"),
        (
            {"subnet": SUBNET, "rangeStart": "10.0.0.1"},
            "ipam.rangeStart: 10.0.0.1 is not in 192.0.2",
        ),
        ({"subnet": SUBNET, "rangeStart": "::1"}, "ipam.rangeStart: ::1 is not in 192.0.2.0/24"),
        (
            {"subnet": SUBNET, "rangeEnd": "10.0.0.1"},
            "ipam.rangeEnd: 10.0.0.1 is not in 192.0.2.0/",
        ),
        ({"subnet": SUBNET, "rangeStart": "192.0.2.255"}, "ipam.rangeStart: is behind the range's"),
        (
            {"subnet": SUBNET, "rangeStart": "192.0.2.9", "rangeEnd": "192.0.2.8"},
            "ipam.rangeStart: is behind the range's end 192.0.2.8",
        ),
        (
            {"ranges": [[{"subnet": SUBNET}, {"subnet": "fd00::/64"}]]},
            "ipam.ranges[0][1]: is of IPv6",
        ),
        ({"ranges": [[{"subnet": SUBNET}] * 2]}, "ipam.ranges[0][1]: overlaps with another range"),
        ({"ranges": [[{"subnet": SUBNET}]] * 2}, "ipam.ranges[1]: overlaps with ipam.ranges[0]"),
        (
            {"subnet": SUBNET, "ranges": [[{"subnet": SUBNET, "rangeStart": "192.0.2.254"}]]},
            "ipam.ranges[0]: overlaps with ipam.subnet",
        ),
        ({"subnet": SUBNET, "routes": 5}, "ipam.routes: must be an array"),
        ({"subnet": SUBNET, "resolvConf": 5}, "ipam.resolvConf: must be a string"),
    ],
)
def test_what_is_wrong_is_refused_with_its_path(ipam: dict[str, Any], complaint: str) -> None:
    code, message = refusal(lambda: parse(ipam))

    assert (code, message[: len(complaint)]) == (7, complaint)


def test_the_runtimes_ranges_are_checked_too() -> None:
    overlapping = {"ipRanges": [[{"subnet": SUBNET}]]}

    assert refusal(lambda: parse({"subnet": SUBNET}, runtimeConfig=overlapping)) == (
        7,
        "ipam.subnet: overlaps with runtimeConfig.ipRanges[0]",
    )


def test_two_sets_of_a_family_need_a_version_that_can_say_so() -> None:
    ipam = {"ranges": [[{"subnet": SUBNET}], [{"subnet": "10.0.0.0/24"}]]}

    assert len(parse(ipam, version="0.3.0").sets) == 2
    assert refusal(lambda: parse(ipam, version="0.2.0"))[0] == 7


def test_every_source_of_requested_addresses_counts() -> None:
    top = {
        "args": {"cni": {"ips": ["192.0.2.8/24", "fd00::8"]}},
        "runtimeConfig": {"ips": ["192.0.2.7", "::ffff:192.0.2.9"]},
    }

    requested = parse({"subnet": SUBNET}, cni_args="IP=192.0.2.7/8", **top).requested

    assert [text_of(*address) for address in requested] == [
        "192.0.2.7",
        "192.0.2.8",
        "fd00::8",
        "192.0.2.7",
        "192.0.2.9",
    ]


@pytest.mark.parametrize(
    ("top", "code", "message"),
    [
        ({"cni_args": "IP=x"}, 4, "CNI_ARGS: IP: 'x' is no address"),
        ({"cni_args": "FOO=1"}, 4, "CNI_ARGS: 'FOO' is unknown, IgnoreUnknown not set"),
        ({"runtimeConfig": {"ips": [""]}}, 7, "runtimeConfig.ips: '' is no address"),
        ({"runtimeConfig": {"ips": [5]}}, 7, "runtimeConfig.ips[0]: must be a string, not 5"),
    ],
)
def test_a_requested_address_that_is_none_is_refused(
    top: dict[str, Any], code: int, message: str
) -> None:
    assert refusal(lambda: parse({"subnet": SUBNET}, **top)) == (code, message)


def test_a_gateway_is_canonical_too() -> None:
    (ranges,) = parse({"subnet": SUBNET, "gateway": "::ffff:192.0.2.9"}).sets

    assert ranges[0].gateway == number_of("192.0.2.9")


def test_addresses_are_kept_below_the_networks_name() -> None:
    assert parse_place(request({})).directory == "/var/lib/cni/networks/net"
    assert parse_place(request({"dataDir": ""})).directory == "/var/lib/cni/networks/net"
    assert parse_place(request({"dataDir": "/a"})).directory == "/a/net"


def test_the_lock_has_a_deadline_that_can_be_set() -> None:
    assert parse_place(request({})).lock_seconds == 15
    assert parse_place(request({"timeouts": {"lock": 0.5}})).lock_seconds == 0.5
    assert refusal(lambda: parse_place(request({"timeouts": {"lock": 0}})))[0] == 7


def test_giving_back_needs_no_ranges() -> None:
    assert parse_place(request({"subnet": "junk", "dataDir": "/a"})).directory == "/a/net"
    assert refusal(lambda: parse_place(request(None)))[0] == 7
