"""Names that are allowed, and names that would be trouble further down."""

import pytest

from mesos_cni_port_mapper.cni.names import (
    is_device_pattern,
    is_interface_name,
    is_name,
    is_network_name,
    is_plugin_type,
)

WORDS = ["a", "web-1", "8", "a.b_c-d", "A" * 300]
NO_WORDS = ["", "-a", ".a", "_a", "a b", "a/b", "a\n", "a\0", "ä", 'a"', "a:b", "a$b", "a\ud800"]

NETWORKS = [*WORDS, "__MESOS_TEST__0", "_a"]
NO_NETWORKS = [*(word for word in NO_WORDS if word != "_a"), "_", "__", "_-a"]

INTERFACES = ["eth0", "e", "a" * 15, "eth0.100", "veth_1-a", "eth@if", "-x", "a+b"]
NO_INTERFACES = [
    "",
    "a" * 16,
    ".",
    "..",
    "a/b",
    "a:b",
    "a b",
    "a\t",
    "a\n",
    "a\0",
    "é",
    "a\udc80",
    'a"',
    "a'",
    "a\\",
]

DEVICES = ["eth0", "mesos-cni0", "veth+", "a.1_b-c", "a" * 15]
NO_DEVICES = ["", "+", "-i", "!eth0", "a" * 16, "a+b", "eth 0", "eth0;", "$(id)", "a/b", "eth++"]

TYPES = ["bridge", "mesos-cni-port-mapper", "a b", "ä", "..."]
NO_TYPES = ["", ".", "..", "../bridge", "/bin/sh", "a\nb", "a\0b", "a\ud800"]


@pytest.mark.parametrize("text", WORDS, ids=ascii)
def test_a_name_is_allowed(text: str) -> None:
    assert is_name(text)


@pytest.mark.parametrize("text", NO_WORDS, ids=ascii)
def test_a_name_is_refused(text: str) -> None:
    assert not is_name(text)


@pytest.mark.parametrize("text", NETWORKS, ids=ascii)
def test_a_network_name_is_allowed(text: str) -> None:
    assert is_network_name(text)


@pytest.mark.parametrize("text", NO_NETWORKS, ids=ascii)
def test_a_network_name_is_refused(text: str) -> None:
    assert not is_network_name(text)


@pytest.mark.parametrize("text", INTERFACES, ids=ascii)
def test_an_interface_name_is_allowed(text: str) -> None:
    assert is_interface_name(text)


@pytest.mark.parametrize("text", NO_INTERFACES, ids=ascii)
def test_an_interface_name_is_refused(text: str) -> None:
    assert not is_interface_name(text)


@pytest.mark.parametrize("text", DEVICES, ids=ascii)
def test_a_device_is_allowed(text: str) -> None:
    assert is_device_pattern(text)


@pytest.mark.parametrize("text", NO_DEVICES, ids=ascii)
def test_a_device_is_refused(text: str) -> None:
    assert not is_device_pattern(text)


@pytest.mark.parametrize("text", TYPES, ids=ascii)
def test_a_plugin_type_is_allowed(text: str) -> None:
    assert is_plugin_type(text)


@pytest.mark.parametrize("text", NO_TYPES, ids=ascii)
def test_a_plugin_type_is_refused(text: str) -> None:
    assert not is_plugin_type(text)
