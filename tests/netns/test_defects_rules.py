"""What the original got wrong about which rules there are: chains, jumps, devices and conflicts."""

import pytest

from tests.netns.networks import (
    CHAIN,
    NOTHING,
    at_once,
    bridged,
    imagined,
    jumps,
    original_chain,
    reached,
    server,
    shim,
    tag,
    tcp,
    traces,
)
from tests.support.delegates import Delegates
from tests.support.host import Host
from tests.support.plugin import Plugin
from tests.support.traffic import serve_tcp

PICKY = """\
#!/bin/sh
batch=$(cat)
case $batch in *"{word}"*) echo "no {word} here" >&2; exit 1 ;; esac
printf '%s\\n' "$batch" | /run/tools/iptables-restore "$@"
"""


def iptables_lines(host: Host, *lines: str) -> None:
    for line in lines:
        host.run(["iptables", "-t", "nat", *line.split(" ")])


@pytest.mark.parametrize("word", [f"-N {CHAIN}", "-A PREROUTING", "-A OUTPUT"])
def test_an_add_whose_chain_or_jump_cannot_be_made_fails_and_is_undone(
    host: Host, plugin: Plugin, word: str
) -> None:
    network = imagined(plugin, delegates := Delegates(host), "10.5.0.2")
    web = network.task(host.container("web-1"), tcp(8080))
    path = shim(host, "iptables-restore", PICKY.format(word=word))

    answer = network.plugin.add(web.container, web.request(), PATH=path)

    assert (answer.status, answer.code) == (1, 103)
    assert answer.document["details"] == f"no {word} here"
    assert delegates.commands("fixed") == ["ADD", "DEL"]
    assert traces(host) == NOTHING


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(["-F PREROUTING"], id="PREROUTING flushed"),
        pytest.param(["-F PREROUTING", "-F OUTPUT"], id="both flushed"),
        pytest.param([jumps()[0].replace("-A", "-D", 1)], id="one jump deleted"),
    ],
)
def test_what_an_operator_flushed_is_repaired_by_the_next_add(
    any_host: Host, any_plugin: Plugin, change: list[str]
) -> None:
    network = bridged(any_plugin)
    network.task(server(any_host, "web-1"), tcp(8080)).attach()
    iptables_lines(any_host, *change)
    assert reached(any_host.client, 8080) == "refused"

    network.task(server(any_host, "web-2"), tcp(8081)).attach()

    assert reached(any_host.client, 8081) == "web-2"
    assert reached(any_host, 8081) == "web-2"
    assert [line for line in any_host.ruleset() if line in jumps()] == jumps()
    assert reached(any_host.client, 8080) == "web-1"


def test_after_everything_was_flushed_the_next_add_begins_anew(
    any_host: Host, any_plugin: Plugin
) -> None:
    network = bridged(any_plugin)
    flushed = network.task(server(any_host, "web-1"), tcp(8080))
    flushed.attach()
    iptables_lines(any_host, "-F", "-X")

    network.task(server(any_host, "web-2"), tcp(8081)).attach()

    assert reached(any_host.client, 8081) == "web-2"
    assert [line for line in any_host.ruleset() if line in jumps()] == jumps()

    flushed.detach()

    assert reached(any_host.client, 8081) == "web-2"


def test_a_chain_that_nothing_leads_to_gets_its_jumps(any_host: Host, any_plugin: Plugin) -> None:
    iptables_lines(any_host, f"-N {CHAIN}")

    bridged(any_plugin).task(server(any_host, "web-1"), tcp(8080)).attach()

    assert [line for line in any_host.ruleset() if line in jumps()] == jumps()
    assert reached(any_host.client, 8080) == "web-1"
    assert reached(any_host, 8080) == "web-1"


def test_jumps_that_the_original_doubled_are_reduced_to_one(
    any_host: Host, any_plugin: Plugin
) -> None:
    original_chain(any_host)
    iptables_lines(any_host, *jumps(), *jumps())
    network = bridged(any_plugin)
    web = network.task(server(any_host, "web-1"), tcp(8080))

    web.attach()

    assert [line for line in any_host.ruleset() if line in jumps()] == jumps()
    assert reached(any_host.client, 8080) == "web-1"

    iptables_lines(any_host, *jumps())
    web.detach()

    assert traces(any_host) == NOTHING


def test_containers_that_come_first_at_once_make_one_jump_of_each_kind(
    any_host: Host, any_plugin: Plugin
) -> None:
    network = bridged(any_plugin)
    tasks = [network.task(any_host.container(f"web-{n}"), tcp(8080 + n)) for n in range(6)]

    answers = at_once("ADD", tasks)

    assert [answer.status for answer in answers] == [0] * 6
    assert [line for line in any_host.ruleset() if line in jumps()] == jumps()
    assert len(any_host.chain(CHAIN) or []) == 6

    at_once("DEL", tasks)

    assert traces(any_host) == NOTHING


def test_every_excluded_device_counts_and_not_only_the_last(
    any_host: Host, any_plugin: Plugin
) -> None:
    network = bridged(any_plugin, excludeDevices=["mesos-cni0", "mesos-cni1"])
    web = network.task(server(any_host, "web-1"), tcp(8080))
    web.attach()
    inside = [any_host.container(f"inside-{number}") for number in range(3)]
    for number, container in enumerate(inside):
        bridged(any_plugin, number).task(container).attach()
    serve_tcp(any_host, 8080)

    assert any_host.chain(CHAIN) == [
        f"-A {CHAIN} {match} -p tcp -m tcp --dport 8080 "
        f'-m comment --comment "{tag(web)}" -j {target}'.replace("  ", " ")
        for match, target in (
            ("-i mesos-cni0", "RETURN"),
            ("-i mesos-cni1", "RETURN"),
            ("", "DNAT --to-destination 10.1.0.2:80"),
        )
    ]
    assert [reached(container, 8080) for container in inside] == ["host", "host", "web-1"]
    assert reached(any_host.client, 8080) == "web-1"

    web.detach()

    assert reached(any_host.client, 8080) == "host"


def test_five_excluded_devices_stop_nobody_elses_port(any_host: Host, any_plugin: Plugin) -> None:
    devices = ["docker0", "cni0", "mesos-cni0", "virbr0", "mesos-cni1"]
    open_to_all = bridged(any_plugin, 2, excludeDevices=[])
    open_to_all.task(server(any_host, "open"), tcp(8081)).attach()
    shy = bridged(any_plugin, excludeDevices=devices).task(server(any_host, "shy"), tcp(8080))
    shy.attach()
    inside = any_host.container("inside")
    bridged(any_plugin, 1).task(inside).attach()

    assert reached(inside, 8080) == "refused"
    assert reached(inside, 8081) == "open"
    assert reached(any_host.client, 8080) == "shy"
    assert len([line for line in any_host.chain(CHAIN) or [] if tag(shy) in line]) == 6


def test_a_wildcard_excludes_every_device_whose_name_begins_so(
    any_host: Host, any_plugin: Plugin
) -> None:
    ipam = {
        "type": "host-local",
        "subnet": "10.9.0.0/24",
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    # Each of its containers comes in by an interface of its own, called veth and some digits.
    network = bridged(any_plugin, excludeDevices=["veth+"], delegate={"type": "ptp", "ipam": ipam})
    network.task(server(any_host, "web-1"), tcp(8080)).attach()
    neighbour, stranger = any_host.container("neighbour"), any_host.container("stranger")
    network.task(neighbour).attach()
    bridged(any_plugin, 1).task(stranger).attach()
    serve_tcp(any_host, 8080)

    assert reached(neighbour, 8080) == "host"
    assert reached(stranger, 8080) == "web-1"
    assert reached(any_host.client, 8080) == "web-1"


def test_a_chain_with_a_rule_of_the_operators_stays(any_host: Host, any_plugin: Plugin) -> None:
    web = bridged(any_plugin).task(any_host.container("web-1"), tcp(8080))
    web.attach()
    own = f"-A {CHAIN} -p tcp -m tcp --dport 22 -j RETURN"
    iptables_lines(any_host, own)

    web.detach()

    assert any_host.chain(CHAIN) == [own]
    assert [line for line in any_host.ruleset() if line in jumps()] == jumps()


def test_a_chain_that_the_operator_leads_to_stays(any_host: Host, any_plugin: Plugin) -> None:
    web = bridged(any_plugin).task(any_host.container("web-1"), tcp(8080))
    web.attach()
    iptables_lines(any_host, f"-A PREROUTING -s 198.51.100.0/24 -j {CHAIN}")

    web.detach()

    assert any_host.chain(CHAIN) == []
    assert f"-A PREROUTING -s 198.51.100.0/24 -j {CHAIN}" in any_host.ruleset()
