"""Addresses: what is one, its one spelling, and the network it is in."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos_cni_port_mapper.cni.address import (
    canonical,
    family_of,
    network_of,
    number_of,
    split_prefix,
    text_of,
)

ADDRESSES = st.ip_addresses()


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("192.0.2.1", 4),
        ("::", 6),
        ("2001:DB8::1", 6),
        ("::ffff:192.0.2.1", 6),
        ("", 0),
        ("192.0.2", 0),
        ("192.0.2.01", 0),
        ("192.0.2.1/24", 0),
        ("fe80::1%lo", 0),
        ("a\0b", 0),
        ("localhost", 0),
    ],
)
def test_an_address_has_a_family(text: str, family: int) -> None:
    assert family_of(text) == family


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0:0:0::1", "2001:db8::1"),
        ("0:0:0:0:0:0:0:0", "::"),
        ("::1", "::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:C000:0201", "192.0.2.1"),
        ("::192.0.2.1", "::c000:201"),
        ("::1:0", "::1:0"),
        ("::ffff:ffff", "::ffff:ffff"),
        ("::1:0:0", "::1:0:0"),
        ("64:ff9b::192.0.2.1", "64:ff9b::c000:201"),
    ],
)
def test_an_address_has_one_spelling(text: str, spelt: str) -> None:
    assert canonical(text) == spelt


@pytest.mark.parametrize("text", ["", "x", "192.0.2.256", "192.0.2.1/32", "::g"])
def test_what_is_no_address_has_none(text: str) -> None:
    with pytest.raises(ValueError, match=f"^'{text}' is no address$"):
        canonical(text)


@given(ADDRESSES)
def test_an_address_is_a_number_and_back(address: ipaddress.IPv4Address) -> None:
    mapped = getattr(address, "ipv4_mapped", None) or address

    assert number_of(address.exploded) == (mapped.version, int(mapped))
    assert text_of(mapped.version, int(mapped)) == str(mapped)


@given(ADDRESSES, st.integers(0, 128))
def test_a_network_is_what_an_address_begins_with(
    address: ipaddress.IPv4Address, prefix: int
) -> None:
    prefix = min(prefix, address.max_prefixlen)
    if getattr(address, "ipv4_mapped", None) is None:
        network = ipaddress.ip_network((address, prefix), strict=False)

        assert network_of(str(address), prefix) == str(network)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("192.0.2.1/0", ("192.0.2.1", 0)),
        ("192.0.2.1/32", ("192.0.2.1", 32)),
        ("2001:db8::1/128", ("2001:db8::1", 128)),
    ],
)
def test_an_address_with_a_prefix_is_taken_apart(text: str, parts: tuple[str, int]) -> None:
    assert split_prefix(text) == parts


@pytest.mark.parametrize(
    "text", ["192.0.2.1", "192.0.2.1/", "192.0.2.1/33", "::/129", "::/-1", "/24", "::/٣", "::/ 1"]
)
def test_what_lacks_a_prefix_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no address with a prefix"):
        split_prefix(text)
