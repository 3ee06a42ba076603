"""The port mapper's own keys: what they mean, and what is refused with its path."""

from typing import Any

import pytest

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.portmap.configuration import (
    Configuration,
    Forwarding,
    Timeouts,
    parse_configuration,
    parse_forwarding,
)
from mesos_cni_port_mapper.portmap.mapping import PortMapping
from mesos_cni_port_mapper.portmap.traffic import Traffic

NETCONF = {
    "cniVersion": "1.0.0",
    "name": "net",
    "type": "mesos-cni-port-mapper",
    "chain": "MESOS-NET",
    "delegate": {"type": "bridge", "bridge": "cni0"},
}


def refusal_of(**changes: object) -> tuple[int, str]:
    with pytest.raises(CniError) as refusal:
        parse_configuration({**NETCONF, **changes})
    return refusal.value.code, str(refusal.value)


def test_a_configuration_says_where_rules_and_delegate_are() -> None:
    assert parse_configuration(NETCONF) == Configuration(
        name="net",
        chain="MESOS-NET",
        delegates=({"type": "bridge", "bridge": "cni0"},),
        state_directory="/run/mesos-cni-port-mapper",
        timeouts=Timeouts(delegate=120.0, lock=15.0, tools=30.0),
    )


def test_unknown_keys_are_ignored() -> None:
    netconf = {**NETCONF, "ipMasq": [], "x": {"y": 1}}

    assert parse_configuration(netconf) == parse_configuration(NETCONF)


@pytest.mark.parametrize("key", ["name", "type", "chain"])
def test_a_key_is_missed(key: str) -> None:
    assert refusal_of(**{key: None}) == (7, f"{key}: is missing; it must be a string")


@pytest.mark.parametrize("chain", ["A", "a.b_c-9", "_x", "9", "C" * 28])
def test_a_chain_is_accepted(chain: str) -> None:
    assert parse_configuration({**NETCONF, "chain": chain}).chain == chain


@pytest.mark.parametrize(
    "chain",
    [
        "",
        "-x",
        ".x",
        "-A",
        "!x",
        "a b",
        "a\n-F",
        'a"b',
        "a'b",
        "$(id)",
        "`id`",
        "a;b",
        "a/b",
        "a\0",
        "ä",
        "a:b",
        "\\",
    ],
    ids=ascii,
)
def test_a_chain_of_odd_characters_is_refused(chain: str) -> None:
    code, message = refusal_of(chain=chain)

    assert (code, message.split(" must ")[0]) == (7, f"chain: {chain!a}")


def test_a_chain_of_29_characters_is_refused() -> None:
    assert refusal_of(chain="C" * 29) == (
        7,
        f"chain: '{'C' * 29}' is longer than 28 characters",
    )


@pytest.mark.parametrize("chain", ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"])
def test_a_built_in_chain_is_refused(chain: str) -> None:
    assert refusal_of(chain=chain) == (
        7,
        f"chain: '{chain}' is a built-in chain; name one for this network",
    )


@pytest.mark.parametrize("chain", ["ACCEPT", "DROP", "RETURN", "DNAT", "MARK", "REDIRECT", "QUEUE"])
def test_a_target_s_name_is_refused_for_a_chain(chain: str) -> None:
    assert refusal_of(chain=chain) == (
        7,
        f"chain: '{chain}' is the name of a target; name a chain for this network",
    )


@pytest.mark.parametrize("chain", ["MPM-", "MPM-LO-x", "MPM-SN-79fa6a349297db55"])
def test_a_chain_that_could_be_one_beside_another_network_s_is_refused(chain: str) -> None:
    assert refusal_of(chain=chain) == (
        7,
        f"chain: '{chain}' begins with MPM-, as only chains that go with a network's do",
    )


@pytest.mark.parametrize("chain", [5, ["A"], True], ids=str)
def test_a_chain_that_is_no_string_is_refused(chain: object) -> None:
    assert refusal_of(chain=chain)[1].startswith("chain: must be a string, not ")


def test_timeouts_can_be_set_one_by_one() -> None:
    netconf = {**NETCONF, "timeouts": {"lock": 1, "tools": 0.5, "delegate": None}}

    assert parse_configuration(netconf).timeouts == Timeouts(delegate=120.0, lock=1.0, tools=0.5)


@pytest.mark.parametrize("key", ["delegate", "lock", "tools"])
@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (0, "must be from 0.001 to 86400 seconds, not 0"),
        (-1, "must be from 0.001 to 86400 seconds, not -1"),
        (1e300, "must be from 0.001 to 86400 seconds, not 1e+300"),
        ("5", "must be a number of seconds, not '5'"),
        (True, "must be a number of seconds, not true"),
    ],
    ids=["nothing", "negative", "longer than a day", "a string", "true"],
)
def test_a_timeout_is_refused(key: str, value: object, complaint: str) -> None:
    assert refusal_of(timeouts={key: value}) == (7, f"timeouts.{key}: {complaint}")


def test_timeouts_that_are_no_object_are_refused() -> None:
    assert refusal_of(timeouts=5) == (7, "timeouts: must be an object, not 5")


@pytest.mark.parametrize(
    ("given", "meant"),
    [("/state", "/state"), ("/state/", "/state"), ("/a b/é", "/a b/é"), ("/", "")],
)
def test_a_state_directory_is_accepted(given: str, meant: str) -> None:
    assert parse_configuration({**NETCONF, "stateDir": given}).state_directory == meant


@pytest.mark.parametrize("given", ["", "state", "./x", "/a\0b", "/a\nb", "/\ud800"], ids=ascii)
def test_a_state_directory_is_refused(given: str) -> None:
    assert refusal_of(stateDir=given) == (
        7,
        f"stateDir: must be an absolute path, not {given!a}",
    )


def forwarding(**keys: Any) -> Forwarding:
    return parse_forwarding({**NETCONF, **keys}, "iptables")


def test_nothing_is_forwarded_unless_it_is_asked_for() -> None:
    assert forwarding() == Forwarding(
        mappings=(), excluded_devices=(), traffic=Traffic(), policy="fail"
    )


BY_MESOS = {
    "args": {
        "org.apache.mesos": {
            "network_info": {"port_mappings": [{"host_port": 8080, "container_port": 80}]}
        }
    }
}
BY_A_RUNTIME = {"runtimeConfig": {"portMappings": [{"hostPort": 8080, "containerPort": 80}]}}


def test_mappings_devices_traffic_and_policy_are_forwarding() -> None:
    keys = {**BY_A_RUNTIME, "excludeDevices": ["cni0", "veth+"], "snat": True}

    assert forwarding(**keys, onConflict="strict") == Forwarding(
        mappings=(PortMapping(protocol="tcp", host_port=8080, container_port=80),),
        excluded_devices=("cni0", "veth+"),
        traffic=Traffic(snat=True),
        policy="strict",
    )


@pytest.mark.parametrize(
    ("keys", "policy"),
    [
        pytest.param(BY_A_RUNTIME, "fail", id="a runtime"),
        pytest.param(BY_MESOS, "takeover", id="Mesos"),
        pytest.param({**BY_MESOS, **BY_A_RUNTIME}, "fail", id="both"),
        pytest.param({**BY_MESOS, "onConflict": "ignore"}, "ignore", id="the configuration"),
    ],
)
def test_what_happens_to_a_port_that_is_taken_is_said_by(keys: dict[str, Any], policy: str) -> None:
    assert forwarding(**keys).policy == policy


@pytest.mark.parametrize(
    ("keys", "code", "complaint"),
    [
        ({"localhost": 1}, 7, "localhost: must be true or false, not 1"),
        ({"onConflict": "x"}, 2, "onConflict: 'x' is none of fail, takeover, ignore, strict"),
        (
            {"runtimeConfig": {"portMappings": 1}},
            7,
            "runtimeConfig.portMappings: must be an array, not 1",
        ),
    ],
    ids=["traffic", "policy", "mappings"],
)
def test_what_is_wrong_with_it_is_told(keys: dict[str, Any], code: int, complaint: str) -> None:
    with pytest.raises(CniError) as refusal:
        forwarding(**keys)

    assert (refusal.value.code, str(refusal.value)) == (code, complaint)


def test_a_device_named_twice_is_excluded_once() -> None:
    assert forwarding(excludeDevices=["b", "a", "b"]).excluded_devices == ("b", "a")


@pytest.mark.parametrize(
    ("devices", "complaint"),
    [
        pytest.param("cni0", "excludeDevices: must be an array, not 'cni0'", id="a string"),
        pytest.param(["a", 5], "excludeDevices[1]: must be a string, not 5", id="a number"),
        pytest.param(["a", ""], "excludeDevices[1]: '' is no device name", id="no name"),
        pytest.param(["+"], "excludeDevices[0]: '+' is no device name", id="every device"),
        pytest.param(
            ["a" * 16], f"excludeDevices[0]: '{'a' * 16}' is no device name", id="16 characters"
        ),
        pytest.param(
            ["cni0 -j DROP"],
            "excludeDevices[0]: 'cni0 -j DROP' is no device name",
            id="options",
        ),
        pytest.param(["!cni0"], "excludeDevices[0]: '!cni0' is no device name", id="a negation"),
    ],
)
def test_an_excluded_device_is_refused(devices: object, complaint: str) -> None:
    with pytest.raises(CniError) as refusal:
        forwarding(excludeDevices=devices)

    assert (refusal.value.code, str(refusal.value)) == (7, complaint)
