"""Entries of real flows are forgotten: the right ones, and no others."""

import errno

import pytest

from tests.netns.conntracks import (
    CLIENTS,
    FAMILIES,
    HOSTS,
    INNER,
    LOOPBACK,
    NETWORKS,
    PORT,
    PREFIXES,
    SECOND,
    container,
    entries,
    forget,
    forgotten,
    forward,
    original,
    reply,
    send,
)
from tests.support.gate import need
from tests.support.host import CLIENT_IPV4, CLIENT_IPV6, HOST_IPV4, Host
from tests.support.traffic import Saw, connect_tcp, connect_udp, serve_tcp, serve_udp

KERNELS = ["Kernel", "BeforeFilteredFlush", "BeforeFilters"]


@pytest.fixture
def lab(host: Host) -> Host:
    """Return a host that tracks connections of both families."""
    need("conntrack")
    for tool in ("iptables", "ip6tables"):
        host.run([tool, "-t", "nat", "-N", "MAPPED"])
        host.run([tool, "-t", "nat", "-A", "PREROUTING", "-j", "MAPPED"])
        host.run([tool, "-A", "INPUT", "-m", "conntrack", "--ctstate", "NEW"])
    return host


def busy(lab: Host, family: int) -> None:
    """Have flows of all kinds: to this port and another, here and beyond, of UDP and TCP."""
    for each in FAMILIES:
        addition = f"address add {SECOND[each]}/{PREFIXES[each]} dev eth0"
        lab.run(["ip", *addition.split(), *(["nodad"] if each == 6 else [])])
        lab.client.run(["ip", f"-{each}", "route", "add", "default", "via", HOSTS[each]])
    container(lab, "a", 1)
    forward(lab, family, 1)
    serve_tcp(lab, PORT)
    for each in FAMILIES:
        beyond = NETWORKS[each].format(1, 2)
        for destination in (HOSTS[each], SECOND[each], beyond):
            send(lab.client, destination, (PORT, PORT + 2), (40000, 40001))
        send(lab, LOOPBACK[each], (PORT, PORT + 2), (40000, 40001))
        assert connect_tcp(lab.client, HOSTS[each], PORT, source_port=40000)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_client_that_keeps_sending_reaches_the_new_container(
    lab: Host, family: int, kernel: str
) -> None:
    first = serve_udp(container(lab, "a", 1), INNER)
    serve_udp(container(lab, "b", 2), INNER)
    address, client = HOSTS[family], CLIENTS[family]
    forward(lab, family, 1)
    assert connect_udp(lab.client, address, PORT, source_port=40000) == Saw("a", client, INNER)

    first.stop()
    forward(lab, family, 2)
    assert connect_udp(lab.client, address, PORT, source_port=40000) == "refused"

    assert forget(lab, original(family, address), kernel=kernel)["error"] == 0
    assert connect_udp(lab.client, address, PORT, source_port=40000) == Saw("b", client, INNER)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("family", FAMILIES)
def test_one_address_is_forgotten_and_no_other_flow(lab: Host, family: int, kernel: str) -> None:
    busy(lab, family)
    there = NETWORKS[family].format(1, 2)

    assert forgotten(lab, original(family, HOSTS[family]), kernel=kernel) == {
        ("udp", CLIENTS[family], HOSTS[family], 40000, PORT, there)
    }


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_address_of_the_host_is_forgotten_and_no_transit(
    lab: Host, family: int, kernel: str
) -> None:
    busy(lab, family)
    there = NETWORKS[family].format(1, 2)
    client, first, second = CLIENTS[family], HOSTS[family], SECOND[family]

    assert forgotten(lab, original(family), kernel=kernel) == {
        ("udp", client, first, 40000, PORT, there),
        ("udp", client, second, 40000, PORT, second),
        ("udp", LOOPBACK[family], LOOPBACK[family], 40000, PORT, LOOPBACK[family]),
    }


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_container_answers_is_forgotten(lab: Host, family: int, kernel: str) -> None:
    busy(lab, family)
    there, client = NETWORKS[family].format(1, 2), CLIENTS[family]
    mapped = ("udp", client, HOSTS[family], 40000, PORT, there)
    direct = {("udp", client, there, 40000, port, there) for port in (PORT, PORT + 1)}

    assert forgotten(lab, reply(family, there, INNER), kernel=kernel) == {mapped}
    assert forgotten(lab, reply(family, there), kernel=kernel) == direct


@pytest.mark.parametrize("kernel", KERNELS)
def test_tcp_is_forgotten_when_it_is_asked_for(lab: Host, kernel: str) -> None:
    busy(lab, 4)

    assert forgotten(lab, original(protocol="tcp"), kernel=kernel) == {
        ("tcp", CLIENT_IPV4, HOST_IPV4, 40000, PORT, HOST_IPV4)
    }


@pytest.mark.parametrize("kernel", KERNELS)
def test_ports_of_sctp_are_told_apart(lab: Host, kernel: str) -> None:
    for port in (PORT, PORT + 1):
        words = f"-s {CLIENT_IPV4} -d {HOST_IPV4} --sport 40000 --dport {port} -t 60"
        tags = "--state ESTABLISHED --orig-vtag 1 --reply-vtag 2"
        lab.run(["conntrack", "-I", "-p", "sctp", *words.split(), *tags.split()])

    assert forgotten(lab, original(protocol="sctp"), kernel=kernel) == {
        ("sctp", CLIENT_IPV4, HOST_IPV4, 40000, PORT, HOST_IPV4)
    }


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_zone_does_not_hide_an_entry(lab: Host, kernel: str) -> None:
    words = f"-s {CLIENT_IPV4} -d {HOST_IPV4} --sport 40000 --dport {PORT} -t 60"
    for zone in ("0", "7"):
        lab.run(["conntrack", "-I", "-p", "udp", *words.split(), "-w", zone])

    assert forget(lab, original(address=HOST_IPV4), kernel=kernel)["error"] == 0

    assert lab.run(["conntrack", "-L", "-w", "7"]).text == ""
    assert entries(lab) == set()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_thousand_entries_go_and_a_thousand_stay(lab: Host, family: int, kernel: str) -> None:
    send(lab.client, HOSTS[family], (PORT, PORT + 2), (40000, 41000))

    gone = forgotten(lab, original(family), kernel=kernel)

    assert {entry[3] for entry in gone} == set(range(40000, 41000))
    assert {entry[4] for entry in gone} == {PORT}
    assert {entry[4] for entry in entries(lab)} == {PORT + 1}


def test_without_entries_the_kernel_is_not_asked(lab: Host) -> None:
    assert forget(lab, original(4), original(6)) == {"asked": [], "error": 0, "words": ""}


def test_nothing_to_forget_asks_nothing(lab: Host) -> None:
    send(lab.client, HOST_IPV4, (PORT, PORT + 1), (40000, 40001))

    assert forget(lab, kernel="WithoutNetfilterNetlink")["error"] == 0
    assert len(entries(lab)) == 1


def test_ipv4_takes_no_dump(lab: Host) -> None:
    send(lab.client, HOST_IPV4, (PORT, PORT + 1), (40000, 40010))

    # The host's address and its loopback's.
    assert forget(lab, original())["asked"] == ["filter 2"]
    assert entries(lab) == set()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_of_ports_takes_one_dump(lab: Host, family: int) -> None:
    send(lab.client, HOSTS[family], (4999, 6001), (40000, 40001))

    done = forget(lab, original(family, port=5000, count=1000))

    assert done["asked"] == ["dump", "delete 1000"]
    assert {entry[4] for entry in entries(lab)} == {4999, 6000}


def test_several_flushes_go_together(lab: Host) -> None:
    busy(lab, 4)
    there = NETWORKS[4].format(1, 2)
    wanted = [
        original(4, SECOND[4]),
        original(6, SECOND[6], port=PORT + 1),
        reply(4, there, INNER),
        original(4, HOSTS[4], protocol="tcp"),
    ]

    assert {entry[:5] for entry in forgotten(lab, *wanted)} == {
        ("udp", CLIENT_IPV4, SECOND[4], 40000, PORT),
        ("udp", CLIENT_IPV6, SECOND[6], 40000, PORT + 1),
        ("udp", CLIENT_IPV4, HOST_IPV4, 40000, PORT),
        ("tcp", CLIENT_IPV4, HOST_IPV4, 40000, PORT),
    }


def test_an_entry_that_ends_meanwhile_is_no_error(lab: Host) -> None:
    send(lab.client, HOST_IPV4, (PORT, PORT + 1), (40000, 40001))

    assert forget(lab, original(), kernel="Late")["error"] == 0
    assert entries(lab) == set()


def test_an_entry_that_cannot_go_is_reported(lab: Host) -> None:
    send(lab.client, HOST_IPV4, (PORT, PORT + 1), (40000, 40001))

    assert forget(lab, original(), kernel="Busy")["error"] == errno.EBUSY


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kernel", ["WithoutConntrackNetlink", "WithoutNetfilterNetlink"])
def test_a_kernel_that_cannot_be_asked_is_named_only_when_there_are_entries(
    lab: Host, kernel: str, family: int
) -> None:
    send(lab.client, HOSTS[family], (PORT, PORT + 1), (40000, 40001))

    done = forget(lab, original(family), kernel=kernel)
    assert done["error"] == errno.EOPNOTSUPP
    assert "forget connections" in done["words"]

    # As where nothing tracks connections: there is nothing to count then.
    lab.hide("/proc/sys/net/netfilter")
    assert forget(lab, original(family), kernel=kernel)["error"] == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_the_way_does_not_depend_on_the_count_being_shown(lab: Host, family: int) -> None:
    send(lab.client, HOSTS[family], (PORT, PORT + 1), (40000, 40001))
    lab.hide("/proc/sys/net/netfilter")

    assert forget(lab, original(family))["error"] == 0
    assert entries(lab) == set()
