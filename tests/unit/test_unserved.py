"""Who is to blame for a mapping that cannot be forwarded: the host, or whoever gave addresses."""

import pytest

from mesos_cni_port_mapper.netfilter.unserved import explain_unserved
from mesos_cni_port_mapper.portmap.mapping import PortMapping
from tests.unit.wishes import mapping

ANY = mapping(8080)
V4 = mapping(8081, host_address="192.0.2.1")
V6 = mapping(8082, host_address="2001:db8::1")
GIVEN_4, GIVEN_6 = "10.0.0.2/24", "fd00::2/64"
NO_TOOLS = {6: "ip6tables is missing"}
NO_IPTABLES = {4: "iptables is missing"}


def explanation(
    *mappings: PortMapping, v4: str = "", v6: str = "", obstacles: dict[int, str]
) -> tuple[int, str, str]:
    error = explain_unserved(mappings, {4: v4, 6: v6}, obstacles, "delegate bridge", "eth0")
    return error.code, error.msg, error.details


@pytest.mark.parametrize(
    ("mappings", "v4", "v6", "obstacles"),
    [
        pytest.param((V6,), GIVEN_4, "", {}, id="none of this family"),
        pytest.param((V4,), "", GIVEN_6, {}, id="none of that family"),
        pytest.param((ANY,), "", "", {}, id="none at all"),
        pytest.param((ANY,), "", "", NO_TOOLS, id="one that can be used was not given"),
        pytest.param((V4,), "", "", NO_TOOLS, id="what is missing would not help"),
    ],
)
def test_who_gave_no_address_is_to_blame(
    mappings: tuple[PortMapping, ...], v4: str, v6: str, obstacles: dict[int, str]
) -> None:
    code, message, details = explanation(*mappings, v4=v4, v6=v6, obstacles=obstacles)

    assert code == 102
    assert message.startswith("delegate bridge returned no address for eth0 to forward tcp 808")
    assert details == f"addresses: {v4 or v6 or 'none'}"


@pytest.mark.parametrize(
    ("mappings", "v4", "v6", "obstacles", "said"),
    [
        pytest.param(
            (V6,),
            GIVEN_4,
            GIVEN_6,
            NO_TOOLS,
            "tcp 8082 of 2001:db8::1: ip6tables is missing",
            id="the address cannot be used",
        ),
        pytest.param(
            (V6,),
            GIVEN_4,
            "",
            NO_TOOLS,
            "tcp 8082 of 2001:db8::1: ip6tables is missing",
            id="an address would not help",
        ),
        pytest.param(
            (ANY,), "", GIVEN_6, NO_TOOLS, "tcp 8080: ip6tables is missing", id="the only one given"
        ),
        pytest.param(
            (ANY, V4),
            GIVEN_4,
            "",
            NO_IPTABLES,
            "tcp 8080, tcp 8081 of 192.0.2.1: iptables is missing",
            id="several mappings",
        ),
        pytest.param(
            (V4, V6),
            "",
            "",
            NO_TOOLS,
            "tcp 8082 of 2001:db8::1: ip6tables is missing",
            id="the others wait until it is there",
        ),
        pytest.param(
            (ANY,),
            "",
            "",
            NO_IPTABLES | NO_TOOLS,
            "tcp 8080: iptables is missing and ip6tables is missing",
            id="nothing is here",
        ),
    ],
)
def test_the_host_is_to_blame_for_what_it_lacks(
    mappings: tuple[PortMapping, ...], v4: str, v6: str, obstacles: dict[int, str], said: str
) -> None:
    code, message, _ = explanation(*mappings, v4=v4, v6=v6, obstacles=obstacles)

    assert (code, message) == (103, f"cannot forward {said}")
