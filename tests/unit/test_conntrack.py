"""What is asked of the kernel to have it forget entries, and which entries are meant."""

import socket
import struct
from typing import Any

import pytest

from mesos_cni_port_mapper.linux.netlink import decode_attributes
from mesos_cni_port_mapper.netfilter.conntrack import (
    ORIGINAL,
    REPLY,
    Flush,
    encode_deletion,
    encode_selection,
    is_target,
    plan_requests,
    plan_targets,
)

NESTED = 0x8000
HOST, CLIENT, CONTAINER = "192.0.2.1", "192.0.2.2", "10.0.0.2"
OWN = {4: {socket.inet_aton(each) for each in ("127.0.0.1", HOST)}, 6: set[bytes]()}
DELETE = 0x102


def packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def tuple_of(protocol: int, source: str, sport: int, destination: str, dport: int) -> bytes:
    """Return one direction of an entry, as the kernel writes it."""
    first = 3 if ":" in source else 1
    addresses = attribute(first, packed(source)) + attribute(first + 1, packed(destination))
    ports = attribute(2, struct.pack(">H", sport)) + attribute(3, struct.pack(">H", dport))
    return attribute(1 | NESTED, addresses) + attribute(
        2 | NESTED, attribute(1, bytes((protocol,))) + ports
    )


def entry(
    destination: str = HOST, port: int = 53, protocol: int = 17, answers: str = CONTAINER
) -> dict[int, bytes]:
    """Return the attributes of a mapped flow from a client; the container answers from 1053."""
    client = "2001:db8::2" if ":" in destination else CLIENT
    return {
        ORIGINAL: tuple_of(protocol, client, 40000, destination, port),
        REPLY: tuple_of(protocol, answers, 1053, client, 40000),
        12: b"\1\2\3\4",
        7: b"\0\0\0\x1e",
    }


def flush(**fields: Any) -> Flush:
    return Flush(**{"family": 4, "protocol": "udp", "direction": ORIGINAL, "port": 53, **fields})


def targets(*flushes: Flush) -> dict[tuple[int, int], set[bytes]]:
    (found,) = plan_targets(flushes, OWN).values()
    return found


def test_a_selection_by_original_destination_is_what_the_kernel_reads() -> None:
    ip = attribute(1 | NESTED, attribute(2, packed(HOST)))
    proto = attribute(2 | NESTED, attribute(1, b"\x11") + attribute(3, b"\x00\x35"))
    flags = struct.pack("=I", 1 << 1 | 1 << 3 | 1 << 5)

    assert encode_selection(4, "udp", ORIGINAL, 53, packed(HOST)) == (
        bytes((socket.AF_INET, 0, 0, 0))
        + attribute(1 | NESTED, ip + proto)
        + attribute(25 | NESTED, attribute(1, flags))
    )


def test_a_selection_by_who_answers_is_what_the_kernel_reads() -> None:
    ip = attribute(1 | NESTED, attribute(3, packed("fd00::2")))
    proto = attribute(2 | NESTED, attribute(1, b"\x06") + attribute(2, b"\x1f\x90"))
    flags = struct.pack("=I", 1 << 0 | 1 << 3 | 1 << 4)

    assert encode_selection(6, "tcp", REPLY, 8080, packed("fd00::2")) == (
        bytes((socket.AF_INET6, 0, 0, 0))
        + attribute(2 | NESTED, ip + proto)
        + attribute(25 | NESTED, attribute(2, flags))
    )


def test_a_selection_of_a_whole_protocol_compares_nothing_else() -> None:
    proto = attribute(2 | NESTED, attribute(1, bytes((132,))))

    assert encode_selection(4, "sctp") == (
        bytes((socket.AF_INET, 0, 0, 0))
        + attribute(1 | NESTED, proto)
        + attribute(25 | NESTED, attribute(1, struct.pack("=I", 1 << 3)))
    )


@pytest.mark.parametrize("direction", [ORIGINAL, REPLY])
@pytest.mark.parametrize("port", [0, 53])
def test_no_request_to_delete_has_a_whole_tuple(direction: int, port: int) -> None:
    # A kernel that does not know the filter would take a whole one for an entry's name, and none
    # at all for everything.
    ((kind, body),) = plan_requests(4, "udp", {(direction, port): {packed(HOST)}}, 1)

    assert kind == DELETE
    asked = decode_attributes(body[4:])
    assert set(asked) == {direction, 25}
    assert len(decode_attributes(decode_attributes(asked[direction])[1])) == 1


def test_a_deletion_names_an_entry_by_tuple_zone_and_number() -> None:
    found = {**entry(), 18: b"\0\7"}

    assert encode_deletion(4, found) == (
        bytes((socket.AF_INET, 0, 0, 0))
        + attribute(1 | NESTED, found[ORIGINAL])
        + attribute(18, b"\0\7")
        + attribute(12, b"\1\2\3\4")
    )
    assert encode_deletion(6, entry("2001:db8::1", answers="fd00::2")).startswith(
        bytes((socket.AF_INET6, 0, 0, 0))
    )


def test_flushes_are_grouped_and_no_address_means_every_own_one() -> None:
    planned = plan_targets(
        [
            flush(address=HOST),
            flush(),
            flush(port=54, count=2, address=HOST),
            flush(direction=REPLY, port=0, address=CONTAINER),
            flush(protocol="tcp", address=HOST),
            flush(family=6, address="2001:db8::1"),
        ],
        OWN,
    )

    assert planned == {
        (4, "udp"): {
            (ORIGINAL, 53): OWN[4],
            (ORIGINAL, 54): {packed(HOST)},
            (ORIGINAL, 55): {packed(HOST)},
            (REPLY, 0): {packed(CONTAINER)},
        },
        (4, "tcp"): {(ORIGINAL, 53): {packed(HOST)}},
        (6, "udp"): {(ORIGINAL, 53): {packed("2001:db8::1")}},
    }


def test_a_host_without_addresses_of_a_family_has_nothing_to_forget() -> None:
    assert plan_targets([flush(family=6)], OWN) == {}


@pytest.mark.parametrize(
    "dangerous", [flush(port=0, address=HOST), flush(direction=REPLY, port=1053)]
)
def test_what_would_mean_everybodys_entries_is_refused(dangerous: Flush) -> None:
    with pytest.raises(ValueError, match="too little"):
        plan_targets([dangerous], OWN)


def test_a_few_targets_are_a_request_each() -> None:
    found = targets(flush(), flush(direction=REPLY, port=0, address=CONTAINER))

    assert plan_requests(4, "udp", found, 1000) == [
        (DELETE, encode_selection(4, "udp", ORIGINAL, 53, packed("127.0.0.1"))),
        (DELETE, encode_selection(4, "udp", ORIGINAL, 53, packed(HOST))),
        (DELETE, encode_selection(4, "udp", REPLY, 0, packed(CONTAINER))),
    ]


@pytest.mark.parametrize(("family", "protocol"), [(6, "udp"), (6, "tcp"), (4, "sctp")])
def test_what_the_kernel_would_compare_wrongly_is_not_asked_of_it(
    family: int, protocol: str
) -> None:
    found = {(ORIGINAL, 53): {bytes(16 if family == 6 else 4)}}

    assert plan_requests(family, protocol, found, 1) == []


def test_many_targets_are_left_to_a_dump() -> None:
    run = targets(flush(count=1000))

    assert plan_requests(4, "udp", run, 1000) == []
    assert len(plan_requests(4, "udp", run, 1)) == 2000


def test_one_request_is_cheaper_than_a_dump_however_full_the_table() -> None:
    assert plan_requests(4, "udp", targets(flush(address=HOST)), 250_000)
    assert not plan_requests(4, "udp", targets(flush()), 250_000)
    # Who answers cannot be told to the kernel in a dump, so all entries would be read.
    by_answer = targets(flush(direction=REPLY, port=0, address=CONTAINER), flush())
    assert plan_requests(4, "udp", by_answer, 250_000)


@pytest.mark.parametrize(
    ("wanted", "found", "expected"),
    [
        (flush(address=HOST), entry(), True),
        (flush(), entry(), True),
        (flush(port=50, count=4), entry(), True),
        (flush(address=HOST), entry("192.0.2.9"), False),
        (flush(), entry("192.0.2.9"), False),
        (flush(), entry(port=54), False),
        (flush(), entry(protocol=6), False),
        (flush(protocol="tcp"), entry(protocol=6), True),
        (flush(protocol="sctp"), entry(protocol=132), True),
        (flush(protocol="sctp"), entry(protocol=132, port=54), False),
        (flush(direction=REPLY, port=0, address=CONTAINER), entry("192.0.2.9", 99), True),
        (flush(direction=REPLY, port=1053, address=CONTAINER), entry("192.0.2.9", 99), True),
        (flush(direction=REPLY, port=53, address=CONTAINER), entry(), False),
        (flush(direction=REPLY, port=0, address=HOST), entry(), False),
        (flush(address=CONTAINER, port=1053), entry(), False),
        (
            flush(family=6, address="2001:db8::1"),
            entry("2001:db8::1", answers="fd00::2"),
            True,
        ),
        (
            flush(family=6, address="2001:db8::1"),
            entry("2001:db8::3", answers="2001:db8::1"),
            False,
        ),
        (
            flush(family=6, direction=REPLY, port=0, address="fd00::2"),
            entry("2001:db8::1", answers="fd00::2"),
            True,
        ),
    ],
)
def test_an_entry_is_meant_or_not(wanted: Flush, found: dict[int, bytes], expected: bool) -> None:
    assert is_target(wanted.family, wanted.protocol, targets(wanted), found) is expected


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="no address"):
        plan_targets([flush(address="nonsense")], OWN)
