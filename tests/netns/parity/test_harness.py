"""The comparison itself: alike is equal, anything else is not."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tests.netns.parity.cases import (
    ADD,
    ADD_2,
    CHECK,
    DEL,
    REFERENCE,
    TWO,
    Call,
    Case,
    Probe,
    Shell,
    labels,
)
from tests.netns.parity.networks import DEFAULTS, V4, V6, bridge, local, macvlan, ptp
from tests.netns.parity.observation import differences
from tests.netns.parity.runner import run_case
from tests.netns.parity.table import BY_ID
from tests.support.host import Host
from tests.support.process import CommandError

# Of every plugin, and with all that is invented anew in each run: names, MACs, indices, times.
SAME = (
    "bridge: isGateway, both families",
    "bridge: ipMasq, both families",
    "bridge: no ipam",
    "bridge: DEL when the namespace is gone",
    "bridge: duplicate addresses are looked for",
    "host-local: one after the other",
    "loopback: a life",
    "macvlan: both families",
    "macvlan: DEL when the namespace is gone",
    "ptp: both families",
    "static: with all keys",
)

_GATEWAY = bridge(local(V4), isGateway=True)
_OUT = bridge(local(V4), isDefaultGateway=True)
_ASKED = {"CNI_ARGS": "IP=10.1.0.50"}
_LOCAL = {"type": "host-local", "ipam": local(V4)}

# What is changed in a bridge's or another's life, and one difference that has to be told.
CHANGED: dict[str, tuple[dict[str, Any], dict[str, Any], str, object]] = {
    "a key that a link has": ({}, {"mtu": 1400}, "1 ADD c1: c1 link eth0 mtu", (1500, 1400)),
    "a key that a port has": (
        {},
        {"hairpinMode": True},
        "1 ADD c1: host link peer of eth0 in c1 linkinfo info_slave_data hairpin",
        (False, True),
    ),
    "another bridge": ({}, {"bridge": "cni1"}, "1 ADD c1: host link cni1", (None, "is there")),
    "another address": (
        {},
        {"ipam": local(V4, rangeStart="x")},
        "1 ADD c1: code",
        (None, 999),
    ),
    "a route": (
        {},
        {"ipam": local(V4, routes=[{"dst": "10.9.0.0/16"}])},
        "1 ADD c1: c1 route main unicast 10.9.0.0/16 dev eth0",
        (None, "gateway 10.1.0.1, protocol boot, scope global"),
    ),
    "a sysctl": (
        {},
        {"isGateway": False},
        "1 ADD c1: host sysctl net/ipv4/ip_forward",
        ("1", "0"),
    ),
    "a result": ({}, {"dns": {"domain": "x"}}, "1 ADD c1: result dns domain", (None, "x")),
    "a version": (
        {},
        {"cniVersion": "0.4.0"},
        "1 ADD c1: result cniVersion",
        ("1.0.0", "0.4.0"),
    ),
    "a file's place": (
        {},
        {"name": "other"},
        "1 ADD c1: file networks/other/10.1.0.2",
        (None, "c1\r\neth0"),
    ),
}


def seen(host: Host, case: Case, other: Case) -> dict[str, Any]:
    """Return how the lives of two cases differ, both with Debian's plugins."""
    (first,), (second,) = (
        run_case(host, dataclasses.replace(each, versions=("1.0.0",)), [REFERENCE])
        for each in (case, other)
    )
    return differences(first[0], second[0], labels(case))


@pytest.mark.parametrize("name", SAME)
def test_a_plugin_equals_itself(parity_host: Host, name: str) -> None:
    case = BY_ID[name]

    (*_, (first, second)) = run_case(parity_host, case, [REFERENCE, REFERENCE])

    assert first[0]["status"] == 0
    assert differences(first, second, labels(case)) == {}


@pytest.mark.parametrize("change", CHANGED)
def test_another_configuration_differs(parity_host: Host, change: str) -> None:
    before, after, key, pair = CHANGED[change]
    case, other = (Case("x", _GATEWAY | keys, (ADD, DEL)) for keys in (before, after))

    assert seen(parity_host, case, other)[key] == pair


def test_rules_and_what_the_client_sees_differ(parity_host: Host) -> None:
    steps = (ADD, Probe("c1", "192.0.2.2"))
    case, other = (Case("x", _OUT | {"ipMasq": on}, steps, uplink=True) for on in (False, True))

    found = seen(parity_host, case, other)

    assert found["2 probe c1: shown"] == ("10.1.0.2", "192.0.2.1")
    assert found["1 ADD c1: ipv4 rules nat POSTROUTING"][0] is None


def test_ipv6_rules_differ(parity_host: Host) -> None:
    case, other = (Case("x", ptp(local(V6), ipMasq=on), (ADD,)) for on in (False, True))

    assert "1 ADD c1: ipv6 rules nat POSTROUTING" in seen(parity_host, case, other)


def test_a_mode_of_a_sublink_differs(parity_host: Host) -> None:
    case, other = (
        Case("x", macvlan(local(V4), mode=mode), (ADD,), uplink=True) for mode in ("vepa", "bridge")
    )

    assert seen(parity_host, case, other) == {
        "1 ADD c1: c1 link eth0 linkinfo info_data mode": ("vepa", "bridge")
    }


def test_a_mac_that_a_case_names_differs(parity_host: Host) -> None:
    case, other = (
        Case("x", _GATEWAY | {"runtimeConfig": {"mac": mac}}, (ADD,))
        for mac in ("02:00:00:00:00:b1", "02:00:00:00:00:b2")
    )

    assert seen(parity_host, case, other) == {
        "1 ADD c1: c1 link eth0 address": ("02:00:00:00:00:b1", "02:00:00:00:00:b2")
    }


def test_a_requested_address_differs_everywhere(parity_host: Host) -> None:
    case = Case("x", _LOCAL, (ADD,))
    found = seen(parity_host, case, dataclasses.replace(case, env=_ASKED))

    assert found == {
        "1 ADD c1: file networks/net/10.1.0.2": ("c1\r\neth0", None),
        "1 ADD c1: file networks/net/10.1.0.50": (None, "c1\r\neth0"),
        "1 ADD c1: file networks/net/last_reserved_ip.0": ("10.1.0.2", "10.1.0.50"),
        "1 ADD c1: result ips 0 address": ("10.1.0.2/24", "10.1.0.50/24"),
    }


def test_what_happens_between_calls_differs(parity_host: Host) -> None:
    case = Case("x", _GATEWAY, (ADD, Shell("true", "c1"), CHECK, DEL))
    changed = Shell("ip address flush dev eth0", "c1")
    found = seen(parity_host, case, dataclasses.replace(case, steps=(ADD, changed, CHECK, DEL)))

    assert found["3 CHECK c1: status"] == (0, 1)


def test_a_second_container_that_gets_nothing_differs(parity_host: Host) -> None:
    case = Case("x", _GATEWAY, TWO)
    other = dataclasses.replace(case, steps=(ADD, CHECK, Call("VERSION", "c2"), *TWO[3:]))
    found = seen(parity_host, case, other)

    assert found["3 ADD c2: c2 link eth0"] == ("is there", None)
    assert found["3 ADD c2: host link peer of eth0 in c2"] == ("is there", None)


def test_what_is_shown_differs(parity_host: Host) -> None:
    case, other = (Case("x", _LOCAL, (Shell(f"echo {word}", show=True),)) for word in "ab")

    assert seen(parity_host, case, other) == {"1 shell: shown": ("a\n", "b\n")}


def test_a_missing_plugin_is_no_agreement(parity_host: Host, tmp_path: Path) -> None:
    case = Case("x", _LOCAL, (ADD,), versions=("1.0.0",))

    with pytest.raises(CommandError, match="No such file"):
        run_case(parity_host, case, [REFERENCE, str(tmp_path)])


def test_a_difference_that_lasts_is_told_once(parity_host: Host) -> None:
    case, other = (
        Case("x", bridge(local(V4, routes=DEFAULTS[:1]), mtu=mtu), (ADD, CHECK, ADD_2))
        for mtu in (1400, 1300)
    )
    found = seen(parity_host, case, other)

    assert [key for key in found if "c1 link eth0 mtu" in key] == ["1 ADD c1: c1 link eth0 mtu"]
