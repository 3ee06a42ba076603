"""Netlink with a real kernel: routes, addresses, and answers that are not the kernel's."""

import errno
import json
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.host import HOST_IPV4, HOST_IPV6, SEARCH_PATH, Host

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {"PATH": SEARCH_PATH, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}

HEAD = "import json, socket, sys\nfrom mesos_cni_port_mapper.linux import netlink\n"
ROUTE = "print(json.dumps([netlink.route_interface(each) for each in json.loads(sys.argv[1])]))"
ADDRESSES = """
for family, number in ((4, socket.AF_INET), (6, socket.AF_INET6)):
    found = netlink.local_addresses(family)
    print(json.dumps(sorted(socket.inet_ntop(number, each) for each in found)))
"""
INTERFACES = """
from mesos_cni_port_mapper.linux.interfaces import interface_addresses
print(json.dumps([interface_addresses(family) for family in (4, 6)]))
"""
FORGED = """
with netlink.Netlink(netlink.ROUTE, 5) as talk, socket.socket(
    socket.AF_NETLINK, socket.SOCK_RAW, 0
) as forger:
    talk._socket.bind((0, 0))
    forger.sendto(bytes.fromhex(sys.argv[1]), (talk._socket.getsockname()[0], 0))
    request = netlink.encode_route_request(4, socket.inet_aton("127.0.0.1"))
    print(len(list(talk.ask(26, request))))
"""
MANY = """
with netlink.Netlink(netlink.ROUTE) as talk:
    request = netlink.encode_route_request(4, socket.inet_aton("127.0.0.1"))
    nowhere = netlink.encode_route_request(4, socket.inet_aton("203.0.113.1"))
    print(json.dumps(talk.tell([(26, nowhere if i % 3 else request) for i in range(100)])))
"""


def run(host: Host, code: str, *arguments: str) -> str:
    return host.run([sys.executable, "-c", HEAD + code, *arguments], env=ENVIRONMENT).text


def routes(host: Host, *addresses: str) -> Any:
    return json.loads(run(host, ROUTE, json.dumps(addresses)))


def test_interfaces_have_addresses_of_which_the_host_s_end_of_a_line_counts(host: Host) -> None:
    host.run(["ip", "link", "add", "br9", "type", "bridge"])
    host.run(["ip", "address", "add", "10.9.0.1", "peer", "10.9.0.2/32", "dev", "br9"])

    four, six = json.loads(run(host, INTERFACES))

    assert four == [["lo", "127.0.0.1/8"], ["eth0", f"{HOST_IPV4}/24"], ["br9", "10.9.0.1/32"]]
    assert ["eth0", f"{HOST_IPV6}/64"] in six


def test_the_interface_towards_an_address_is_found(host: Host) -> None:
    host.run(["ip", "link", "add", "br9", "type", "bridge"])
    host.run(["ip", "link", "set", "br9", "up"])
    host.run(["ip", "address", "add", "10.9.0.1/24", "dev", "br9"])
    host.run(["ip", "address", "add", "fd09::1/64", "dev", "br9", "nodad"])
    host.run(["ip", "route", "add", "198.51.100.0/24", "via", "192.0.2.77"])

    assert routes(host, "10.9.0.2", "fd09::2") == ["br9", "br9"]
    assert routes(host, "192.0.2.2", "2001:db8:1::2", "198.51.100.9") == ["eth0"] * 3
    assert routes(host, HOST_IPV4, HOST_IPV6, "127.0.0.1", "::1") == ["lo"] * 4


@pytest.mark.parametrize("kind", ["unreachable", "prohibit", "blackhole"])
def test_an_address_that_cannot_be_reached_has_no_interface(host: Host, kind: str) -> None:
    host.run(["ip", "route", "add", kind, "10.9.0.0/24"])
    host.run(["ip", "-6", "route", "add", kind, "fd09::/64"])

    assert routes(host, "10.9.0.2", "fd09::2") == ["", ""]
    assert routes(host, "203.0.113.1", "2001:db8:ffff::1") == ["", ""]


def test_the_addresses_of_all_interfaces_are_found(host: Host) -> None:
    host.run(["ip", "address", "add", "10.9.0.1", "peer", "10.9.0.2", "dev", "eth0"])
    shown = [
        json.loads(host.run(["ip", "-json", f"-{family}", "address", "show"]).stdout)
        for family in (4, 6)
    ]
    listed = [
        sorted(each["local"] for link in links for each in link["addr_info"]) for links in shown
    ]

    assert [json.loads(line) for line in run(host, ADDRESSES).splitlines()] == listed
    assert "10.9.0.1" in listed[0]
    assert HOST_IPV6 in listed[1]


def test_an_answer_from_another_process_is_not_the_kernels(host: Host) -> None:
    refusal = struct.pack("=IHHIIi", 20, 2, 0, 1, 0, -errno.EPERM)

    assert run(host, FORGED, refusal.hex()) == "1\n"


def test_each_of_many_requests_has_its_outcome(host: Host) -> None:
    outcomes = json.loads(run(host, MANY))

    assert outcomes == [errno.ENETUNREACH if i % 3 else 0 for i in range(100)]
