"""Which programs of the host wait in vain on a forwarded port, and how they are told of."""

import os
import socket
from pathlib import Path

import pytest

from mesos_cni_port_mapper.linux import sockets
from mesos_cni_port_mapper.netfilter.listeners import (
    Listener,
    find_unreached,
    parse_sockets,
    render_notices,
)
from tests.unit.wishes import mapping, wish

HEAD = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt ... inode\n"
REST = (
    "00000000:00000000 00:00000000 00000000     0        0 {inode} 1 000000006c8bcb24 100 0 0 10 0"
)
DUAL = ("10.0.0.2/24", "fd00::2/64")


def line(local: str, state: str, inode: int = 7, remote: str = "00000000:0000") -> bytes:
    return f"   0: {local} {remote} {state} {REST.format(inode=inode)}\n".encode()


def found(protocol: str, *lines: bytes) -> list[tuple[str, int, int]]:
    """Return address, port and inode of what a table tells of."""
    listeners = parse_sockets(protocol, HEAD + b"".join(lines))
    assert {each.protocol for each in listeners} <= {protocol}
    return [(each.address, each.port, each.inode) for each in listeners]


def listener(address: str, port: int = 8080, protocol: str = "tcp", inode: int = 7) -> Listener:
    return Listener(protocol=protocol, address=address, port=port, inode=inode)


@pytest.fixture(autouse=True)
def _little_endian(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.byteorder", "little")


def test_tcp_sockets_that_listen_are_told_from_others() -> None:
    assert found(
        "tcp",
        line("00000000:1F90", "0A", 11),
        line("0100007F:0016", "0A", 12),
        line("010200C0:1F90", "01", 13, remote="020200C0:C350"),
        line("010200C0:1F90", "06", 0, remote="020200C0:C351"),
    ) == [("0.0.0.0", 8080, 11), ("127.0.0.1", 22, 12)]


def test_udp_sockets_without_a_peer_are_told_from_others() -> None:
    assert found(
        "udp",
        line("010200C0:0035", "07", 11),
        line("010200C0:C350", "01", 12, remote="020200C0:0035"),
    ) == [("192.0.2.1", 53, 11)]


def test_addresses_of_ipv6_are_read_word_by_word() -> None:
    assert found(
        "tcp",
        line("00000000000000000000000000000000:1F90", "0A", 1),
        line("B80D0120000001000000000001000000:1F90", "0A", 2),
        line("0000000000000000FFFF0000010200C0:1F90", "0A", 3),
        line("00000000000000000000000001000000:1F90", "0A", 4),
    ) == [
        ("::", 8080, 1),
        ("2001:db8:1::1", 8080, 2),
        ("192.0.2.1", 8080, 3),
        ("::1", 8080, 4),
    ]


def test_a_machine_of_the_other_byte_order_prints_them_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.byteorder", "big")

    assert found("tcp", line("7F000001:0016", "0A")) == [("127.0.0.1", 22, 7)]


def test_endpoints_of_sctp_are_told_with_each_of_their_addresses() -> None:
    table = (
        b" ENDPT     SOCK   STY SST HBKT LPORT   UID INODE LADDRS\n"
        b"00000000a 00000000b 2   10  1    9090      0 21 192.0.2.1 "
        b"2001:0db8:0000:0000:0000:0000:0000:0001 \n"
        b"00000000c 00000000d 0   7   2    9091      0 22 0.0.0.0 \n"
        b"00000000e 00000000f 0   10  3    9092      0 23 0.0.0.0 \n"
    )

    assert [(each.address, each.port, each.inode) for each in parse_sockets("sctp", table)] == [
        ("192.0.2.1", 9090, 21),
        ("2001:db8::1", 9090, 21),
        ("0.0.0.0", 9092, 23),
    ]


@pytest.mark.parametrize(
    "garbage", [b"\n", b"x\n", b"\xff\xfe 0A\n", b"0: zz:1 0:0 0A 1 2 3 4 5 6\n"]
)
def test_what_is_no_line_of_a_table_is_passed_over(garbage: bytes) -> None:
    assert found("tcp", garbage, line("00000000:1F90", "0A")) == [("0.0.0.0", 8080, 7)]


def test_nothing_comes_of_nothing() -> None:
    assert parse_sockets("tcp", b"") == []


@pytest.mark.parametrize(
    ("asked", "address"),
    [
        ("", "0.0.0.0"),
        ("", "::"),
        ("", "192.0.2.1"),
        ("", "2001:db8::1"),
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1", "0.0.0.0"),
        ("192.0.2.1", "::"),
        ("0.0.0.0", "192.0.2.1"),
        ("::", "2001:db8::1"),
        ("2001:db8::1", "::"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "0.0.0.0"),
    ],
)
def test_a_listener_waits_in_vain_where_its_address_is_forwarded(asked: str, address: str) -> None:
    wanted = wish("web-1", mapping(8080, host_address=asked), addresses=DUAL)

    assert find_unreached(wanted, [listener(address)]) == [listener(address)]


@pytest.mark.parametrize(
    ("asked", "address"),
    [
        ("192.0.2.1", "192.0.2.2"),
        ("192.0.2.1", "2001:db8::1"),
        ("0.0.0.0", "2001:db8::1"),
        ("::", "192.0.2.1"),
        ("::", "0.0.0.0"),
        ("2001:db8::1", "0.0.0.0"),
        ("", "127.0.0.1"),
        ("", "::1"),
        ("127.0.0.2", "127.0.0.1"),
        ("192.0.2.1", "127.0.0.1"),
    ],
)
def test_a_listener_elsewhere_gets_what_it_waits_for(asked: str, address: str) -> None:
    wanted = wish("web-1", mapping(8080, host_address=asked), addresses=DUAL)

    assert find_unreached(wanted, [listener(address)]) == []


def test_loopback_counts_where_it_is_forwarded() -> None:
    wanted = wish("web-1", mapping(8080), addresses=DUAL, localhost=True)
    local = listener("127.0.0.1")

    assert find_unreached(wanted, [local, listener("::1")]) == [local]


def test_another_port_protocol_or_family_is_none_of_the_wish_s() -> None:
    wanted = wish("web-1", mapping(8080), mapping(53, protocol="udp"))
    others = [listener("0.0.0.0", 8081), listener("0.0.0.0", 53), listener("2001:db8::1")]

    assert find_unreached(wanted, others) == []


def test_a_listener_is_told_of_once_whatever_families_its_port_is_forwarded_in() -> None:
    assert len(find_unreached(wish("web-1", mapping(8080), addresses=DUAL), [listener("::")])) == 1


def test_a_program_is_told_of_in_one_line_with_all_its_ports() -> None:
    listeners = [
        listener("0.0.0.0", port, inode=inode)
        for port, inode in ((8080, 1), (8081, 2), (8082, 3), (9000, 4), (9000, 5))
    ]

    assert render_notices(listeners, dict.fromkeys(range(1, 6), "pid 4711 (nginx)")) == [
        "tcp 8080-8082, 9000 of 0.0.0.0 are also listened on by pid 4711 (nginx); "
        "forwarded packets never reach it"
    ]


def test_programs_protocols_and_addresses_are_told_apart() -> None:
    listeners = [
        listener("0.0.0.0", inode=1),
        listener("0.0.0.0", inode=2),
        listener("::", inode=1),
        listener("0.0.0.0", 53, "udp", inode=1),
    ]

    told = render_notices(listeners, {1: "pid 4711 (nginx)"})

    assert [text.partition(";")[0] for text in told] == [
        "tcp 8080 of 0.0.0.0 is also listened on by pid 4711 (nginx)",
        "tcp 8080 of 0.0.0.0 is also listened on by a process that /proc does not show",
        "tcp 8080 of :: is also listened on by pid 4711 (nginx)",
        "udp 53 of 0.0.0.0 is also listened on by pid 4711 (nginx)",
    ]


def test_processes_are_found_by_what_they_have_open() -> None:
    with socket.socket() as ours, socket.socket() as gone:
        inodes = [os.fstat(each.fileno()).st_ino for each in (ours, gone)]
        gone.close()

        holders = sockets.find_holders(set(inodes))

    command = Path("/proc/self/comm").read_text(encoding="utf-8").strip()
    assert holders == {inodes[0]: f"pid {os.getpid()} ({command})"}


def test_tables_that_are_not_there_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: str) -> bytes | None:
        if path == "/proc/net/udp":
            raise PermissionError(path)
        return None if path.startswith("/proc/net/sctp") else b"table"

    monkeypatch.setattr("mesos_cni_port_mapper.linux.files.read", read)

    assert sockets.read_tables("sctp") == []
    assert sockets.read_tables("udp") == [b"table"]
    assert sockets.read_tables("tcp") == [b"table", b"table"]
