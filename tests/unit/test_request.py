"""One invocation, as the runtime words it: what is asked for, and what is wrong with it."""

import os
from typing import Any

import pytest

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.cni.request import (
    Request,
    make_request,
    parse_environment,
    parse_version,
    read_netconf,
)
from tests.unit.streams import memory

ENVIRON = {
    "CNI_CONTAINERID": "web-1",
    "CNI_IFNAME": "eth0",
    "CNI_NETNS": "/run/netns/web-1",
    "CNI_PATH": "/opt/cni/bin",
}


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in ENVIRON.items() if name not in names}


def refusal_of(command: str, environ: dict[str, str]) -> tuple[int, str]:
    with pytest.raises(CniError) as refusal:
        parse_environment(command, environ)
    return refusal.value.code, str(refusal.value)


@pytest.mark.parametrize("command", ["ADD", "CHECK", "DEL"])
def test_a_complete_environment_is_accepted(command: str) -> None:
    parse_environment(command, ENVIRON)

    assert refusal_of(command, {})[0] == 4


def test_a_del_needs_no_namespace() -> None:
    parse_environment("DEL", without("CNI_NETNS"))

    assert refusal_of("ADD", without("CNI_NETNS")) == (4, "CNI_NETNS is missing")


@pytest.mark.parametrize("name", ENVIRON)
def test_an_add_misses_a_variable(name: str) -> None:
    assert refusal_of("ADD", without(name)) == (4, f"{name} is missing")


def test_an_empty_variable_is_a_missing_one() -> None:
    assert refusal_of("ADD", {**ENVIRON, "CNI_PATH": ""}) == (4, "CNI_PATH is missing")


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        pytest.param("ADD", ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS", "CNI_PATH"], id="ADD"),
        pytest.param(
            "CHECK", ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS", "CNI_PATH"], id="CHECK"
        ),
        pytest.param("DEL", ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"], id="DEL"),
    ],
)
def test_all_missing_variables_are_in_one_message(command: str, missing: list[str]) -> None:
    assert refusal_of(command, {}) == (4, "; ".join(f"{name} is missing" for name in missing))


def test_missing_and_malformed_variables_are_in_one_message() -> None:
    environ = {"CNI_CONTAINERID": "-x", "CNI_IFNAME": "a/b", "CNI_NETNS": "/n"}

    assert refusal_of("ADD", environ) == (
        4,
        "CNI_PATH is missing; CNI_CONTAINERID '-x' must begin with a letter or digit and hold "
        "letters, digits, '_', '.' and '-' only; CNI_IFNAME 'a/b' is no interface name",
    )


@pytest.mark.parametrize(
    "container_id", ["../etc", "a b", 'a"', "$(id)", "a\nb", "é", "a;b"], ids=ascii
)
def test_a_container_id_that_could_be_something_else_is_refused(container_id: str) -> None:
    code, message = refusal_of("DEL", {**ENVIRON, "CNI_CONTAINERID": container_id})

    assert (code, message.split(" must ")[0]) == (4, f"CNI_CONTAINERID {container_id!a}")


def test_the_configuration_is_read() -> None:
    with memory(b' {"name": "net"}\n') as stdin:
        assert read_netconf(stdin) == {"name": "net"}


def test_a_configuration_may_come_in_pieces() -> None:
    reader, writer = os.pipe()
    os.write(writer, b'{"na')
    os.write(writer, b'me": "net"}')
    os.close(writer)

    try:
        assert read_netconf(reader) == {"name": "net"}
    finally:
        os.close(reader)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "is not JSON: Expecting value", id="nothing"),
        pytest.param(b"{", "is not JSON: Expecting property name", id="half an object"),
        pytest.param(b"[]", "is an array, not a JSON object", id="an array"),
        pytest.param(b"null", "is null, not a JSON object", id="null"),
        pytest.param(b'"x"', "is 'x', not a JSON object", id="a string"),
        pytest.param(b"\xff", "is not JSON: 'utf-8' codec", id="no UTF-8"),
    ],
)
def test_a_configuration_that_is_none_is_refused(data: bytes, message: str) -> None:
    with memory(data) as stdin, pytest.raises(CniError) as refusal:
        read_netconf(stdin)

    assert refusal.value.code == 6
    assert message in str(refusal.value)


def test_a_closed_stdin_has_a_code_of_its_own() -> None:
    with memory() as stdin:
        pass

    with pytest.raises(CniError) as refusal:
        read_netconf(stdin)

    assert (refusal.value.code, str(refusal.value)) == (
        100,
        "cannot read the network configuration from stdin: Bad file descriptor",
    )


@pytest.mark.parametrize("command", ["ADD", "DEL"])
@pytest.mark.parametrize("version", ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
def test_a_version_is_spoken(command: str, version: str) -> None:
    assert parse_version(command, {"cniVersion": version}) == version


@pytest.mark.parametrize(
    "netconf", [{}, {"cniVersion": None}, {"cniVersion": ""}], ids=["missing", "null", "empty"]
)
def test_a_version_that_is_not_named_is_0_2_0(netconf: dict[str, Any]) -> None:
    assert parse_version("ADD", netconf) == "0.2.0"


@pytest.mark.parametrize("version", ["1.2.0", "0.0.9", "1.0", "latest"])
def test_an_unknown_version_is_refused_naming_the_known_ones(version: str) -> None:
    with pytest.raises(CniError) as refusal:
        parse_version("DEL", {"cniVersion": version})

    assert (refusal.value.code, refusal.value.msg, refusal.value.details) == (
        1,
        f"cniVersion: '{version}' is not supported",
        "supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0",
    )


def test_a_version_of_the_wrong_type_is_an_invalid_configuration() -> None:
    with pytest.raises(CniError) as refusal:
        parse_version("ADD", {"cniVersion": 1})

    assert (refusal.value.code, str(refusal.value)) == (7, "cniVersion: must be a string, not 1")


@pytest.mark.parametrize("version", ["0.4.0", "1.0.0", "1.1.0"])
def test_a_check_is_known_to(version: str) -> None:
    assert parse_version("CHECK", {"cniVersion": version}) == version


@pytest.mark.parametrize(
    "netconf",
    [{}, {"cniVersion": "0.2.0"}, {"cniVersion": "0.3.1"}],
    ids=["no version", "0.2.0", "0.3.1"],
)
def test_a_check_is_refused_in(netconf: dict[str, Any]) -> None:
    named = netconf.get("cniVersion", "0.2.0")

    with pytest.raises(CniError) as refusal:
        parse_version("CHECK", netconf)

    assert (refusal.value.code, str(refusal.value)) == (
        1,
        f"cniVersion: CHECK needs 0.4.0 or later, not {named}",
    )


@pytest.mark.parametrize("command", ["GC", "STATUS"])
def test_commands_about_a_network_came_with_1_1_0(command: str) -> None:
    assert parse_version(command, {"cniVersion": "1.1.0"}) == "1.1.0"
    with pytest.raises(CniError) as refusal:
        parse_version(command, {"cniVersion": "1.0.0"})

    assert str(refusal.value) == f"cniVersion: {command} needs 1.1.0 or later, not 1.0.0"


@pytest.mark.parametrize("command", ["GC", "STATUS"])
def test_commands_about_a_network_name_no_container(command: str) -> None:
    parse_environment(command, {"CNI_PATH": "/a"})
    with pytest.raises(CniError, match="CNI_PATH is missing"):
        parse_environment(command, {})

    asked = make_request(command, {"CNI_PATH": "/a"}, {"name": "net"}, "1.1.0")

    assert (asked.container_id, asked.ifname, asked.netns) == ("", "", "")


def test_a_request_holds_what_was_asked() -> None:
    environ = {**ENVIRON, "CNI_PATH": "/a::/b:"}
    netconf = {"name": "net", "type": "x"}

    assert make_request("ADD", environ, netconf, "1.0.0") == Request(
        command="ADD",
        container_id="web-1",
        ifname="eth0",
        netns="/run/netns/web-1",
        path=("/a", "/b"),
        environ=environ,
        netconf=netconf,
        version="1.0.0",
    )


def test_a_request_without_a_namespace_names_none() -> None:
    request = make_request("DEL", without("CNI_NETNS"), {"name": "net"}, "1.0.0")

    assert request.netns == ""


@pytest.mark.parametrize("name", ["", "-net", "a/b", "a b", "../x", "net\n"], ids=ascii)
def test_a_network_name_that_could_be_something_else_is_refused(name: str) -> None:
    with pytest.raises(CniError) as refusal:
        make_request("ADD", ENVIRON, {"name": name}, "1.0.0")

    assert (refusal.value.code, refusal.value.msg.split(" must ")[0]) == (7, f"name: {name!r}")
