"""ptp: routed pairs that carry traffic, come and go whole, and are missed by CHECK."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.netns.delegate_state import leases, observe
from tests.support.host import CLIENT_IPV4, HOST_IPV4, Container, Host
from tests.support.plugin import Answer, Plugin
from tests.support.traffic import Saw, connect_tcp, serve_tcp

_GATEWAY, _GATEWAY_IPV6 = "10.33.0.1", "fd00:33::1"
_IPAM = {
    "type": "host-local",
    "ranges": [[{"subnet": "10.33.0.0/16"}], [{"subnet": "fd00:33::/64"}]],
    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
}
_MOST_CALLS = 60
_QUIET = ("net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0")


@pytest.fixture
def ptp(delegates_dir: Path, host: Host) -> Plugin:
    # So that an ADD has to change it, and to change it back.
    host.run(["sysctl", "-qw", *_QUIET])
    return Plugin(host, str(delegates_dir / "ptp"), (str(delegates_dir),))


def conf(**changes: Any) -> dict[str, Any]:
    return {"cniVersion": "1.0.0", "name": "net", "type": "ptp", "ipam": _IPAM, **changes}


def static(*addresses: dict[str, str]) -> dict[str, Any]:
    return {"ipam": {"type": "static", "addresses": list(addresses)}}


def attach(ptp: Plugin, container: Container, **changes: Any) -> list[str]:
    """Attach a container and return its addresses."""
    answer = ptp.add(container, conf(**changes))
    assert answer.status == 0, answer
    return [address.partition("/")[0] for address in answer.addresses]


def lines(host: Host, place: Host | Container, command: str) -> list[str]:
    return [line.rstrip() for line in host.run_in(place, command.split()).text.splitlines()]


def test_a_container_reaches_the_host_at_its_gateway(ptp: Plugin, host: Host) -> None:
    container = host.container("web")
    own = attach(ptp, container)
    serve_tcp(host, 8080)

    for gateway, address in zip((_GATEWAY, _GATEWAY_IPV6), own, strict=True):
        assert connect_tcp(container, gateway, 8080) == Saw("host", address, 8080)


def test_the_host_reaches_each_container(ptp: Plugin, host: Host) -> None:
    for name in ("web", "db"):
        container = host.container(name)
        serve_tcp(container, 8080)
        for address in attach(ptp, container):
            seen = connect_tcp(host, address, 8080)
            assert isinstance(seen, Saw)
            assert seen.name == name


def test_containers_reach_each_other_by_way_of_the_host(ptp: Plugin, host: Host) -> None:
    web, db = host.container("web"), host.container("db")
    sources, targets = attach(ptp, web), attach(ptp, db)
    serve_tcp(db, 5432)

    for source, target in zip(sources, targets, strict=True):
        assert connect_tcp(web, target, 5432) == Saw("db", source, 5432)


def test_all_that_a_container_sends_goes_to_the_gateway(ptp: Plugin, host: Host) -> None:
    container = host.container("web")
    attach(ptp, container)

    assert lines(host, container, "ip -4 route") == [
        "default via 10.33.0.1 dev eth0",
        "10.33.0.0/16 via 10.33.0.1 dev eth0 src 10.33.0.2",
        "10.33.0.1 dev eth0 scope link src 10.33.0.2",
    ]
    assert "fd00:33::/64 via fd00:33::1 dev eth0 src fd00:33::2 metric 1024 pref medium" in lines(
        host, container, "ip -6 route"
    )


def test_a_container_may_have_a_network_of_one_address(ptp: Plugin, host: Host) -> None:
    container = host.container("web")
    alone = static({"address": "10.33.9.9/32", "gateway": "169.254.1.1"})
    answer = ptp.add(container, conf(**alone))
    serve_tcp(host, 8080)

    assert connect_tcp(container, "169.254.1.1", 8080) == Saw("host", "10.33.9.9", 8080)
    assert ptp.check(container, conf(**alone, prevResult=answer.document)).status == 0


def test_what_is_masqueraded_leaves_under_an_address_of_the_host(ptp: Plugin, host: Host) -> None:
    container = host.container("web")
    attach(ptp, container, ipMasq=True)
    serve_tcp(host.client, 80)

    assert connect_tcp(container, CLIENT_IPV4, 80) == Saw("client", HOST_IPV4, 80)


def test_without_masquerading_nothing_else_is_made_of_it(ptp: Plugin, host: Host) -> None:
    attach(ptp, host.container("web"))

    assert host.ruleset() + host.ruleset(ipv6=True) == []


@pytest.mark.parametrize(
    ("dns", "expected"),
    [({}, {"nameservers": ["10.33.0.53"]}), ({"domain": "a.test"}, {"domain": "a.test"})],
    ids=["of IPAM", "of the network"],
)
def test_name_servers_of_the_network_stand_for_those_of_ipam(
    ptp: Plugin, host: Host, dns: dict[str, str], expected: dict[str, Any]
) -> None:
    ipam = static({"address": "10.33.9.9/24", "gateway": "10.33.9.1"})["ipam"]
    ipam["dns"] = {"nameservers": ["10.33.0.53"]}

    answer = ptp.add(host.container("web"), conf(ipam=ipam, dns=dns))

    assert answer.document["dns"] == expected


def test_del_takes_everything_and_may_be_repeated(ptp: Plugin, host: Host) -> None:
    container = host.container("web")
    host.run(["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"])
    before = observe(host, container)
    attach(ptp, container, ipMasq=True)

    for _ in range(2):
        assert ptp.delete(container, conf(ipMasq=True)).status == 0
        assert observe(host, container) == before


@pytest.mark.parametrize("named", [True, False], ids=["path gone", "no path"])
def test_del_without_the_namespace_takes_what_the_host_has(
    ptp: Plugin, host: Host, named: bool
) -> None:
    container = host.container("web")
    attach(ptp, container, ipMasq=True)
    # It lives on for as long as this runs, and with it the pair.
    holder = container.start(["sleep", "60"])
    variables = {"CNI_NETNS": container.netns if named else ""}
    container.remove()

    answer = ptp.delete(None, conf(ipMasq=True), container_id="web", **variables)

    assert (answer.status, holder.running) == (0, True)
    assert [line for line in lines(host, host, "ip -brief link") if "veth" in line] == []
    assert (host.ruleset(), host.ruleset(ipv6=True), leases(host)) == ([], [], [])


DAMAGES = {
    "the link is gone": "ip link delete eth0",
    "the link is down": "ip link set eth0 down",
    "an address is gone": "ip address delete 10.33.0.2/16 dev eth0",
    "another hardware address": "ip link set eth0 address 02:00:00:00:00:99",
    "the default route is gone": "ip route delete default",
    "the detour is gone": "ip route delete 10.33.0.0/16",
}


@pytest.mark.parametrize("command", DAMAGES.values(), ids=DAMAGES)
def test_check_misses(ptp: Plugin, host: Host, command: str) -> None:
    container = host.container("web")
    attached = ptp.add(container, conf())
    checked = conf(prevResult=attached.document)
    assert ptp.check(container, checked).status == 0

    container.run(command.split())

    assert ptp.check(container, checked).code == 999


def test_check_misses_the_gateway_on_the_host(ptp: Plugin, host: Host) -> None:
    container = host.container("web")
    attached = ptp.add(container, conf())
    link = attached.document["interfaces"][0]["name"]

    host.run(["ip", "address", "delete", f"{_GATEWAY}/32", "dev", link])

    assert ptp.check(container, conf(prevResult=attached.document)).code == 999


def take_the_name(container: Container) -> None:
    container.run(["ip", "link", "add", "eth0", "type", "bridge"])


def no_change(_container: Container) -> None:
    pass


@pytest.mark.parametrize(
    ("prepare", "changes", "code"),
    [
        pytest.param(take_the_name, {}, 999, id="name taken"),
        pytest.param(no_change, static({"address": "10.33.9.9/24"}), 999, id="no gateway"),
        pytest.param(no_change, {"ipam": {"type": "static"}}, 999, id="no address"),
        pytest.param(no_change, {"ipam": {}}, 7, id="no ipam"),
        pytest.param(no_change, {"mtu": 67}, 999, id="tiny mtu"),
        pytest.param(no_change, {"mtu": 65536}, 7, id="huge mtu"),
    ],
)
def test_a_refused_add_leaves_nothing(
    ptp: Plugin,
    host: Host,
    prepare: Callable[[Container], None],
    changes: dict[str, Any],
    code: int,
) -> None:
    container = host.container("web")
    prepare(container)
    before = observe(host, container)

    assert ptp.add(container, conf(**changes)).code == code
    assert observe(host, container) == before


def test_an_add_that_fails_at_any_message_to_the_kernel_leaves_nothing(
    ptp: Plugin, host: Host
) -> None:
    container = host.container("web")
    before = observe(host, container)
    wanted = conf(ipMasq=True)

    def add(number: int) -> Answer:
        injection = f"-einject=sendto:error=ENOBUFS:when={number}"
        return ptp.wrapped("strace", "-qq", "-o/dev/null", injection).add(container, wanted)

    for number in range(1, _MOST_CALLS):
        if add(number).status == 0:
            break
        assert (number, observe(host, container)) == (number, before)
    else:
        pytest.fail("it never succeeded")

    # The pair, two ends to bring up, and of each family two addresses and four routes.
    assert number > 15
