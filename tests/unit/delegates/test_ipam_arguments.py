"""CNI_ARGS: which pairs are read, and what is malformed."""

import pytest

from delegates.cni_args import parse_cni_args
from tests.unit.delegates.ipam_requests import refusal


def parse(text: str) -> dict[str, str]:
    return parse_cni_args({"CNI_ARGS": text}, ("IP", "GATEWAY"))


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", {}),
        ("IP=192.0.2.1", {"IP": "192.0.2.1"}),
        ("IP=;GATEWAY=::1", {"IP": "", "GATEWAY": "::1"}),
        ("IP=a;IP=b", {"IP": "b"}),
        ("IgnoreUnknown=1;K8S_POD_NAME=x;IP=a", {"IP": "a"}),
        ("K8S_POD_NAME=x;IP=a;IgnoreUnknown=TRUE", {"IP": "a"}),
        ("IP=a;IgnoreUnknown=false", {"IP": "a"}),
    ],
)
def test_known_pairs_are_read(text: str, pairs: dict[str, str]) -> None:
    assert parse(text) == pairs


def test_a_runtime_need_not_send_any() -> None:
    assert parse_cni_args({}, ("IP",)) == {}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("junk", "'junk' is no KEY=value"),
        ("IP=a;", "'' is no KEY=value"),
        ("IP=a=b", "'IP=a=b' is no KEY=value"),
        ("ip=a", "'ip' is unknown, IgnoreUnknown not set"),
        ("A=1;B=2;IgnoreUnknown=0", "'A', 'B' is unknown, IgnoreUnknown not set"),
        ("IgnoreUnknown=yes", "IgnoreUnknown must be true or false, not 'yes'"),
    ],
)
def test_what_is_malformed_or_unknown_is_refused(text: str, complaint: str) -> None:
    assert refusal(lambda: parse(text)) == (4, f"CNI_ARGS: {complaint}")
