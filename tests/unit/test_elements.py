"""What the sets and maps of a table should hold: whole contents, compared as values."""

from typing import Any

import pytest

from mesos_cni_port_mapper.portmap.attachment import Attachment
from mesos_cni_port_mapper.portmap.elements import (
    LONGEST_COMMENT,
    Content,
    Element,
    chain_of,
    identity_of,
    mask_of,
    plan_contents,
    prefix_of,
)
from mesos_cni_port_mapper.portmap.plan import Wish
from tests.unit.plans import DUAL
from tests.unit.wishes import attachment, mapping, tag, wish

ME = identity_of(attachment())
CHAIN = chain_of(ME)


def element(container: str, key: str, value: str = "") -> Element:
    return Element(container=container, key=key, value=value)


def own(container: str, key: str) -> Element:
    return Element(container=f"{container}-owners", key=key, value=ME, comment=tag())


def content_of(asked: Wish, family: int = 4) -> Content:
    (found,) = [each for each in plan_contents(asked) if each.family == family]
    assert found.identity == ME
    return found


def elements_of(asked: Wish, family: int = 4) -> tuple[Element, ...]:
    found = content_of(asked, family)
    assert found.rules == ()
    return found.elements


def test_a_port_is_an_element_and_an_owner() -> None:
    assert elements_of(wish("web-1", mapping(8080))) == (
        element("any", "tcp . 8080", "192.0.2.2 . 80"),
        own("any", "tcp . 8080"),
    )


def test_a_port_of_one_address_is_apart_from_those_of_all() -> None:
    asked = wish(
        "web-1", mapping(53, 53, "udp", "198.51.100.1"), mapping(53, 5353, "udp"), addresses=DUAL
    )

    assert elements_of(asked) == (
        element("one", "198.51.100.1 . udp . 53", "192.0.2.2 . 53"),
        own("one", "198.51.100.1 . udp . 53"),
        element("any", "udp . 53", "192.0.2.2 . 5353"),
        own("any", "udp . 53"),
    )
    assert elements_of(asked, 6) == (
        element("any", "udp . 53", "2001:db8::2 . 5353"),
        own("any", "udp . 53"),
    )


@pytest.mark.parametrize(
    ("address", "families"),
    [("", [4, 6]), ("0.0.0.0", [4]), ("::", [6]), ("198.51.100.1", [4]), ("2001:db8::1", [6])],
)
def test_each_family_has_what_is_for_it(address: str, families: list[int]) -> None:
    asked = wish("web-1", mapping(8080, host_address=address), addresses=DUAL)

    assert [content.family for content in plan_contents(asked)] == families


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(wish("web-1", snat=True, localhost=True), id="no mappings"),
        pytest.param(wish("web-1", mapping(8080), addresses=()), id="no address"),
        pytest.param(wish("web-1", mapping(8080, host_address="::")), id="no such address"),
    ],
)
def test_nothing_is_planned_for(asked: Wish) -> None:
    assert plan_contents(asked) == ()


def test_a_run_that_is_not_shifted_is_one_interval() -> None:
    run = [mapping(port, port, "sctp") for port in (8000, 8001, 8002)]

    assert elements_of(wish("web-1", *run)) == (
        element("any-runs", "sctp . 8000-8002", "192.0.2.2"),
        own("any-runs", "sctp . 8000-8002"),
    )


def test_a_run_that_is_shifted_is_an_element_a_port() -> None:
    run = [mapping(port, port + 1000, host_address="2001:db8::1") for port in (8000, 8001)]

    assert elements_of(wish("web-1", *run, addresses=DUAL), 6) == (
        element("one", "2001:db8::1 . tcp . 8000", "2001:db8::2 . 9000"),
        own("one", "2001:db8::1 . tcp . 8000"),
        element("one", "2001:db8::1 . tcp . 8001", "2001:db8::2 . 9001"),
        own("one", "2001:db8::1 . tcp . 8001"),
    )


def test_devices_are_excluded_port_by_port_and_run_by_run() -> None:
    asked = wish(
        "web-1", mapping(80), mapping(8000, 8000), mapping(8001, 8001), devices=("cni0", "1.2")
    )

    assert [each.key for each in elements_of(asked) if each.container == "any-excluded"] == [
        "cni0 . tcp . 80",
        "1.2 . tcp . 80",
    ]
    assert [each.key for each in elements_of(asked) if each.container == "any-excluded-runs"] == [
        "cni0 . tcp . 8000-8001",
        "1.2 . tcp . 8000-8001",
    ]


def test_ports_of_loopback_are_owned_where_those_of_all_addresses_are() -> None:
    asked = wish("web-1", mapping(8080), devices=("cni0",), addresses=DUAL, localhost=True)
    found = content_of(asked)

    assert found.parts == ("hidden8", "guard")
    assert found.elements == (
        element("local", "tcp . 8080", "192.0.2.2 . 80"),
        element("any", "tcp . 8080", "192.0.2.2 . 80"),
        own("any", "tcp . 8080"),
        element("any-excluded", "cni0 . tcp . 8080"),
        element("hidden8", "127.0.0.0 . 192.0.2.2"),
        own("hidden8", "127.0.0.0 . 192.0.2.2"),
    )
    assert content_of(asked, 6).parts == ()


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({}, []),
        ({"snat": True}, ["hidden24 192.0.2.0 . 192.0.2.2"]),
        ({"masquerade_all": True}, ["hidden0 0.0.0.0 . 192.0.2.2"]),
        ({"masquerade_all": True, "localhost": True}, ["hidden0 0.0.0.0 . 192.0.2.2"]),
        (
            {"snat": True, "localhost": True},
            ["hidden24 192.0.2.0 . 192.0.2.2", "hidden8 127.0.0.0 . 192.0.2.2"],
        ),
    ],
)
def test_networks_are_hidden(options: dict[str, Any], keys: list[str]) -> None:
    found = content_of(wish("web-1", mapping(8080), **options))

    hidden = [each for each in found.elements if each.container.startswith("hidden")]
    assert [f"{each.container} {each.key}" for each in hidden if not each.value] == keys
    assert [each.value for each in hidden if each.value] == [ME] * len(keys)
    assert set(found.parts) - {"guard"} == {key.partition(" ")[0] for key in keys}


def test_a_network_of_ipv6_is_hidden() -> None:
    found = content_of(wish("web-1", mapping(80), addresses=DUAL, snat=True), 6)

    assert found.elements[-1].key == "2001:db8:: . 2001:db8::2"
    assert found.parts == ("hidden64",)


def test_what_needs_rules_is_led_to_a_chain_of_its_own() -> None:
    asked = wish(
        "web-1",
        mapping(8080),
        mapping(9000, 9000, "udp"),
        mapping(9001, 9001, "udp"),
        devices=("br+", "cni0"),
    )
    found = content_of(asked)

    assert found.elements == (
        element("any-odd", "tcp . 8080", f"jump {CHAIN}"),
        own("any", "tcp . 8080"),
        element("any-odd", "udp . 9000", f"jump {CHAIN}"),
        own("any", "udp . 9000"),
        element("any-odd", "udp . 9001", f"jump {CHAIN}"),
        own("any", "udp . 9001"),
    )
    assert found.rules == (
        'tcp dport 8080 iifname "br*" return',
        'tcp dport 8080 iifname "cni0" return',
        "tcp dport 8080 dnat to 192.0.2.2:80",
        'udp dport 9000-9001 iifname "br*" return',
        'udp dport 9000-9001 iifname "cni0" return',
        "udp dport 9000-9001 dnat to 192.0.2.2",
    )


def test_conditions_are_in_the_rules_of_their_family() -> None:
    asked = wish(
        "web-1",
        mapping(7000, 7100, host_address="2001:db8::1"),
        mapping(7001, 7101, host_address="2001:db8::1"),
        mapping(8080),
        addresses=DUAL,
        conditions_v6=("ip6", "saddr", "2001:db8:9::/48"),
    )
    address = "ip6 daddr 2001:db8::1 tcp dport 7000-7001"
    condition = "ip6 saddr 2001:db8:9::/48"

    assert content_of(asked).rules == ()
    assert content_of(asked, 6).rules == (
        f"{address} {condition} dnat ip6 to tcp dport map "
        "{ 7000 : 2001:db8::2 . 7100, 7001 : 2001:db8::2 . 7101 }",
        f"tcp dport 8080 {condition} dnat to [2001:db8::2]:80",
    )


def test_a_mark_is_set_on_what_is_hidden_before_it_is_forwarded() -> None:
    mark = "meta mark set meta mark | 0x2000"

    assert content_of(wish("web-1", mapping(80), snat=True, mark=0x2000)).rules == (
        f"tcp dport 80 ip saddr 192.0.2.0/24 {mark}",
        "tcp dport 80 dnat to 192.0.2.2:80",
    )
    assert content_of(wish("web-1", mapping(80), masquerade_all=True, mark=0x2000)).rules == (
        f"tcp dport 80 {mark}",
        "tcp dport 80 dnat to 192.0.2.2:80",
    )


def test_rules_of_loopback_come_first_and_are_for_loopback_alone() -> None:
    asked = wish(
        "web-1",
        mapping(8080),
        mapping(8080, 81, host_address="127.0.0.1"),
        devices=("cni0",),
        localhost=True,
        mark=0x2000,
    )
    mark = "ip saddr 127.0.0.0/8 meta mark set meta mark | 0x2000"

    assert content_of(asked).rules == (
        f"ip daddr 127.0.0.1 tcp dport 8080 {mark}",
        "ip daddr 127.0.0.1 tcp dport 8080 dnat to 192.0.2.2:81",
        f"ip daddr 127.0.0.0/8 tcp dport 8080 {mark}",
        "ip daddr 127.0.0.0/8 tcp dport 8080 dnat to 192.0.2.2:80",
        'tcp dport 8080 iifname "cni0" return',
        "tcp dport 8080 dnat to 192.0.2.2:80",
    )


@pytest.mark.parametrize("devices", [(), ("cni0",), ("br+",)])
@pytest.mark.parametrize("mark", [0, 1])
def test_what_is_of_loopback_has_the_keys_by_which_it_is_owned(
    devices: tuple[str, ...], mark: int
) -> None:
    run = [mapping(port, port) for port in (1, 2, 3)]
    found = content_of(wish("web-1", *run, devices=devices, localhost=True, mark=mark))
    keys = {each.key for each in found.elements if each.container.startswith("local")}

    assert keys
    assert keys == {
        each.key
        for each in found.elements
        if each.container.startswith("any") and each.container.endswith("-owners")
    }


def test_an_identity_stands_for_one_attachment() -> None:
    others = [
        attachment("web-10"),
        attachment().but(ifname="eth1"),
        attachment().but(network="net2"),
    ]

    assert len({ME, *map(identity_of, others)}) == 4
    assert identity_of(attachment()) == ME
    assert f"at-{ME.replace(':', '-')}" == CHAIN


def test_a_comment_is_no_longer_than_nft_takes() -> None:
    longest = Attachment(network="n" * 200, container_id="c" * 200, ifname="i" * 15)
    asked = wish("web-1", mapping(80), snat=True).but(attachment=longest)
    (found,) = plan_contents(asked)

    comments = {each.comment for each in found.elements if each.comment}
    assert len(comments) == 1
    assert max(len(comment) for comment in comments) <= LONGEST_COMMENT
    assert len(chain_of(found.identity)) < 64


@pytest.mark.parametrize(
    ("family", "part", "prefix", "mask"),
    [
        (4, "hidden24", 24, "255.255.255.0"),
        (4, "hidden0", 0, "0.0.0.0"),
        (4, "hidden32", 32, "255.255.255.255"),
        (6, "hidden64", 64, "ffff:ffff:ffff:ffff::"),
        (6, "hidden128", 128, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ],
)
def test_a_part_is_for_one_prefix_length(family: int, part: str, prefix: int, mask: str) -> None:
    assert prefix_of(part) == prefix
    assert mask_of(family, prefix) == mask
