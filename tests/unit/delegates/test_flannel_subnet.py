"""subnet.env: what Flannel gave this host."""

import pytest

from delegates.flannel_subnet import Subnet, parse_subnet
from tests.unit.delegates.ipam_requests import refusal

PATH = "/run/flannel/subnet.env"
WRITTEN = """\
FLANNEL_NETWORK=10.42.0.0/16
FLANNEL_SUBNET=10.42.31.1/24
FLANNEL_MTU=1450
FLANNEL_IPMASQ=true
"""
V6 = "FLANNEL_IPV6_NETWORK=fd00:42::/48\nFLANNEL_IPV6_SUBNET=fd00:42:0:1f::1/64\n"


def parse(text: str) -> Subnet:
    return parse_subnet(PATH, text.encode())


def without(key: str) -> str:
    return "".join(line for line in WRITTEN.splitlines(True) if not line.startswith(f"{key}="))


def replaced(key: str, value: str) -> str:
    return f"{without(key)}{key}={value}\n"


def test_the_file_as_it_is_written() -> None:
    assert parse(WRITTEN) == Subnet(
        networks=("10.42.0.0/16",), subnets=("10.42.31.0/24",), mtu=1450, masquerades=True
    )


def test_several_networks_and_both_families() -> None:
    subnet = parse(replaced("FLANNEL_NETWORK", "10.42.0.0/16,10.43.0.0/16") + V6)

    assert subnet.networks == ("10.42.0.0/16", "10.43.0.0/16", "fd00:42::/48")
    assert subnet.subnets == ("10.42.31.0/24", "fd00:42:0:1f::/64")


def test_ipv6_alone() -> None:
    text = V6 + "FLANNEL_MTU=1430\nFLANNEL_IPMASQ=false\n"

    assert parse(text) == Subnet(
        networks=("fd00:42::/48",), subnets=("fd00:42:0:1f::/64",), mtu=1430, masquerades=False
    )


def test_other_lines_and_blanks_may_be_there() -> None:
    text = WRITTEN.replace("=", " = ") + "\n# a comment\nFLANNEL_NEW=1\nwhatever\n"

    assert parse(text) == parse(WRITTEN)


@pytest.mark.parametrize(
    "key", ["FLANNEL_NETWORK", "FLANNEL_SUBNET", "FLANNEL_MTU", "FLANNEL_IPMASQ"]
)
@pytest.mark.parametrize("empty", [False, True])
def test_a_key_that_is_missing_is_named(key: str, empty: bool) -> None:
    text = replaced(key, "") if empty else without(key)

    assert refusal(lambda: parse(text)) == (999, f"{PATH} has no {key}")


def test_all_missing_keys_are_named() -> None:
    assert refusal(lambda: parse("")) == (
        999,
        f"{PATH} has no FLANNEL_NETWORK, FLANNEL_SUBNET, FLANNEL_MTU, FLANNEL_IPMASQ",
    )
    half = WRITTEN + V6.partition("\n")[0] + "\n"
    assert refusal(lambda: parse(half)) == (999, f"{PATH} has no FLANNEL_IPV6_SUBNET")


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("FLANNEL_SUBNET", "10.42.31.1", "an IPv4 address with a prefix length"),
        ("FLANNEL_SUBNET", "10.42.31.1/33", "an IPv4 address with a prefix length"),
        ("FLANNEL_SUBNET", "fd00::1/64", "an IPv4 address with a prefix length"),
        ("FLANNEL_MTU", "0", "a whole number from 1 to 65535"),
        ("FLANNEL_MTU", "65536", "a whole number from 1 to 65535"),
        ("FLANNEL_MTU", "-1", "a whole number from 1 to 65535"),
        ("FLANNEL_MTU", "many", "a whole number from 1 to 65535"),
        ("FLANNEL_IPMASQ", "yes", "true or false"),
    ],
)
def test_a_value_that_is_wrong_is_shown(key: str, value: str, expected: str) -> None:
    code, message = refusal(lambda: parse(replaced(key, value)))

    assert (code, message) == (999, f"{PATH}: {key} must be {expected}, not {value!r}")


def test_one_network_of_several_that_is_wrong_is_shown() -> None:
    text = replaced("FLANNEL_NETWORK", "10.42.0.0/16,10.43.0.0")

    code, message = refusal(lambda: parse(text))
    assert (code, message.endswith("not '10.43.0.0'")) == (999, True)


def test_bytes_that_are_no_text_are_no_subnet() -> None:
    code, message = refusal(lambda: parse_subnet(PATH, b"\xff\x00" * 100))

    assert (code, message.partition(" has no ")[0]) == (999, PATH)
