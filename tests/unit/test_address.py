"""Addresses as text and as numbers; `ipaddress` is the measure."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos_cni_port_mapper.cni.address import family_of, number_of, split_prefix, text_of

MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


@pytest.mark.parametrize(
    ("text", "family"),
    [("192.0.2.1", 4), ("2001:db8::1", 6), ("::", 6), ("192.0.2", 0), ("", 0), ("a\0b", 0)],
)
def test_an_address_has_a_family_and_other_text_has_none(text: str, family: int) -> None:
    assert family_of(text) == family


@given(st.ip_addresses())
def test_an_address_is_the_number_that_it_is(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if address in MAPPED:
        return
    assert number_of(str(address)) == (address.version, int(address))
    assert number_of(address.exploded) == (address.version, int(address))


@given(st.ip_addresses())
def test_a_number_is_spelled_in_one_way(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if address in MAPPED:
        return
    assert text_of(address.version, int(address)) == str(address)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "::"), (1, "::1"), (0xFFFF, "::ffff"), (0x10000, "::1:0"), (0x1020304, "::102:304")],
)
def test_a_small_number_has_no_dots(number: int, text: str) -> None:
    assert text_of(6, number) == text
    assert number_of(text) == (6, number)


def test_an_ipv4_address_may_be_spelled_as_one_of_ipv6() -> None:
    assert number_of("::ffff:192.0.2.1") == number_of("192.0.2.1")


@pytest.mark.parametrize(
    "text", ["", "192.0.2", "192.0.2.1/24", "192.0.2.01", "fe80::1%eth0", " ::"]
)
def test_what_is_no_address_has_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        number_of(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("192.0.2.1/0", ("192.0.2.1", 0)),
        ("192.0.2.1/32", ("192.0.2.1", 32)),
        ("::/128", ("::", 128)),
    ],
)
def test_an_address_is_split_from_its_prefix(text: str, parts: tuple[str, int]) -> None:
    assert split_prefix(text) == parts


@pytest.mark.parametrize(
    "text", ["192.0.2.1", "192.0.2.1/", "192.0.2.1/33", "::/129", "a/1", "::/-1"]
)
def test_what_has_no_prefix_is_not_split(text: str) -> None:
    with pytest.raises(ValueError, match="no address with a prefix"):
        split_prefix(text)
