"""Fields that every plugin which gives addresses has: routes, name servers, requested addresses."""

from typing import Any

import pytest

from delegates.ipam_fields import parse_dns, parse_routes, refuse_too_many, requested_addresses
from mesos_cni_port_mapper.cni.fields import Section
from tests.unit.delegates.ipam_requests import refusal, request


def routes(*given: object, version: str = "1.0.0") -> list[dict[str, Any]]:
    return parse_routes(Section({"routes": list(given)}, "ipam"), version)


def test_routes_are_spelled_in_one_way() -> None:
    given = {"dst": "FD00:0::/8", "gw": "FE80:0::1"}, {"dst": "10.0.0.7/8", "gw": ""}

    assert routes(*given) == [{"dst": "fd00::/8", "gw": "fe80::1"}, {"dst": "10.0.0.7/8"}]


def test_the_newest_version_says_more_of_a_route() -> None:
    given = {"dst": "::/0", "mtu": 1400, "priority": 5, "table": 0, "unknown": 1}

    assert routes(given, version="1.1.0") == [
        {"dst": "::/0", "mtu": 1400, "priority": 5, "table": 0}
    ]
    assert routes(given) == [{"dst": "::/0"}]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (5, "ipam.routes[0]: must be an object, not 5"),
        ({"gw": "::1"}, "ipam.routes[0].dst: is missing; it must be a string"),
        ({"dst": "::1"}, "ipam.routes[0].dst: '::1' is no address with a prefix length"),
        ({"dst": "::ffff:1.2.3.4/120"}, "ipam.routes[0].dst: '::ffff:1.2.3.4/120' is an IPv4"),
        ({"dst": "::/0", "gw": "x"}, "ipam.routes[0].gw: 'x' is no address"),
    ],
)
def test_a_route_that_is_none_is_refused(given: object, complaint: str) -> None:
    code, message = refusal(lambda: routes(given))

    assert (code, message[: len(complaint)]) == (7, complaint)


def test_name_servers_are_passed_on_without_what_is_empty() -> None:
    given = {
        "nameservers": ["192.0.2.53"],
        "domain": "",
        "search": [],
        "options": ["ndots:2"],
        "x": 1,
    }

    assert parse_dns(Section(given)) == {"nameservers": ["192.0.2.53"], "options": ["ndots:2"]}
    assert parse_dns(Section({"domain": "a.b"})) == {"domain": "a.b"}


def test_what_the_runtime_asks_for_comes_last() -> None:
    netconf = {"args": {"cni": {"ips": ["a"]}}, "runtimeConfig": {"ips": ["b", "c"]}}

    assert requested_addresses(Section(netconf)) == [
        ("args.cni.ips", ("a",)),
        ("runtimeConfig.ips", ("b", "c")),
    ]
    assert [texts for _, texts in requested_addresses(Section({}))] == [(), ()]


def test_old_results_have_room_for_one_address_of_a_family() -> None:
    refuse_too_many(request({}, version="0.2.0"), [4, 6])
    refuse_too_many(request({}, version="0.3.0"), [4, 4])

    code, message = refusal(lambda: refuse_too_many(request({}, version="0.2.0"), [4, 6, 6]))
    assert (code, "cniVersion 0.2.0" in message) == (7, True)
