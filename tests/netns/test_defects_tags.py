"""What the original got wrong about whose rule is whose: DEL takes its own and nothing else."""

import pytest

from tests.netns.networks import (
    CHAIN,
    NOTHING,
    at_once,
    attach_without_us,
    bridged,
    dnat,
    imagined,
    original_chain,
    reached,
    routeless,
    server,
    tag,
    tcp,
    traces,
)
from tests.support.delegates import Delegates
from tests.support.host import Host
from tests.support.plugin import Plugin

# What the original runs for a DEL, as a script: list, keep the lines with the tag, delete those.
ORIGINAL_DELETE = """
list=$(mktemp -p /run)
iptables -w -t nat -S "$1" | sed -n "/container_id: $2/ s/^-A/iptables -w -t nat -D/p" >"$list"
sh -e "$list"
"""


def bare(host: Host, chain: str, container_id: str, port: int, to: str) -> str:
    """Append a rule as the original wrote it, and return how it is listed."""
    comment = f"container_id: {container_id}"
    rule = ["-p", "tcp", "-m", "tcp", "--dport", str(port), "-j", "DNAT", "--to-destination", to]
    host.run(["iptables", "-t", "nat", "-A", chain, *rule, "-m", "comment", "--comment", comment])
    return (
        f"-A {chain} -p tcp -m tcp --dport {port} "
        f'-m comment --comment "{comment}" -j DNAT --to-destination {to}'
    )


@pytest.mark.parametrize(
    ("deleted", "kept"),
    [
        pytest.param("a1", "a12", id="a1 leaves a12"),
        pytest.param("p", "p.c", id="parent p leaves its child p.c"),
        pytest.param("a.c", "abc", id="a.c leaves abc"),
        pytest.param("a12", "a1", id="a12 leaves a1"),
    ],
)
def test_del_of_one_container_leaves_another_whose_id_looks_alike(
    any_host: Host, any_plugin: Plugin, deleted: str, kept: str
) -> None:
    network = bridged(any_plugin)
    one = network.task(server(any_host, deleted), tcp(8080))
    other = network.task(server(any_host, kept), tcp(8081))
    one.attach()
    other.attach()

    one.detach()

    assert any_host.chain(CHAIN) == [dnat(8081, "10.1.0.3:80", other)]
    assert reached(any_host.client, 8080) == "refused"
    assert reached(any_host.client, 8081) == kept


@pytest.mark.parametrize("command", ["ADD", "DEL"])
@pytest.mark.parametrize(
    "container_id",
    [
        "",
        "a[",
        "a/b",
        "[ab]",
        "*",
        ".*",
        "-a",
        ".a",
        "web 1",
        'web"',
        "web'",
        "web\\",
        "wéb",
        "a\n",
    ],
)
def test_an_id_that_is_no_id_is_refused_and_changes_nothing(
    host: Host, plugin: Plugin, command: str, container_id: str
) -> None:
    delegates = Delegates(host)
    network = imagined(plugin, delegates, "10.5.0.2")
    abc = host.container("abc")
    network.task(abc, tcp(8080)).attach()
    before = traces(host)

    answer = network.task(abc, tcp(8081), container_id=container_id).run(command)

    assert (answer.status, answer.code) == (1, 4)
    assert "CNI_CONTAINERID" in answer.document["msg"]
    assert delegates.commands("fixed") == ["ADD"]
    assert traces(host) == before


def test_del_on_one_network_leaves_the_container_on_the_other_that_shares_the_chain(
    any_host: Host, any_plugin: Plugin
) -> None:
    web = server(any_host, "web-1")
    one = bridged(any_plugin, 0).task(web, tcp(8080))
    other = bridged(any_plugin, 1).but(delegate=routeless(1)).task(web, tcp(8081), ifname="eth1")
    one.attach()
    other.attach()

    other.detach()

    assert any_host.chain(CHAIN) == [dnat(8080, "10.1.0.2:80", one)]
    assert reached(any_host.client, 8080) == "web-1"
    assert reached(any_host.client, 8081) == "refused"


def test_one_container_by_two_interfaces_of_one_network_has_two_tags(
    host: Host, plugin: Plugin
) -> None:
    web = host.container("web-1")
    one = imagined(plugin, delegates := Delegates(host), "10.5.0.2").task(web, tcp(8080))
    two = imagined(plugin, delegates, "10.5.0.3").task(web, tcp(8081), ifname="eth1")
    one.attach()
    two.attach()

    one.detach()

    assert host.chain(CHAIN) == [dnat(8081, "10.5.0.3:80", two)]


def test_two_networks_that_share_a_chain_can_be_left_at_the_same_moment(
    any_host: Host, any_plugin: Plugin
) -> None:
    web = any_host.container("web-1")
    networks = [bridged(any_plugin, number).but(delegate=routeless(number)) for number in range(3)]
    tasks = [
        network.task(web, tcp(8080 + number), ifname=f"eth{number}")
        for number, network in enumerate(networks)
    ]
    for _ in range(5):
        for task in tasks:
            task.attach()

        answers = at_once("DEL", tasks)

        assert [(answer.status, answer.stdout) for answer in answers] == [(0, b"")] * 3
        assert traces(any_host) == NOTHING


def test_ids_longer_than_a_comment_are_told_apart(any_host: Host, any_plugin: Plugin) -> None:
    network = bridged(any_plugin)
    stem = "a" * 299
    one = network.task(server(any_host, "one"), tcp(8080), container_id=f"{stem}1")
    two = network.task(server(any_host, "two"), tcp(8081), container_id=f"{stem}2")
    one.attach()
    two.attach()

    assert reached(any_host.client, 8080) == "one"
    assert reached(any_host.client, 8081) == "two"

    one.detach()

    assert reached(any_host.client, 8080) == "refused"
    assert reached(any_host.client, 8081) == "two"

    two.detach()

    assert traces(any_host) == NOTHING


@pytest.mark.parametrize("length", [200, 210, 241, 242, 255, 256])
def test_rules_of_an_id_of_any_length_are_found_again(
    host: Host, plugin: Plugin, length: int
) -> None:
    web = imagined(plugin, Delegates(host), "10.5.0.2", name="n" * 60).task(
        host.container("web-1"), tcp(8080), container_id="a" * length
    )
    web.attach()
    rules = host.chain(CHAIN)

    web.detach()

    assert rules is not None
    assert len(rules) == 1
    assert traces(host) == NOTHING


def test_del_removes_what_the_original_left_for_the_container_and_nothing_else(
    any_host: Host, any_plugin: Plugin
) -> None:
    network = bridged(any_plugin)
    web = network.task(server(any_host, "a1"), tcp(8080), tcp(8081, 81))
    attach_without_us(any_host, network, web)
    original_chain(any_host)
    original_chain(any_host, "ELSEWHERE")
    bare(any_host, CHAIN, "a1", 8080, "10.1.0.2:80")
    kept = [
        bare(any_host, CHAIN, "a12", 8082, "10.1.0.3:80"),
        bare(any_host, CHAIN, "a1.child", 8083, "10.1.0.3:80"),
        bare(any_host, CHAIN, "xa1", 8084, "10.1.0.3:80"),
        bare(any_host, "ELSEWHERE", "a1", 8085, "10.1.0.2:80"),
    ]
    bare(any_host, CHAIN, "a1", 8081, "10.1.0.2:81")
    assert reached(any_host.client, 8080) == "a1"

    web.detach()

    assert any_host.chain(CHAIN) == kept[:3]
    assert any_host.chain("ELSEWHERE") == kept[3:]
    assert traces(any_host).leases == ()
    assert reached(any_host.client, 8080) == "refused"


def test_the_last_container_of_the_original_takes_chain_and_jumps_along(
    any_host: Host, any_plugin: Plugin
) -> None:
    network = bridged(any_plugin)
    web = network.task(any_host.container("web-1"), tcp(8080))
    attach_without_us(any_host, network, web)
    original_chain(any_host)
    bare(any_host, CHAIN, "web-1", 8080, "10.1.0.2:80")

    web.detach()

    assert traces(any_host) == NOTHING


def test_a_container_started_by_the_original_keeps_its_port_beside_ours(
    any_host: Host, any_plugin: Plugin
) -> None:
    network = bridged(any_plugin)
    old = network.task(server(any_host, "old"), tcp(8080))
    new = network.task(server(any_host, "new"), tcp(8081))
    attach_without_us(any_host, network, old)
    original_chain(any_host)
    bare(any_host, CHAIN, "old", 8080, "10.1.0.2:80")

    new.attach()

    assert reached(any_host.client, 8080) == "old"
    assert reached(any_host.client, 8081) == "new"

    old.detach()
    new.detach()

    assert traces(any_host) == NOTHING


@pytest.mark.parametrize("devices", [["mesos-cni0"], ["mesos-cni0", "docker0"], []])
def test_the_originals_del_finds_our_rules(
    any_host: Host, any_plugin: Plugin, devices: list[str]
) -> None:
    network = bridged(any_plugin, excludeDevices=devices)
    runs = [tcp(9000 + index, 8000 + index) for index in range(3)]
    web = network.task(server(any_host, "web-1"), tcp(8080), *runs)
    other = network.task(server(any_host, "other"), tcp(8081))
    web.attach()
    other.attach()

    any_host.run(["sh", "-c", ORIGINAL_DELETE, "original", CHAIN, "web-1"])

    left = any_host.chain(CHAIN)
    assert left is not None
    assert [line for line in left if tag(other) not in line] == []
    assert reached(any_host.client, 8080) == "refused"
    assert reached(any_host.client, 8081) == "other"

    # The original would have run the delegate next; ours does when it is asked after it.
    web.detach()
    other.detach()

    assert traces(any_host) == NOTHING
