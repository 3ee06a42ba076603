"""CHECK passes while everything is as ADD made it, and names what is not."""

from collections.abc import Callable
from typing import Any

import pytest

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
    udp,
)
from tests.support.delegates import RESULT, VERSIONS, Delegates
from tests.support.host import Host
from tests.support.plugin import PLUGIN_DIRECTORY, Answer, Plugin

WITH_CHECK = VERSIONS[VERSIONS.index("0.4.0") :]
TOO_OLD = VERSIONS[: VERSIONS.index("0.4.0")]


@pytest.fixture
def network(any_host: Host, any_plugin: Plugin) -> Network:
    """Return a network whose delegate finds nothing to complain about."""
    return imagined(any_plugin, Delegates(any_host), "10.5.0.2", cniVersion="1.0.0")


def change(host: Host, *lines: str) -> None:
    """Change the nat table behind the plugin's back."""
    batch = "\n".join(["*nat", *lines, "COMMIT", ""])
    host.run(["iptables-restore", "--noflush"], batch.encode())


def assert_names(answer: Answer, *differences: str) -> None:
    """See that CHECK failed and named these differences, no more and no less."""
    assert (answer.status, answer.code) == (1, 103), answer.document
    assert answer.document["msg"].startswith("the rules of container web-1 on network imagined")
    assert answer.document["details"].splitlines() == list(differences)


@pytest.mark.parametrize("version", WITH_CHECK)
def test_check_passes_right_after_add(any_host: Host, any_plugin: Plugin, version: str) -> None:
    runs = [tcp(9000 + number, 8000 + number) for number in range(3)]
    for devices in (["mesos-cni0"], ["mesos-cni0", "docker0"], []):
        network = bridged(any_plugin, cniVersion=version, excludeDevices=devices)
        web = network.task(any_host.container(f"web-{len(devices)}"), tcp(8080), udp(5353), *runs)
        result = web.attach().document

        answer = web.check(result)

        assert (answer.status, answer.stdout, answer.stderr) == (0, b"", "")
        web.detach()


def test_check_changes_nothing_and_disturbs_no_traffic(any_host: Host, any_plugin: Plugin) -> None:
    web = bridged(any_plugin, cniVersion="1.0.0").task(server(any_host, "web-1"), tcp(8080))
    result = web.attach().document
    before = any_host.ruleset(), any_host.files("/run/mesos-cni-port-mapper")

    web.check(result)

    assert (any_host.ruleset(), any_host.files("/run/mesos-cni-port-mapper")) == before
    assert reached(any_host.client, 8080) == "web-1"


@pytest.fixture
def checked(any_host: Host, network: Network) -> Callable[..., Answer]:
    """Return a function that attaches, lets the table be changed and checks."""

    def attach_change_and_check(make: Callable[[Task], list[str]], **changes: Any) -> Answer:
        web = network.but(**changes).task(any_host.container("web-1"), tcp(8080), udp(5353))
        result = web.attach().document
        change(any_host, *make(web))
        return web.check(result)

    return attach_change_and_check


def test_check_names_a_rule_that_is_missing(
    any_host: Host, checked: Callable[..., Answer], network: Network
) -> None:
    rules: list[str] = []

    def remove(web: Task) -> list[str]:
        rules.append(dnat(8080, "10.5.0.2:80", web))
        return [rules[0].replace("-A", "-D", 1)]

    assert_names(checked(remove), f"missing: {rules[0]}")


def test_check_names_a_guard_that_is_missing(
    any_host: Host, checked: Callable[..., Answer]
) -> None:
    def remove(web: Task) -> list[str]:
        guards = [line for line in any_host.chain(CHAIN) or [] if "-i docker0" in line]
        return [guard.replace("-A", "-D", 1) for guard in guards]

    answer = checked(remove, excludeDevices=["mesos-cni0", "docker0"])

    assert answer.code == 103
    assert answer.document["details"].count("missing: ") == 2
    assert answer.document["details"].count("-i docker0") == 2


@pytest.mark.parametrize("jump", jumps())
def test_check_names_a_jump_that_is_missing_or_doubled(
    any_host: Host, network: Network, jump: str
) -> None:
    web = network.task(any_host.container("web-1"), tcp(8080))
    result = web.attach().document

    change(any_host, jump.replace("-A", "-D", 1))
    assert_names(web.check(result), f"0 times instead of once: {jump}")

    change(any_host, jump, jump)
    assert_names(web.check(result), f"2 times instead of once: {jump}")


def test_check_names_everything_when_the_chain_is_gone(any_host: Host, network: Network) -> None:
    web = network.task(any_host.container("web-1"), tcp(8080))
    result = web.attach().document
    change(
        any_host, *[jump.replace("-A", "-D", 1) for jump in jumps()], f"-F {CHAIN}", f"-X {CHAIN}"
    )

    assert_names(
        web.check(result),
        *[f"0 times instead of once: {jump}" for jump in jumps()],
        f"missing: {dnat(8080, '10.5.0.2:80', web)}",
    )


def test_check_names_a_rule_that_leads_elsewhere(any_host: Host, network: Network) -> None:
    web = network.task(any_host.container("web-1"), tcp(8080))
    result = web.attach().document
    moved = {**result, "ips": [{"address": "10.5.0.3/24"}]}

    assert_names(
        web.check(moved),
        f"missing: {dnat(8080, '10.5.0.3:80', web)}",
        f"unexpected: {dnat(8080, '10.5.0.2:80', web)}",
    )


def test_check_names_rules_out_of_order(any_host: Host, network: Network) -> None:
    web = network.but(excludeDevices=["docker0", "cni0"]).task(
        any_host.container("web-1"), tcp(8080)
    )
    result = web.attach().document
    first, *_ = any_host.chain(CHAIN) or []
    change(any_host, first.replace("-A", "-D", 1), first)

    answer = web.check(result)

    assert answer.code == 103
    assert answer.document["details"].startswith(f"out of order in {CHAIN}: ")


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param("-p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.9.9.9", id="plain"),
        pytest.param("-p tcp -m tcp --dport 8000:8100 -j RETURN", id="range"),
        pytest.param("-p tcp -j ACCEPT", id="all ports"),
        pytest.param("-j RETURN", id="everything"),
        pytest.param(
            "! -i mesos-cni0 -p tcp -m tcp --dport 8080 -m comment --comment "
            '"container_id: other" -j DNAT --to-destination 10.9.9.9:80',
            id="the original's",
        ),
    ],
)
def test_check_names_a_foreign_rule_that_takes_the_port(
    any_host: Host, network: Network, rule: str
) -> None:
    web = network.task(any_host.container("web-1"), tcp(8080))
    result = web.attach().document
    change(any_host, f"-I {CHAIN} {rule}")

    assert_names(web.check(result), f"shadowed by: -A {CHAIN} {rule}")


@pytest.mark.parametrize(
    "rule",
    [
        "-I {chain} -p tcp -m tcp --dport 8081 -j RETURN",
        "-I {chain} -p udp -m udp --dport 8080 -j RETURN",
        "-I {chain} -s 198.51.100.0/24 -p tcp -m tcp --dport 8080 -j RETURN",
        "-I {chain} ! -i docker0 -p tcp -m tcp --dport 8081 -j RETURN",
        "-I {chain} -p tcp -m tcp --dport 8080 -j LOG",
        "-I {chain} -p tcp -m tcp --dport 8080 -j OPERATORS",
        "-A {chain} -p tcp -m tcp --dport 8080 -j RETURN",
    ],
)
def test_check_has_nothing_against_rules_that_do_not_take_the_port(
    any_host: Host, network: Network, rule: str
) -> None:
    web = network.task(any_host.container("web-1"), tcp(8080))
    result = web.attach().document
    change(any_host, "-N OPERATORS", rule.format(chain=CHAIN))

    assert web.check(result).status == 0


def test_check_finds_the_port_taken_over(any_host: Host, network: Network) -> None:
    web = network.task(any_host.container("web-1"), tcp(8080))
    result = web.attach().document
    other = network.task(any_host.container("web-2"), tcp(8080))
    other.attach()

    assert_names(
        web.check(result),
        f"missing: {dnat(8080, '10.5.0.2:80', web)}",
        f"shadowed by: {dnat(8080, '10.5.0.2:80', other)}",
    )


@pytest.mark.parametrize("version", [None, *TOO_OLD])
def test_check_in_a_version_without_it_is_refused(
    host: Host, plugin: Plugin, version: str | None
) -> None:
    delegates = Delegates(host)
    network = imagined(plugin, delegates, "10.5.0.2", cniVersion=version)
    web = network.task(host.container("web-1"), tcp(8080))

    answer = web.check(RESULT)

    assert (answer.status, answer.code) == (1, 1)
    assert "CHECK needs 0.4.0" in answer.document["msg"]
    assert delegates.calls("fixed") == []


def test_check_needs_the_result_of_the_add(host: Host, plugin: Plugin) -> None:
    network = imagined(plugin, Delegates(host), "10.5.0.2", cniVersion="1.0.0")
    web = network.task(host.container("web-1"), tcp(8080))
    web.attach()

    answer = web.check(None)

    assert (answer.status, answer.code) == (1, 7)
    assert answer.document["msg"].startswith("prevResult: ")


def test_what_the_delegate_finds_wrong_is_passed_up(any_host: Host, any_plugin: Plugin) -> None:
    web = bridged(any_plugin, cniVersion="1.0.0").task(any_host.container("web-1"), tcp(8080))
    result = web.attach().document
    web.container.run(["ip", "address", "flush", "dev", "eth0"])

    answer = web.check(result)
    alone = Plugin(any_host, f"{PLUGIN_DIRECTORY}/bridge").check(
        web.container,
        {
            **web.netconf["delegate"],
            "name": web.netconf["name"],
            "cniVersion": "1.0.0",
            "prevResult": result,
        },
    )

    assert (answer.status, answer.code) == (1, 102)
    assert answer.document["msg"].startswith("delegate bridge failed on CHECK")
    assert answer.document["details"].startswith(alone.document["msg"])
    assert any_host.chain(CHAIN) == [dnat(8080, "10.1.0.2:80", web)]


def test_the_delegate_is_checked_with_what_the_runtime_sent(host: Host, plugin: Plugin) -> None:
    delegates = Delegates(host)
    network = imagined(plugin, delegates, "10.5.0.2", cniVersion="1.0.0")
    web = network.task(host.container("web-1"), tcp(8080))
    result = web.attach().document

    web.check(result)

    (call,) = [call for call in delegates.calls("fixed") if call.command == "CHECK"]
    assert call.config["prevResult"] == result
    assert (call.config["name"], call.config["cniVersion"]) == ("imagined", "1.0.0")
    assert call.env["CNI_NETNS"] == web.container.netns
