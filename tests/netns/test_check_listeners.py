"""CHECK tells which programs of the host listen on ports that are forwarded, and lets them."""

import re

import pytest

from tests.netns.networks import CHAIN, Network, dnat, imagined, tcp, udp
from tests.support.delegates import Delegates
from tests.support.host import HOST_IPV4, Host
from tests.support.plugin import Plugin
from tests.support.traffic import serve_tcp, serve_udp


@pytest.fixture
def network(any_host: Host, any_plugin: Plugin) -> Network:
    """Return a network whose delegate finds nothing to complain about."""
    return imagined(any_plugin, Delegates(any_host), "10.5.0.2", cniVersion="1.0.0")


def test_check_tells_who_of_the_host_listens_on_the_port(any_host: Host, network: Network) -> None:
    web = network.task(any_host.container("web-1"), tcp(8080), udp(5353), tcp(9000), udp(9001))
    result = web.attach().document
    for serve, port, address in (
        (serve_tcp, 8080, "::"),
        (serve_udp, 5353, HOST_IPV4),
        # Loopback is not forwarded, nor are another port, another protocol and another host.
        (serve_tcp, 9000, "127.0.0.1"),
        (serve_tcp, 8081, "::"),
        (serve_tcp, 9001, "::"),
    ):
        serve(any_host, port, address)
    serve_tcp(any_host.client, 9000)
    serve_tcp(web.container, 8080)

    answer = web.check(result)

    assert (answer.status, answer.stdout) == (0, b"")
    told = [
        re.fullmatch(
            r"mesos-cni-port-mapper: (\w+ \d+ of \S+) is also listened on by pid (\d+) \((.+)\); "
            "forwarded packets never reach it",
            line,
        )
        for line in answer.stderr.splitlines()
    ]
    assert [each and each[1] for each in told] == ["tcp 8080 of ::", f"udp 5353 of {HOST_IPV4}"]
    for each in told:
        assert each
        assert int(each[2]) in any_host.processes()
        assert each[3] == any_host.path(f"/proc/{each[2]}/comm").read_text().strip()


def test_who_listens_does_not_hide_what_is_wrong(any_host: Host, network: Network) -> None:
    web = network.task(any_host.container("web-1"), tcp(8080))
    result = web.attach().document
    serve_tcp(any_host, 8080)
    any_host.run(["iptables", "-t", "nat", "-F", CHAIN])

    answer = web.check(result)

    assert (answer.status, answer.code) == (1, 103)
    assert answer.document["details"] == f"missing: {dnat(8080, '10.5.0.2:80', web)}"
    assert "tcp 8080 of :: is also listened on by pid " in answer.stderr


def test_add_and_del_do_not_look_for_listeners(any_host: Host, network: Network) -> None:
    serve_tcp(any_host, 8080)
    web = network.task(any_host.container("web-1"), tcp(8080))

    assert [web.add().stderr, web.delete().stderr] == ["", ""]
