"""Many plugins at once on one chain: all are served, and nobody's rules are lost or left behind."""

import json
from collections.abc import Iterable, Sequence

import pytest

from tests.netns.injection import snapshot
from tests.netns.networks import (
    CHAIN,
    Network,
    Task,
    bridged,
    dnat,
    imagined,
    jumps,
    reached,
    server,
    tcp,
)
from tests.support.delegates import Delegates
from tests.support.host import Host
from tests.support.plugin import Answer, Call, Plugin

MANY, FEW = 40, 20

# What other programs put next to our chain, with everything in comments that might be mistaken.
FOREIGN = (
    ("-N", f"{CHAIN}-2"),
    ("-N", "KUBE-SERVICES"),
    ("-A", "PREROUTING", "-m", "comment", "--comment", f"-j {CHAIN}", "-j", f"{CHAIN}-2"),
    ("-A", "OUTPUT", "-m", "addrtype", "--dst-type", "LOCAL", "-j", "KUBE-SERVICES"),
    (
        "-A",
        "POSTROUTING",
        "-s",
        "10.0.0.0/8",
        "-m",
        "comment",
        "--comment",
        r'5" \ "',
        "-j",
        "RETURN",
    ),
    ("-A", f"{CHAIN}-2", "-m", "comment", "--comment", 'say "hi"', "-j", "RETURN"),
    ("-A", f"{CHAIN}-2", "-m", "comment", "--comment", r"C:\temp\\", "-j", "RETURN"),
    ("-A", f"{CHAIN}-2", "-m", "comment", "--comment", "\\\"';$(id)`", "-j", "RETURN"),
    ("-A", f"{CHAIN}-2", "-m", "comment", "--comment", "container_id: web-0", "-j", "RETURN"),
    (
        *("-A", "KUBE-SERVICES", "-p", "tcp", "--dport", "20000", "-m", "comment", "--comment"),
        *("container_id: web-0 network: imagined ifname: eth0 ", "-j", "RETURN"),
    ),
    (
        *("-A", "KUBE-SERVICES", "-p", "tcp", "--dport", "20001", "-m", "comment", "--comment"),
        *('"container_id: web-0 network: imagined ifname: eth0"', "-j", "RETURN"),
    ),
)


class Crowd:
    """Containers with five scattered ports each, all on one network."""

    def __init__(self, host: Host, plugin: Plugin) -> None:
        self.host = host
        # What the delegate needs is a namespace's path, so that one namespace is enough.
        self.container = host.container("web")
        self.network = imagined(plugin, Delegates(host), "192.168.7.2")

    def task(self, number: int) -> Task:
        delegate = {"type": "fixed", "address": f"192.168.7.{number + 10}/24"}
        ports = [tcp(20000 + number + 1000 * step) for step in range(5)]
        name = f"web-{number}"
        network = self.network.but(delegate=delegate)
        return network.task(self.container, *ports, container_id=name)

    def tasks(self, *numbers: int) -> list[Task]:
        return [self.task(number) for number in range(*numbers)]

    def rules(self, tasks: Iterable[Task]) -> list[str]:
        """Return the rules that containers should have, in no order."""
        return sorted(
            dnat(mapping["host_port"], f"{_address(task)}:80", task)
            for task in tasks
            for mapping in task.mappings
        )

    def assert_served(self, tasks: Sequence[Task]) -> None:
        """Insist on the rules, the jumps, the records and the claims of just these containers."""
        ours = [line for line in self.host.ruleset() if line.split()[-1] == CHAIN]
        assert sorted(ours) == sorted(jumps())
        assert sorted(self.host.chain(CHAIN) or []) == self.rules(tasks)
        state = snapshot(self.host).state
        assert len([name for name in state if "/attachments/" in name]) == len(tasks)
        assert sorted(_claimed(state.items())) == sorted(
            mapping["host_port"] for task in tasks for mapping in task.mappings
        )


def _address(task: Task) -> str:
    address: str = task.netconf["delegate"]["address"]
    return address.partition("/")[0]


def _claimed(state: Iterable[tuple[str, bytes]]) -> list[int]:
    return [int(port) for name, data in state if "/claims/" in name for port in json.loads(data)]


def together(*work: tuple[str, Task]) -> list[Answer]:
    """Start all commands before any of them gets its input, and return their answers."""
    calls = [_begin(command, task) for command, task in work]
    for call, (_, task) in zip(calls, work, strict=True):
        call.process.feed(task.request())
    return [call.wait(60) for call in calls]


def _begin(command: str, task: Task) -> Call:
    plugin = task.plugin
    environ = plugin.environment(command, task.container, task.ifname, task.container_id)
    return plugin.launch(environ, None)


def assert_good(answers: Iterable[Answer]) -> None:
    assert [answer for answer in answers if answer.status] == []


@pytest.fixture
def crowd(any_host: Host, any_plugin: Plugin) -> Crowd:
    return Crowd(any_host, any_plugin)


def test_forty_first_containers_come_and_go_at_once(any_host: Host, crowd: Crowd) -> None:
    for words in FOREIGN:
        any_host.run(["iptables", "-t", "nat", *words])
    before = snapshot(any_host)
    tasks = crowd.tasks(MANY)

    assert_good(together(*[("ADD", task) for task in tasks]))

    crowd.assert_served(tasks)
    assert len(any_host.chain(CHAIN) or []) == 5 * MANY
    assert set(before.rules) <= set(any_host.ruleset())

    assert_good(together(*[("DEL", task) for task in tasks]))

    assert len(before.rules) == len(FOREIGN)
    assert snapshot(any_host) == before


def test_someone_elses_rule_in_the_chain_keeps_the_chain(any_host: Host, crowd: Crowd) -> None:
    comment = r'odd \ "comment" container_id: web-1'
    rule = [CHAIN, "-p", "udp", "-m", "comment", "--comment", comment, "-j", "RETURN"]
    any_host.run(["iptables", "-t", "nat", "-N", CHAIN])
    any_host.run(["iptables", "-t", "nat", "-A", *rule])
    (foreign,) = any_host.chain(CHAIN) or []
    tasks = crowd.tasks(FEW)

    assert_good(together(*[("ADD", task) for task in tasks]))
    assert sorted(any_host.chain(CHAIN) or []) == sorted([*crowd.rules(tasks), foreign])
    assert_good(together(*[("DEL", task) for task in tasks]))

    assert any_host.ruleset() == [f":{CHAIN} -", *jumps(), foreign]


def test_twenty_come_while_twenty_go(any_host: Host, crowd: Crowd) -> None:
    old, new = crowd.tasks(FEW), crowd.tasks(FEW, 2 * FEW)
    assert_good(together(*[("ADD", task) for task in old]))
    work = [
        pair
        for here, there in zip(new, old, strict=True)
        for pair in (("ADD", here), ("DEL", there))
    ]

    assert_good(together(*work))

    crowd.assert_served(new)
    assert_good(together(*[("DEL", task) for task in new]))
    assert any_host.ruleset() == []


def test_the_first_may_come_while_the_last_goes(any_host: Host, crowd: Crowd) -> None:
    going, coming = crowd.tasks(2)
    assert_good([going.add()])

    for turn in range(12):
        work = [("DEL", going), ("ADD", coming)]
        calls = [_begin(command, task) for command, task in (work if turn % 2 else reversed(work))]
        for call, (_, task) in zip(calls, work if turn % 2 else reversed(work), strict=True):
            call.process.feed(task.request())
        while any(call.process.running for call in calls):
            _assert_whole(any_host)
        assert_good([call.wait() for call in calls])
        crowd.assert_served([coming])
        going, coming = coming, going

    assert_good([going.delete()])
    assert snapshot(any_host).rules == ()


def _assert_whole(host: Host) -> None:
    """Insist that the chain stands with both jumps, or not at all."""
    rules = host.ruleset()
    leading = [line for line in rules if line.split()[-1] == CHAIN]
    assert leading == (jumps() if f":{CHAIN} -" in rules else []), rules


def test_containers_on_a_real_bridge_come_and_go_at_once(
    any_host: Host, any_plugin: Plugin
) -> None:
    network: Network = bridged(any_plugin)
    tasks = [
        network.task(server(any_host, f"web-{number}"), tcp(8000 + 2 * number))
        for number in range(8)
    ]
    before = snapshot(any_host)

    assert_good(together(*[("ADD", task) for task in tasks]))
    for number, task in enumerate(tasks):
        assert reached(any_host.client, 8000 + 2 * number) == task.container.name
    assert_good(together(*[("DEL", task) for task in tasks]))

    after = snapshot(any_host)
    assert (after.rules, after.state) == (before.rules, before.state)
    assert [name for name in after.leases if not name.endswith("/lock")] == []
