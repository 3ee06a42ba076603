"""static: whose addresses count, and what CHECK holds against a result."""

from typing import Any

import pytest

from delegates.static import Static
from tests.unit.delegates.ipam_requests import refusal, request

ADDRESS = {"address": "192.0.2.5/24", "gateway": "192.0.2.1"}
IPAM = {"addresses": [ADDRESS, {"address": "FD00:0::5/64"}]}
CONFIGURED = [ADDRESS, {"address": "fd00::5/64"}]


def ips(ipam: object = IPAM, **top: Any) -> list[dict[str, str]]:
    found: list[dict[str, str]] = Static().add(request(ipam, **top)).get("ips", [])
    return found


def test_configured_addresses_are_answered() -> None:
    ipam = {**IPAM, "routes": [{"dst": "0.0.0.0/0"}], "dns": {"nameservers": ["192.0.2.53"]}}

    assert Static().add(request(ipam)) == {
        "cniVersion": "1.0.0",
        "ips": CONFIGURED,
        "routes": [{"dst": "0.0.0.0/0"}],
        "dns": {"nameservers": ["192.0.2.53"]},
    }


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
def test_every_version_is_answered_in_its_shape(version: str) -> None:
    answer = Static().add(request(IPAM, version=version))

    assert answer["cniVersion"] == version
    if version < "0.3.0":
        assert answer["ip4"] == {"ip": "192.0.2.5/24", "gateway": "192.0.2.1"}
    else:
        assert answer["ips"][1]["address"] == "fd00::5/64"


def test_no_address_is_an_answer_where_the_version_has_room_for_it() -> None:
    assert Static().add(request({})) == {"cniVersion": "1.0.0", "dns": {}}
    assert refusal(lambda: Static().add(request({}, version="0.2.0")))[0] == 7


def test_arguments_add_addresses_to_those_configured() -> None:
    assert ips(cni_args="IP=192.0.2.7/24") == [*CONFIGURED, {"address": "192.0.2.7/24"}]
    assert ips({}, cni_args="IP=192.0.2.7/24, fd00::7/64") == [
        {"address": "192.0.2.7/24"},
        {"address": "fd00::7/64"},
    ]


def test_gateways_of_arguments_go_to_the_arguments_addresses_in_whose_subnet_they_are() -> None:
    args = "IP=192.0.2.7/24,fd00::7/64,10.0.0.7/30;GATEWAY=fd00::1,192.0.2.9,192.0.2.8,10.0.0.8"

    assert ips({"addresses": [{"address": "192.0.2.5/24"}]}, cni_args=args) == [
        {"address": "192.0.2.5/24"},
        {"address": "192.0.2.7/24", "gateway": "192.0.2.8"},
        {"address": "fd00::7/64", "gateway": "fd00::1"},
        {"address": "10.0.0.7/30"},
    ]


def test_a_gateway_of_the_other_family_is_in_no_subnet() -> None:
    assert ips({}, cni_args="IP=192.0.2.7/0;GATEWAY=::1") == [{"address": "192.0.2.7/0"}]


def test_what_the_runtime_asks_for_replaces_all_else() -> None:
    conventional = {"cni": {"ips": ["192.0.2.8/24", "192.0.2.9/24"]}}
    capability = {"ips": ["fd00::9/64"]}
    args = "IP=192.0.2.7/24"

    assert ips(cni_args=args, args=conventional) == [
        {"address": "192.0.2.8/24"},
        {"address": "192.0.2.9/24"},
    ]
    assert ips(cni_args=args, args=conventional, runtimeConfig=capability) == [
        {"address": "fd00::9/64"}
    ]
    assert ips(args={"cni": {"ips": []}}, runtimeConfig={"ips": []}) == CONFIGURED


def test_addresses_that_do_not_count_may_be_wrong() -> None:
    assert ips({"addresses": [{}]}, runtimeConfig={"ips": ["::1/64"]}) == [{"address": "::1/64"}]


@pytest.mark.parametrize(
    ("ipam", "top", "code", "complaint"),
    [
        (None, {}, 7, "ipam: is missing"),
        ({"addresses": {}}, {}, 7, "ipam.addresses: must be an array"),
        ({"addresses": [None]}, {}, 7, "ipam.addresses[0]: must be an object"),
        ({"addresses": [{}]}, {}, 7, "ipam.addresses[0].address: is missing"),
        (
            {"addresses": [{"address": "::1"}]},
            {},
            7,
            "ipam.addresses[0].address: '::1' is no address",
        ),
        (
            {"addresses": [{"address": "::1/64", "gateway": "x"}]},
            {},
            7,
            "ipam.addresses[0].gateway: 'x' is no address",
        ),
        ({"routes": [{}]}, {}, 7, "ipam.routes[0].dst: is missing"),
        ({"dns": {"nameservers": "::1"}}, {}, 7, "ipam.dns.nameservers: must be an array"),
        ({}, {"cni_args": "IP=192.0.2.7"}, 4, "CNI_ARGS: IP: '192.0.2.7' is no address with"),
        ({}, {"cni_args": "IP=::1/64,"}, 4, "CNI_ARGS: IP: '' is no address with"),
        ({}, {"cni_args": "GATEWAY=x"}, 4, "CNI_ARGS: GATEWAY: 'x' is no address"),
        ({}, {"cni_args": "MAC=x"}, 4, "CNI_ARGS: 'MAC' is unknown"),
        ({}, {"runtimeConfig": {"ips": ["::1"]}}, 7, "runtimeConfig.ips: '::1' is no address with"),
        ({}, {"args": {"cni": {"ips": ["::1"]}}}, 7, "args.cni.ips: '::1' is no address with"),
        (
            {"addresses": [ADDRESS, ADDRESS]},
            {"version": "0.2.0"},
            7,
            "ipam: more than one address of a family",
        ),
    ],
)
def test_what_is_wrong_is_refused_with_its_path(
    ipam: object, top: dict[str, Any], code: int, complaint: str
) -> None:
    told, message = refusal(lambda: ips(ipam, **top))

    assert (told, message[: len(complaint)]) == (code, complaint)


def test_there_is_nothing_to_give_back() -> None:
    Static().delete(request({"addresses": "junk"}))


def check(*given: dict[str, str]) -> None:
    previous = {"cniVersion": "1.0.0", "ips": list(given)}
    Static().check(request(IPAM, prevResult=previous))


def test_check_finds_every_address_in_the_previous_result() -> None:
    check({"address": "10.0.0.1/8"}, *CONFIGURED)


def test_a_gateway_may_have_been_put_in_where_none_was_chosen() -> None:
    check(CONFIGURED[0], {"address": "fd00::5/64", "gateway": "fd00::1"})


@pytest.mark.parametrize(
    "given",
    [
        [],
        [CONFIGURED[0]],
        [{"address": "192.0.2.5/24"}, CONFIGURED[1]],
        [{"address": "192.0.2.5/24", "gateway": "192.0.2.9"}, CONFIGURED[1]],
        [{"address": "192.0.2.5/16", "gateway": "192.0.2.1"}, CONFIGURED[1]],
    ],
)
def test_check_complains_about_an_address_that_was_not_given(given: list[dict[str, str]]) -> None:
    code, message = refusal(lambda: check(*given))

    assert code == 999
    assert message.startswith("eth0 was not given ")


def test_check_needs_the_previous_result() -> None:
    assert refusal(lambda: Static().check(request(IPAM)))[0] == 7
