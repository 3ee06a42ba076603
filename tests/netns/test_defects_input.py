"""What the original took for granted about its input: nothing malformed becomes command or rule."""

from typing import Any

import pytest

from tests.netns.networks import (
    CHAIN,
    DOCUMENT,
    NOTHING,
    Network,
    dnat,
    imagined,
    tcp,
    traces,
    udp,
)
from tests.support.delegates import VERSIONS, Delegates
from tests.support.host import Host
from tests.support.plugin import Answer, Plugin

TOUCH = "touch /run/injected"
INJECTIONS = [
    f"$({TOUCH})",
    f"`{TOUCH}`",
    f"x; {TOUCH}",
    f'x"; {TOUCH}; "',
    f"x'; {TOUCH}; '",
    f"x\n{TOUCH}\n",
    "x\nCOMMIT\n*nat\n-A PREROUTING -j ACCEPT\nCOMMIT",
    'x" -j ACCEPT',
    "$HOME/x",
    "x\\",
    "x y",
]


@pytest.fixture
def delegates(host: Host) -> Delegates:
    return Delegates(host)


@pytest.fixture
def network(plugin: Plugin, delegates: Delegates) -> Network:
    return imagined(plugin, delegates, "10.5.0.2")


def add(host: Host, network: Network, *mappings: Any) -> Answer:
    """Ask for a container with mappings, which may be anything."""
    return network.task(host.container("web-1"), *mappings).add()


def assert_refused(answer: Answer, code: int, field: str, host: Host, delegates: Delegates) -> None:
    """See that a request was refused for a field, and that nothing at all was done for it."""
    assert (answer.status, answer.code) == (1, code), answer.document
    assert answer.document["msg"].startswith(field)
    assert answer.stdout.count(b"\n") == 1
    assert delegates.calls("fixed") == []
    assert traces(host) == NOTHING
    assert host.nftables() == []
    # The fake delegate is the test's own.
    assert [name for name in host.files("/run") if not name.startswith("tools/")] == [
        "delegates/fixed"
    ]


@pytest.mark.parametrize("payload", INJECTIONS)
@pytest.mark.parametrize("command", ["ADD", "DEL"])
@pytest.mark.parametrize(
    ("field", "code"), [("CNI_CONTAINERID", 4), ("CNI_IFNAME", 4), ("chain", 7), ("name", 7)]
)
def test_what_would_be_a_command_to_a_shell_reaches_none(
    host: Host,
    network: Network,
    delegates: Delegates,
    command: str,
    field: str,
    code: int,
    payload: str,
) -> None:
    web = host.container("web-1")
    if field.startswith("CNI_"):
        request, variables = network.task(web, tcp(8080)).request(), {field: payload}
    else:
        request, variables = network.but(**{field: payload}).task(web, tcp(8080)).request(), {}

    answer = network.plugin.run(command, web, request, **variables)

    assert_refused(answer, code, field, host, delegates)


@pytest.mark.parametrize("payload", INJECTIONS)
def test_what_would_be_a_command_is_no_protocol(
    host: Host, network: Network, delegates: Delegates, payload: str
) -> None:
    answer = add(host, network, tcp(8080) | {"protocol": payload})

    path = 'args["org.apache.mesos"].network_info.port_mappings[0].protocol: '
    assert_refused(answer, 2, path, host, delegates)


@pytest.mark.parametrize("payload", [*INJECTIONS, "", "-j", "!", "a/b", "waytoolongforadevice"])
def test_what_would_be_a_command_is_no_device(
    host: Host, network: Network, delegates: Delegates, payload: str
) -> None:
    answer = add(host, network.but(excludeDevices=["mesos-cni0", payload]), tcp(8080))

    assert_refused(answer, 7, "excludeDevices[1]: ", host, delegates)


@pytest.mark.parametrize("field", ["host_port", "container_port"])
@pytest.mark.parametrize("port", [0, -1, 65536, 70000, 4294967296, 80.9, "80", True, None, [80]])
def test_a_port_that_is_none_is_refused_before_the_delegate_runs(
    host: Host, network: Network, delegates: Delegates, field: str, port: object
) -> None:
    answer = add(host, network, tcp(8080), tcp(8081) | {field: port})

    path = f'args["org.apache.mesos"].network_info.port_mappings[1].{field}: '
    assert_refused(answer, 7, path, host, delegates)


@pytest.mark.parametrize("protocol", ["dccp", "icmp", "all", "6", "", "tcp,udp"])
def test_a_protocol_that_has_no_mappings_is_refused_before_the_delegate_runs(
    host: Host, network: Network, delegates: Delegates, protocol: str
) -> None:
    answer = add(host, network, tcp(8080), tcp(8081) | {"protocol": protocol})

    path = 'args["org.apache.mesos"].network_info.port_mappings[1].protocol: '
    assert_refused(answer, 2, path, host, delegates)


def test_the_three_protocols_work_in_any_letter_case(host: Host, network: Network) -> None:
    web = network.task(
        host.container("web-1"),
        {"host_port": 1, "container_port": 2},
        udp(3, 4),
        udp(5, 6) | {"protocol": "Sctp"},
    )

    web.attach()

    assert host.chain(CHAIN) == [
        dnat(5, "10.5.0.2:6", web, protocol="sctp"),
        dnat(1, "10.5.0.2:2", web),
        dnat(3, "10.5.0.2:4", web, protocol="udp"),
    ]


@pytest.mark.parametrize(
    "chain",
    ["", "ACCEPT", "DROP", "RETURN", "DNAT", "PREROUTING", "OUTPUT", "POSTROUTING", "-A", "a" * 29],
)
def test_a_chain_that_must_not_be_one_is_refused_and_no_rule_made(
    any_host: Host, any_plugin: Plugin, chain: str
) -> None:
    delegates = Delegates(any_host)
    network = imagined(any_plugin, delegates, "10.5.0.2", chain=chain)

    answer = add(any_host, network, tcp(8080))

    assert_refused(answer, 7, "chain: ", any_host, delegates)


def test_the_longest_name_of_a_chain_works(any_host: Host, any_plugin: Plugin) -> None:
    network = imagined(any_plugin, Delegates(any_host), "10.5.0.2", chain="C" * 28)
    web = network.task(any_host.container("web-1"), tcp(8080))
    web.attach()

    assert any_host.chain("C" * 28) == [dnat(8080, "10.5.0.2:80", web)]

    web.detach()

    assert traces(any_host) == NOTHING


def test_the_plugin_is_no_delegate_of_its_own(
    host: Host, network: Network, delegates: Delegates
) -> None:
    delegate = {"type": "mesos-cni-port-mapper", "chain": "INNER", "delegate": {"type": "fixed"}}

    answer = add(host, network.but(delegate=delegate), tcp(8080))

    assert_refused(answer, 7, "delegate.type: ", host, delegates)
    assert "itself" in answer.document["msg"]


@pytest.mark.parametrize("path", ["/bin/sh", "../delegates/fixed", "..", "", "a\nb"])
def test_a_delegates_type_does_not_lead_out_of_cni_path(
    host: Host, network: Network, delegates: Delegates, path: str
) -> None:
    answer = add(host, network.but(delegate={"type": path}), tcp(8080))

    assert_refused(answer, 7, "delegate.type: ", host, delegates)


def test_the_delegates_own_name_and_args_are_replaced_and_it_is_said(
    host: Host, network: Network, delegates: Delegates
) -> None:
    own = {"name": "inner", "args": {"inner": {}}, "address": "10.5.0.2/24", "type": "fixed"}

    answer = network.but(delegate=own).task(host.container("web-1"), tcp(8080)).attach()

    (call,) = delegates.calls("fixed")
    assert call.config["name"] == "imagined"
    assert list(call.config["args"]) == ["org.apache.mesos"]
    assert "delegate.name is replaced" in answer.stderr
    assert "delegate.args is replaced" in answer.stderr


def test_nothing_is_said_when_nothing_is_replaced(host: Host, network: Network) -> None:
    answer = network.task(host.container("web-1"), tcp(8080)).attach()

    assert answer.stderr == ""


@pytest.mark.parametrize("version", VERSIONS)
def test_the_delegate_is_asked_in_the_version_that_is_configured(
    host: Host, network: Network, delegates: Delegates, version: str
) -> None:
    web = network.but(cniVersion=version).task(host.container("web-1"), tcp(8080))

    answer = web.attach()
    web.detach()

    assert [call.config["cniVersion"] for call in delegates.calls("fixed")] == [version] * 2
    assert answer.document["cniVersion"] == version


def test_the_delegate_is_asked_in_no_version_when_none_is_configured(
    host: Host, network: Network, delegates: Delegates
) -> None:
    web = network.task(host.container("web-1"), tcp(8080))
    web.attach()
    web.detach()

    assert ["cniVersion" in call.config for call in delegates.calls("fixed")] == [False] * 2


def test_version_needs_nothing_but_the_command(host: Host, plugin: Plugin) -> None:
    for netconf in (b"", b"{", b'{"cniVersion":"0.1.0"}'):
        answer = plugin.bare({"CNI_COMMAND": "VERSION"}, netconf)

        assert (answer.status, answer.stderr) == (0, "")
        assert answer.document == {"cniVersion": "1.1.0", "supportedVersions": list(VERSIONS)}


def test_version_does_not_wait_for_its_input(host: Host, plugin: Plugin) -> None:
    assert plugin.bare({"CNI_COMMAND": "VERSION"}, None).status == 0


@pytest.mark.parametrize("args", [None, {}, {"cni": {"ips": ["10.5.0.9"]}}])
def test_args_without_a_word_of_mesos_mean_no_mappings(
    host: Host, network: Network, delegates: Delegates, args: object
) -> None:
    netconf = {**network.netconf, "args": args}

    answer = network.plugin.add(host.container("web-1"), netconf)

    assert answer.status == 0
    assert host.chain(CHAIN) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"delegate": None},
            "delegate: is missing, and there is no prevResult of a plugin before this one",
        ),
        ({"delegate": {}}, "delegate.type: is missing; it must be a string"),
        ({"delegate": "bridge"}, "delegate: must be an object, not 'bridge'"),
        ({"chain": None}, "chain: is missing; it must be a string"),
        ({"excludeDevices": "docker0"}, "excludeDevices: must be an array, not 'docker0'"),
        ({"excludeDevices": [1]}, "excludeDevices[0]: must be a string, not 1"),
    ],
)
def test_a_message_says_where_and_what(
    host: Host, network: Network, changes: dict[str, Any], message: str
) -> None:
    answer = add(host, network.but(**changes), tcp(8080))

    assert answer.document == {"cniVersion": "0.2.0", "code": 7, "msg": message}


def test_all_missing_variables_are_named_at_once(host: Host, plugin: Plugin) -> None:
    answer = plugin.bare({"CNI_COMMAND": "ADD"}, DOCUMENT)

    assert answer.code == 4
    assert answer.document["msg"] == (
        "CNI_CONTAINERID is missing; CNI_IFNAME is missing; CNI_NETNS is missing; "
        "CNI_PATH is missing"
    )
