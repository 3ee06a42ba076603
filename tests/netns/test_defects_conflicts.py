"""What the original did not look at: a port that is taken, and rules of an earlier ADD."""

from tests.netns.networks import (
    CHAIN,
    NOTHING,
    Network,
    bridged,
    dnat,
    imagined,
    reached,
    server,
    tcp,
    traces,
    udp,
)
from tests.support.delegates import Delegates
from tests.support.host import Host
from tests.support.plugin import Plugin
from tests.support.traffic import Saw, connect_udp


def old_and_new(host: Host, one: Network, other: Network) -> tuple[str, str]:
    """Say who answers on 8080: after the second container asked for it, after the first left."""
    old = one.task(server(host, "old"), tcp(8080))
    old.attach()
    answer = other.task(server(host, "new"), tcp(8080)).attach()
    assert (
        f"container new on network {other.netconf['name']} (eth0) takes tcp 8080 over "
        f"from container old on network {one.netconf['name']} (eth0)" in answer.stderr
    )
    before = reached(host.client, 8080)
    old.detach()
    return str(before), str(reached(host.client, 8080))


def test_the_newest_container_has_the_port_and_keeps_it(any_host: Host, any_plugin: Plugin) -> None:
    network = bridged(any_plugin)

    assert old_and_new(any_host, network, network) == ("new", "new")
    assert len(any_host.chain(CHAIN) or []) == 1


def test_the_newest_container_has_the_port_whatever_chains_there_are(
    any_host: Host, any_plugin: Plugin
) -> None:
    first, second = bridged(any_plugin), bridged(any_plugin, 1, chain="SECOND")

    assert old_and_new(any_host, first, second) == ("new", "new")
    assert any_host.chain(CHAIN) is None


def test_a_port_that_was_taken_over_is_free_when_the_newest_leaves(
    any_host: Host, any_plugin: Plugin
) -> None:
    network = bridged(any_plugin)
    old = network.task(server(any_host, "old"), tcp(8080))
    new = network.task(server(any_host, "new"), tcp(8080))
    old.attach()
    new.attach()

    new.detach()

    assert reached(any_host.client, 8080) == "refused"

    old.detach()

    assert traces(any_host) == NOTHING


def test_only_the_port_that_is_taken_leaves_a_run_of_ports(
    any_host: Host, any_plugin: Plugin
) -> None:
    network = bridged(any_plugin)
    ports = range(9000, 9005)
    old = network.task(server(any_host, "old", tcp=ports), *[tcp(port, port) for port in ports])
    old.attach()
    assert len(any_host.chain(CHAIN) or []) == 1
    new = network.task(server(any_host, "new"), tcp(9002))

    new.attach()

    answers = ["old", "old", "new", "old", "old"]
    assert [reached(any_host.client, port) for port in ports] == answers

    old.detach()

    assert [reached(any_host.client, port) for port in ports[1:4]] == ["refused", "new", "refused"]

    new.detach()

    assert traces(any_host) == NOTHING


def test_a_run_of_ports_may_take_a_single_one_over(any_host: Host, any_plugin: Plugin) -> None:
    network = bridged(any_plugin)
    old = network.task(server(any_host, "old"), tcp(9001), tcp(8080))
    new = network.task(server(any_host, "new"), *[tcp(9000 + n, 79 + n) for n in range(3)])
    old.attach()

    new.attach()

    assert reached(any_host.client, 9001) == "new"
    assert reached(any_host.client, 8080) == "old"


def test_the_same_port_of_another_protocol_is_another_port(
    any_host: Host, any_plugin: Plugin
) -> None:
    network = bridged(any_plugin)
    network.task(server(any_host, "one"), tcp(8080)).attach()
    answer = network.task(server(any_host, "two", tcp=[], udp=[53]), udp(8080)).attach()

    assert "takes" not in answer.stderr
    assert reached(any_host.client, 8080) == "one"
    assert connect_udp(any_host.client, "192.0.2.1", 8080) == Saw("two", "192.0.2.2", 53)


def test_an_add_again_with_another_address_leaves_no_old_rule(
    any_host: Host, any_plugin: Plugin
) -> None:
    real = bridged(any_plugin)
    for name in ("old", "new"):
        real.task(server(any_host, name)).attach()
    delegates, web = Delegates(any_host), any_host.container("web-1")
    first = imagined(any_plugin, delegates, "10.1.0.2").task(web, tcp(8080), tcp(8081))
    again = imagined(any_plugin, delegates, "10.1.0.3").task(web, tcp(8080))
    first.attach()
    assert reached(any_host.client, 8080) == "old"

    answer = again.attach()

    assert any_host.chain(CHAIN) == [dnat(8080, "10.1.0.3:80", again)]
    assert reached(any_host.client, 8080) == "new"
    assert "takes" not in answer.stderr

    again.detach()

    assert traces(any_host).rules == ()


def test_an_add_again_with_nothing_changed_changes_nothing(
    any_host: Host, any_plugin: Plugin
) -> None:
    web = imagined(any_plugin, Delegates(any_host), "10.1.0.2").task(
        any_host.container("web-1"), tcp(8080)
    )
    web.attach()
    before = traces(any_host)

    web.attach()

    assert traces(any_host) == before
