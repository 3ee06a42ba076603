import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos_cni_port_mapper.isolator.errors import IsolatorError
from mesos_cni_port_mapper.isolator.names import (
    ancestors,
    check_container_id,
    check_hostname,
    check_network_name,
    container_id_fault,
    default_hostname,
    hostname_fault,
    network_name_fault,
)


@pytest.mark.parametrize(
    "name", ["net", "__MESOS_TEST__", "a b", "net.1", "x" * 255, "ns2", "hosts2"]
)
def test_a_network_may_be_called(name: str) -> None:
    assert network_name_fault(name) == ""


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".x", "a/b", "/", "ns", "hosts", "hostname", "resolv.conf", "x" * 256, "a\0b"],
    ids=ascii,
)
def test_a_network_may_not_be_called(name: str) -> None:
    with pytest.raises(IsolatorError, match="the network name"):
        check_network_name(name)


@given(st.text())
def test_a_good_networks_name_is_one_plain_component_of_a_path(name: str) -> None:
    if not network_name_fault(name):
        assert "/" not in name
        assert name not in ("", ".", "..", "ns", "hosts", "hostname", "resolv.conf")
        assert 0 < len(name.encode()) <= 255
        assert not any(ord(char) < 32 for char in name)


@pytest.mark.parametrize("container_id", ["a", "a.b.c", "a$`\"[*'", "x" * 242, "é" * 121])
def test_a_container_may_be_called(container_id: str) -> None:
    assert container_id_fault(container_id) == ""


@pytest.mark.parametrize(
    "container_id",
    ["", ".", "a.", ".a", "a..b", "a/b", "a\\b", "a b", "\x7f", "x" * 243, "é" * 122],
)
def test_a_container_may_not_be_called(container_id: str) -> None:
    with pytest.raises(IsolatorError, match="the container ID"):
        check_container_id(container_id)


def test_levels_together_must_fit_a_path_component() -> None:
    assert "may have 255" in container_id_fault(f"{'x' * 200}.{'y' * 200}")


@given(st.text())
def test_a_good_container_id_is_one_plain_component_of_a_path(container_id: str) -> None:
    if not container_id_fault(container_id):
        assert "/" not in container_id
        assert not container_id.startswith(".")
        assert 0 < len(container_id.encode()) <= 255
        assert not hostname_fault(default_hostname(container_id))


@given(st.text())
def test_a_good_hostname_is_one_word_that_the_kernel_takes(hostname: str) -> None:
    if not hostname_fault(hostname):
        assert hostname.split() == [hostname]
        assert len(hostname.encode()) <= 64


@pytest.mark.parametrize("hostname", ["", "a b", "a\tb", "a\nb", "x" * 65, "a#b", "\u00a0"])
def test_a_hostname_may_not_be(hostname: str) -> None:
    with pytest.raises(IsolatorError, match="the hostname"):
        check_hostname(hostname)


@pytest.mark.parametrize(
    ("container_id", "hostname"),
    [
        ("a", "a"),
        ("a.b", "b"),
        ("x" * 65, "x" * 64),
        ("é" * 33, "é" * 32),
        ("a#b", "a-b"),
        ("xé" * 32, "xé" * 21 + "x"),
    ],
)
def test_a_hostname_is_the_containers_own_level(container_id: str, hostname: str) -> None:
    assert default_hostname(container_id) == hostname


def test_ancestors_are_named_from_the_nearest_outwards() -> None:
    assert ancestors("a.b.c") == ("a.b", "a")
    assert ancestors("a") == ()
