"""Elements as bytes: what fits whole registers, and what is left to nft(8)."""

import socket

import pytest

from mesos_cni_port_mapper.portmap.elements import Element, plan_contents
from mesos_cni_port_mapper.portmap.registers import PackedElement, pack_elements
from tests.unit.wishes import mapping, wish

V6 = "2001:db8::1"


@pytest.mark.parametrize(
    ("key", "value", "packed_key", "packed_value"),
    [
        (
            "tcp . 8080",
            "192.0.2.1 . 80",
            b"\x06\0\0\0\x1f\x90\0\0",
            b"\xc0\0\x02\x01\0\x50\0\0",
        ),
        ("udp . 53", V6, b"\x11\0\0\0\0\x35\0\0", socket.inet_pton(socket.AF_INET6, V6)),
        ("sctp . 1", "", b"\x84\0\0\0\0\x01\0\0", b""),
        (
            "198.51.100.1 . tcp . 65535",
            "192.0.2.1 . 1",
            b"\xc6\x33\x64\x01\x06\0\0\0\xff\xff\0\0",
            b"\xc0\0\x02\x01\0\x01\0\0",
        ),
    ],
    ids=str,
)
def test_parts_fill_whole_registers(
    key: str, value: str, packed_key: bytes, packed_value: bytes
) -> None:
    element = Element(container="any", key=key, value=value, comment="whose")

    assert pack_elements([element]) == [
        PackedElement(container="any", key=packed_key, value=packed_value)
    ]


def test_every_element_of_plain_ports_can_be_packed() -> None:
    asked = wish(
        "web", mapping(1), mapping(5, host_address="198.51.100.1"), snat=True, localhost=True
    )
    (content,) = plan_contents(asked)

    packed = pack_elements(content.elements)

    assert [each.container for each in packed] == [each.container for each in content.elements]
    assert {"any", "any-owners", "one", "one-owners", "local"} <= {
        each.container for each in packed
    }


@pytest.mark.parametrize("container", ["any-runs", "one-runs-owners", "any-odd", "any-excluded"])
def test_what_is_no_plain_port_is_not_packed_nor_what_is_with_it(container: str) -> None:
    plain = Element(container="any", key="tcp . 80", value="192.0.2.1 . 80")
    other = Element(container=container, key="whatever it is")

    assert pack_elements([plain, other]) == []
