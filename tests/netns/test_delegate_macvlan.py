"""macvlan: containers beside the host on its network, with nothing left when they go."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.netns.delegate_state import observe
from tests.support.delegates import Delegates
from tests.support.host import CLIENT_IPV4, CLIENT_IPV6, UPLINK, Container, Host
from tests.support.plugin import Answer, Plugin
from tests.support.traffic import Outcome, Saw, connect_tcp, serve_tcp

_IPAM = {
    "type": "host-local",
    "ranges": [
        [{"subnet": "192.0.2.0/24", "rangeStart": "192.0.2.40"}],
        [{"subnet": "2001:db8:1::/64", "rangeStart": "2001:db8:1::40"}],
    ],
}
_MAC = "02:00:00:00:00:aa"
_MOST_CALLS = 40


@pytest.fixture
def macvlan(delegates_dir: Path, host: Host) -> Plugin:
    return Plugin(host, str(delegates_dir / "macvlan"), (str(delegates_dir),))


def conf(**changes: Any) -> dict[str, Any]:
    base = {"cniVersion": "1.0.0", "name": "net", "type": "macvlan", "master": UPLINK}
    return {**base, "ipam": _IPAM, **changes}


def bare(**changes: Any) -> dict[str, Any]:
    """Return a configuration without ``ipam``."""
    return {key: value for key, value in conf(**changes).items() if key != "ipam"}


def static(address: str) -> dict[str, Any]:
    return {"type": "static", "addresses": [{"address": address}]}


def attach(macvlan: Plugin, container: Container, **changes: Any) -> list[str]:
    """Attach a container and return its addresses."""
    answer = macvlan.add(container, conf(**changes))
    assert answer.status == 0, answer
    return [address.partition("/")[0] for address in answer.addresses]


def link(container: Container) -> dict[str, Any]:
    (found,) = json.loads(container.run(["ip", "-j", "-d", "link", "show", "eth0"]).text)
    return dict(found)


def who(outcome: Outcome) -> str:
    return outcome.name if isinstance(outcome, Saw) else outcome


def test_a_container_reaches_the_masters_network(macvlan: Plugin, host: Host) -> None:
    container = host.container("web")
    own = attach(macvlan, container)
    serve_tcp(host.client, 80)

    for client, address in zip((CLIENT_IPV4, CLIENT_IPV6), own, strict=True):
        # A first question by multicast may be lost on so young a link; the next comes a second on.
        assert connect_tcp(container, client, 80, timeout=5) == Saw("client", address, 80)


@pytest.mark.parametrize(
    ("mode", "reached"),
    # A frame of vepa goes out to a switch that would have to send it back, which a pair does not.
    [("bridge", True), ("", True), ("private", False), ("vepa", False)],
)
def test_neighbours_reach_each_other_as_the_mode_has_it(
    macvlan: Plugin, host: Host, mode: str, reached: bool
) -> None:
    web, db = host.container("web"), host.container("db")
    attach(macvlan, web, mode=mode)
    target, _ = attach(macvlan, db, mode=mode)
    serve_tcp(db, 5432)

    assert link(web)["linkinfo"]["info_data"]["mode"] == (mode or "bridge")
    assert (who(connect_tcp(web, target, 5432, timeout=0.5)) == "db") is reached


def test_passthru_gives_the_masters_own_address_to_one_container(
    macvlan: Plugin, host: Host
) -> None:
    (master,) = json.loads(host.run(["ip", "-j", "link", "show", UPLINK]).text)
    first, second = host.container("first"), host.container("second")
    attach(macvlan, first, mode="passthru")

    assert link(first)["address"] == master["address"]
    assert macvlan.add(second, conf(mode="passthru")).code == 999


def test_without_a_master_the_default_route_decides(macvlan: Plugin, host: Host) -> None:
    # Another link comes first, so that the first is not what is taken.
    host.run(["ip", "link", "add", "other", "up", "type", "bridge"])
    host.run(["ip", "-6", "route", "add", "default", "dev", "other"])
    host.run(["ip", "route", "add", "default", "via", CLIENT_IPV4])
    container = host.container("web")
    attach(macvlan, container, master="")
    serve_tcp(host.client, 80)

    assert who(connect_tcp(container, CLIENT_IPV4, 80)) == "client"


def test_without_an_ipv4_default_route_that_of_ipv6_decides(macvlan: Plugin, host: Host) -> None:
    host.run(["ip", "-6", "route", "add", "default", "via", CLIENT_IPV6])
    container = host.container("web")
    attach(macvlan, container, master="")
    serve_tcp(host.client, 80)

    assert who(connect_tcp(container, CLIENT_IPV6, 80, timeout=5)) == "client"


def test_without_ipam_the_container_gets_a_link_alone(macvlan: Plugin, host: Host) -> None:
    container = host.container("web")
    answer = macvlan.add(container, bare(dns={"domain": "example.org"}))

    assert "ips" not in answer.document
    assert answer.document["dns"] == {"domain": "example.org"}
    assert "UP" in link(container)["flags"]
    assert macvlan.check(container, bare(prevResult=answer.document)).status == 0


def test_ipam_may_be_a_program_of_its_own(macvlan: Plugin, host: Host) -> None:
    delegates = Delegates(host)
    delegates.recording("dhcp", {"cniVersion": "1.0.0", "ips": [{"address": "192.0.2.77/24"}]})
    found = macvlan.finding(delegates.directory)
    container = host.container("web")
    asked = conf(ipam={"type": "dhcp"})

    assert found.add(container, asked).addresses == ["192.0.2.77/24"]
    assert found.delete(container, asked).status == 0
    assert delegates.commands("dhcp") == ["ADD", "DEL"]


def test_a_failed_add_gives_a_programs_address_back(macvlan: Plugin, host: Host) -> None:
    delegates = Delegates(host)
    delegates.recording("dhcp", {"cniVersion": "1.0.0", "ips": []})
    found = macvlan.finding(delegates.directory)

    assert found.add(host.container("web"), conf(ipam={"type": "dhcp"})).code == 999
    assert delegates.commands("dhcp") == ["ADD", "DEL"]


@pytest.mark.parametrize(
    ("changes", "cni_args", "expected"),
    [
        ({"mac": _MAC}, None, _MAC),
        ({"mac": "02:00:00:00:00:bb"}, f"IgnoreUnknown=1;MAC={_MAC}", _MAC),
        ({"runtimeConfig": {"mac": _MAC.upper()}}, "IgnoreUnknown=1;MAC=02:00:00:00:00:bb", _MAC),
    ],
    ids=["configured", "by argument", "by capability"],
)
def test_a_hardware_address_that_is_asked_for_is_given(
    macvlan: Plugin, host: Host, changes: dict[str, Any], cni_args: str | None, expected: str
) -> None:
    container = host.container("web")
    answer = macvlan.add(container, conf(**changes), CNI_ARGS=cni_args)

    assert answer.document["interfaces"][0]["mac"] == expected
    assert link(container)["address"] == expected


def test_who_knew_the_last_container_of_an_address_finds_the_next(
    macvlan: Plugin, host: Host
) -> None:
    one = static("192.0.2.77/24")
    for name in ("first", "second"):
        container = host.container(name)
        attach(macvlan, container, ipam=one)
        serve_tcp(container, 80)
        # The client still has the first one's hardware address, unless it was told.
        assert who(connect_tcp(host.client, "192.0.2.77", 80, timeout=0.5)) == name
        assert macvlan.delete(container, conf(ipam=one)).status == 0


def test_del_takes_everything_and_may_be_repeated(macvlan: Plugin, host: Host) -> None:
    container = host.container("web")
    before = observe(host, container)
    attach(macvlan, container)

    for _ in range(2):
        assert macvlan.delete(container, conf()).status == 0
        assert observe(host, container) == before


def test_del_needs_neither_namespace_nor_master(macvlan: Plugin, host: Host) -> None:
    container = host.container("web")
    attach(macvlan, container)
    container.remove()
    host.run(["ip", "link", "delete", UPLINK])

    answer = macvlan.delete(None, conf(), container_id="web")

    assert answer.status == 0
    assert list(host.path("/var/lib/cni/networks/net").glob("*[.:]*4[0-9]")) == []


DAMAGES = {
    "the link is gone": "ip link delete eth0",
    "the link is down": "ip link set eth0 down",
    "an address is gone": "ip address delete 192.0.2.40/24 dev eth0",
    "another hardware address": "ip link set eth0 address 02:00:00:00:00:99",
}


@pytest.mark.parametrize("command", DAMAGES.values(), ids=DAMAGES)
def test_check_misses(macvlan: Plugin, host: Host, command: str) -> None:
    container = host.container("web")
    checked = conf(prevResult=macvlan.add(container, conf()).document)
    assert macvlan.check(container, checked).status == 0

    container.run(command.split())

    assert macvlan.check(container, checked).code == 999


@pytest.mark.parametrize("changes", [{"mode": "private"}, {"master": "other"}])
def test_check_tells_another_configuration(
    macvlan: Plugin, host: Host, changes: dict[str, str]
) -> None:
    host.run(["ip", "link", "add", "other", "type", "bridge"])
    container = host.container("web")
    attached = macvlan.add(container, conf()).document

    assert macvlan.check(container, conf(prevResult=attached, **changes)).code == 999


def take_the_name(container: Container) -> None:
    container.run(["ip", "link", "add", "eth0", "type", "bridge"])


def no_change(_container: Container) -> None:
    pass


@pytest.mark.parametrize(
    ("prepare", "changes", "code"),
    [
        pytest.param(take_the_name, {}, 999, id="name taken"),
        pytest.param(no_change, {"master": "eth9"}, 999, id="unknown master"),
        pytest.param(no_change, {"master": ""}, 999, id="no default route"),
        pytest.param(no_change, {"mode": "source"}, 7, id="unknown mode"),
        pytest.param(no_change, {"mtu": 1501}, 7, id="mtu above the master's"),
        pytest.param(no_change, {"mtu": 67}, 999, id="tiny mtu"),
        pytest.param(no_change, {"mac": "02-00"}, 7, id="no hardware address"),
        pytest.param(no_change, {"mac": "01:00:00:00:00:01"}, 999, id="a group's address"),
    ],
)
def test_a_refused_add_leaves_nothing(
    macvlan: Plugin,
    host: Host,
    prepare: Callable[[Container], None],
    changes: dict[str, Any],
    code: int,
) -> None:
    container = host.container("web")
    prepare(container)
    before = observe(host, container)

    assert macvlan.add(container, conf(**changes)).code == code
    assert observe(host, container) == before


def test_an_add_that_fails_at_any_message_to_the_kernel_leaves_nothing(
    macvlan: Plugin, host: Host
) -> None:
    container = host.container("web")
    before = observe(host, container)

    def add(number: int) -> Answer:
        injection = f"-einject=sendto:error=ENOBUFS:when={number}"
        return macvlan.wrapped("strace", "-qq", "-o/dev/null", injection).add(container, conf())

    for number in range(1, _MOST_CALLS):
        if add(number).status == 0:
            break
        assert (number, observe(host, container)) == (number, before)
    else:
        pytest.fail("it never succeeded")

    # The master, the link, its name, two addresses, up.
    assert number > 7
