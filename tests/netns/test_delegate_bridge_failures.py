"""An ADD of the bridge plugin that fails, however and wherever, leaves nothing behind."""

import copy
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.netns.delegate_state import BRIDGE, observe
from tests.support.host import Container, Host
from tests.support.plugin import NetConf, Plugin
from tests.support.traffic import Saw, connect_tcp, serve_tcp
from tests.support.waiting import eventually

_MOST_CALLS = 60
_QUIET = ("net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0")


@pytest.fixture
def bridge(delegates_dir: Path, host: Host) -> Plugin:
    # So that an ADD has to change it, and to change it back.
    host.run(["sysctl", "-qw", *_QUIET])
    return Plugin(host, str(delegates_dir / "bridge"), (str(delegates_dir),))


def conf(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(BRIDGE) | changes


def no_change(_host: Host, _container: Container) -> None:
    pass


def take_the_name(_host: Host, container: Container) -> None:
    container.run(["ip", "link", "add", "eth0", "type", "bridge"])


def take_the_bridge(host: Host, _container: Container) -> None:
    host.run(["ip", "link", "add", "br7", "type", "veth", "peer", "name", "other"])


def give_the_bridge_another_address(host: Host, _container: Container) -> None:
    host.run(["ip", "link", "add", "br7", "type", "bridge"])
    host.run(["ip", "address", "add", "10.99.0.1/16", "dev", "br7"])
    host.run(["ip", "link", "set", "br7", "up"])


def take_iptables_away(host: Host, _container: Container) -> None:
    host.hide("/usr/sbin/xtables-nft-multi")


def make_settings_read_only(host: Host, _container: Container) -> None:
    make_read_only(host, "/proc/sys")


def make_leases_read_only(host: Host, _container: Container) -> None:
    make_read_only(host, "/var/lib/cni")


def make_read_only(host: Host, directory: str) -> None:
    host.run(["mount", "--bind", directory, directory])
    host.run(["mount", "-o", "remount,bind,ro", directory])


def route(destination: str, gateway: str) -> dict[str, Any]:
    return {"ipam": {**BRIDGE["ipam"], "routes": [{"dst": destination, "gw": gateway}]}}


FULL = {"ipam": {"type": "host-local", "subnet": "10.22.0.0/30", "rangeStart": "10.22.0.3"}}


@pytest.mark.parametrize(
    ("prepare", "changes", "code", "words"),
    [
        pytest.param(take_the_name, {}, 999, "eth0", id="name taken"),
        pytest.param(take_the_bridge, {}, 999, "not a bridge", id="no bridge"),
        pytest.param(
            give_the_bridge_another_address, {}, 999, "10.99.0.1/16", id="another address"
        ),
        pytest.param(take_iptables_away, {}, 103, "iptables", id="no iptables"),
        pytest.param(make_settings_read_only, {}, 999, "Read-only", id="read-only /proc/sys"),
        pytest.param(make_leases_read_only, {}, 5, "", id="read-only leases"),
        pytest.param(no_change, route("192.0.2.0/24", "8.8.8.8"), 999, "8.8.8.8", id="bad route"),
        pytest.param(no_change, {"mtu": 20}, 999, "mtu", id="tiny MTU"),
        pytest.param(no_change, {"vlan": 100}, 999, "kernel", id="no VLAN filtering"),
        pytest.param(no_change, FULL, None, "", id="no address left"),
        pytest.param(
            no_change, {"args": {"cni": {"mac": "01:00:00:00:00:01"}}}, 999, "", id="group MAC"
        ),
    ],
)
def test_a_failed_add_leaves_nothing(
    bridge: Plugin,
    host: Host,
    prepare: Callable[[Host, Container], None],
    changes: dict[str, Any],
    code: int | None,
    words: str,
) -> None:
    container = host.container("web")
    prepare(host, container)
    before = observe(host, container) if prepare is not take_iptables_away else None

    answer = bridge.add(container, conf(**changes))

    assert answer.status == 1
    assert answer.code == code or code is None
    assert words in json.dumps(answer.document)
    if before is None:
        # Nobody can list rules here, but nobody can have made any either.
        assert "br7" not in host.run(["ip", "link"]).text
        assert not any(host.path("/var/lib/cni/networks/net").glob("10.*"))
    else:
        assert observe(host, container) == before


# Every change is one message at the least: the bridge, the pair, addresses, routes, ups.
@pytest.mark.parametrize(("call", "least"), [("sendto", 15), ("setns", 1)])
def test_an_add_that_fails_at_any_call_leaves_nothing(
    bridge: Plugin, host: Host, call: str, least: int
) -> None:
    container = host.container("web")
    before = observe(host, container)
    failures = 0

    for number in range(1, _MOST_CALLS):
        injected = bridge.wrapped(
            "strace", "-qq", "-o/dev/null", f"-einject={call}:error=ENOBUFS:when={number}"
        )
        answer = injected.add(container, conf())
        if answer.status == 0:
            break
        failures += 1
        assert (number, observe(host, container)) == (number, before)
    else:
        pytest.fail("it never succeeded")

    assert failures >= least


def test_an_add_that_is_asked_to_end_leaves_nothing(bridge: Plugin, host: Host) -> None:
    container = host.container("web", dad=True)
    before = observe(host, container)
    waiting = conf(enabledad=True)

    call = bridge.start("ADD", container, waiting)
    # Addresses are there, and nobody knows yet whether anybody else's are the same.
    assert eventually(lambda: "fd00:22::" in container.run(["ip", "address"]).text, True) is True
    call.kill(signal.SIGTERM)
    answer = call.wait()

    assert (answer.status, answer.code) == (1, 11)
    assert observe(host, container) == before


def test_a_duplicate_address_fails_the_add_and_leaves_nothing(bridge: Plugin, host: Host) -> None:
    first, second = host.container("first", dad=True), host.container("second", dad=True)
    fixed = {"type": "static", "addresses": [{"address": "fd00:22::5/64"}]}
    wanted = conf(enabledad=True, ipMasq=False, isGateway=False, ipam=fixed)
    assert bridge.add(first, wanted).status == 0
    before = observe(host, second)

    answer = bridge.add(second, wanted)

    assert (answer.status, answer.code) == (1, 999)
    assert "fd00:22::5" in json.dumps(answer.document)
    assert observe(host, second) == before


def test_an_add_that_is_refused_an_address_leaves_that_to_whoever_has_it(
    bridge: Plugin, host: Host
) -> None:
    first, second = host.container("first"), host.container("second")
    assert bridge.add(first, conf(), container_id="web").status == 0
    before = observe(host, second)

    # The same attachment in another namespace, as a confused runtime may ask for.
    assert bridge.add(second, conf(), container_id="web").status == 1

    assert observe(host, second) == before


def test_a_del_whose_ipam_is_missing_has_removed_the_link(bridge: Plugin, host: Host) -> None:
    container = host.container("web")
    assert bridge.add(container, conf()).status == 0

    answer = bridge.delete(container, conf(ipam={"type": "nowhere"}))

    assert answer.status == 1
    assert "nowhere" in answer.document["msg"]
    assert "eth0" not in container.run(["ip", "link"]).text
    assert host.ruleset() == []


def test_a_failed_add_leaves_what_others_use(bridge: Plugin, host: Host) -> None:
    first, second = host.container("first"), host.container("second")
    assert bridge.add(first, conf()).status == 0
    before = observe(host, second)
    bad = conf(**route("192.0.2.0/24", "8.8.8.8"))

    assert bridge.add(second, bad).status == 1

    assert observe(host, second) == before


def test_adds_at_once_of_which_some_fail_leave_those_that_do_not_attached(
    bridge: Plugin, host: Host
) -> None:
    containers = [host.container(f"web-{number}") for number in range(12)]
    # Every other one wants a route that cannot be, and it is the last thing that is tried.
    wanted: list[NetConf] = [
        conf(ipMasq=False, **(route("192.0.2.0/24", "8.8.8.8") if number % 2 else {}))
        for number in range(12)
    ]

    serve_tcp(host, 8080)
    calls = [
        bridge.start("ADD", container, netconf)
        for container, netconf in zip(containers, wanted, strict=True)
    ]
    answers = [call.wait(60) for call in calls]

    assert [answer.status for answer in answers] == [0, 1] * 6
    for container, answer in zip(containers[::2], answers[::2], strict=True):
        gateway = answer.document["ips"][0]["gateway"]
        assert connect_tcp(container, gateway, 8080) == Saw(
            "host", answer.addresses[0].partition("/")[0], 8080
        )
    ports = host.run(["ip", "-brief", "link", "show", "master", "br7"]).text.splitlines()
    assert len(ports) == 6


STINGY = """\
#!/bin/sh
[ $CNI_COMMAND = ADD ] && exec echo '{"cniVersion":"1.0.0","ips":[{"address":"10.22.0.9/24"}]}'
echo '{"code":100,"msg":"the addresses are mine"}'
exit 1
"""


def test_addresses_that_are_not_taken_back_are_told_of(
    delegates_dir: Path, bridge: Plugin, host: Host
) -> None:
    program = host.path("/run/ipam/stingy")
    program.parent.mkdir()
    program.write_text(STINGY)
    program.chmod(0o755)
    plugin = Plugin(host, bridge.executable, (str(delegates_dir), "/run/ipam"))
    container = host.container("web")
    take_iptables_away(host, container)

    answer = plugin.add(container, conf(ipam={"type": "stingy"}))

    assert answer.code == 106
    assert "iptables" in answer.document["msg"]
    assert "the addresses are mine" in answer.document["details"]
    assert "br7" not in host.run(["ip", "link"]).text


def test_a_protection_that_is_not_made_is_refused(bridge: Plugin, host: Host) -> None:
    container = host.container("web")
    before = observe(host, container)

    answer = bridge.add(container, conf(macspoofchk=True))

    assert (answer.code, answer.document["msg"]) == (
        2,
        "macspoofchk: true is not supported by this plugin",
    )
    assert observe(host, container) == before
    assert bridge.delete(container, conf(macspoofchk=True)).status == 0
