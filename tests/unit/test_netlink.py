"""Netlink messages as bytes, and a conversation's deadline."""

import errno
import socket
import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos_cni_port_mapper.linux import netlink
from mesos_cni_port_mapper.linux.netlink import (
    DUMP,
    NESTED,
    Netlink,
    decode_attributes,
    decode_messages,
    encode_attribute,
    encode_message,
    encode_route_request,
)

KINDS = st.integers(1, 0x3FFF)


@pytest.mark.parametrize(
    ("value", "filling"), [(b"", 0), (b"a", 3), (b"ab", 2), (b"abc", 1), (b"abcd", 0)]
)
def test_an_attribute_ends_where_the_next_may_begin(value: bytes, filling: int) -> None:
    expected = struct.pack("=HH", 4 + len(value), 7) + value + bytes(filling)

    assert encode_attribute(7, value) == expected


def test_a_message_carries_its_length_and_says_it_is_a_request() -> None:
    message = encode_message(26, DUMP, 5, b"body")

    assert message == struct.pack("=IHHII4s", 20, 26, 0x301, 5, 0, b"body")


def test_a_request_for_a_route_is_about_one_address() -> None:
    address = socket.inet_aton("192.0.2.1")
    header = struct.pack("=BBBBBBBBI", socket.AF_INET, 32, 0, 0, 0, 0, 0, 0, 0)

    assert encode_route_request(4, address) == header + struct.pack("=HH4s", 8, 1, address)

    address = socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    header = struct.pack("=BBBBBBBBI", socket.AF_INET6, 128, 0, 0, 0, 0, 0, 0, 0)

    assert encode_route_request(6, address) == header + struct.pack("=HH16s", 20, 1, address)


@given(st.dictionaries(KINDS, st.binary(max_size=9)))
def test_attributes_are_read_back(attributes: dict[int, bytes]) -> None:
    data = b"".join([encode_attribute(kind, value) for kind, value in attributes.items()])

    assert decode_attributes(data) == attributes


def test_what_holds_attributes_is_read_under_its_plain_number() -> None:
    assert decode_attributes(encode_attribute(3 | NESTED, b"abcd")) == {3: b"abcd"}


@given(st.lists(st.tuples(KINDS, st.integers(0, 2**32 - 1), st.binary(max_size=40))))
def test_messages_are_read_back(messages: list[tuple[int, int, bytes]]) -> None:
    whole = [encode_message(kind, 0, number, body) for kind, number, body in messages]
    data = b"".join([each + bytes(-len(each) % 4) for each in whole])

    assert decode_messages(data) == messages


@given(st.binary(max_size=60))
def test_noise_is_read_to_an_end(data: bytes) -> None:
    decode_messages(data)
    decode_attributes(data)


def test_a_deadline_that_is_over_ends_a_conversation() -> None:
    with Netlink(netlink.ROUTE, 0) as talk, pytest.raises(TimeoutError) as failure:
        list(talk.ask(26, encode_route_request(4, bytes(4))))

    assert failure.value.errno == errno.ETIMEDOUT


def test_a_kernel_that_does_not_answer_is_not_waited_for_beyond_the_deadline() -> None:
    with Netlink(netlink.ROUTE, 0.1) as talk:
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            talk._receive()

    assert 0.1 <= time.monotonic() - begun < 2


def test_what_the_kernel_says_is_raised() -> None:
    with Netlink(netlink.ROUTE) as talk, pytest.raises(OSError, match="not supported") as failure:
        list(talk.ask(0x3FF0, b"\0\0\0\0"))

    assert failure.value.errno == errno.EOPNOTSUPP


def test_a_part_that_the_kernel_lacks_is_an_error_at_once() -> None:
    with pytest.raises(OSError, match="not supported"):
        Netlink(31)


def test_the_socket_is_closed_afterwards() -> None:
    with Netlink(netlink.ROUTE) as talk:
        pass

    assert talk._socket.fileno() == -1


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(OSError, match="illegal IP address"):
        netlink.route_interface("nonsense")


def test_a_kernel_without_ipv6_has_no_address_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert socket.inet_aton("127.0.0.1") in netlink.local_addresses(4)
    # DECnet's number: any kernel of today lacks that family, and shows its others instead.
    monkeypatch.setitem(netlink.INET, 6, 12)

    assert netlink.local_addresses(6) == set()
