"""What a container learns from a file like resolv.conf."""

import pytest

from delegates.host_local.resolv import parse_resolv_conf


@pytest.mark.parametrize(
    ("text", "dns"),
    [
        ("", {}),
        ("nameserver 192.0.2.53", {"nameservers": ["192.0.2.53"]}),
        (
            "nameserver\t192.0.2.53 \r\n  nameserver ::1 # v6\n",
            {"nameservers": ["192.0.2.53", "::1"]},
        ),
        ("domain a\ndomain b c\n", {"domain": "b"}),
        ("search a b\nsearch c\n", {"search": ["a", "b", "c"]}),
        ("options ndots:2 rotate\noptions edns0\n", {"options": ["ndots:2", "rotate", "edns0"]}),
        ("# nameserver a\n;nameserver b\n#nameserver c\n", {}),
        ("nameserver\ndomain\nsearch\noptions\nunknown x\nNAMESERVER a\n", {}),
    ],
)
def test_a_line_is_a_word_and_what_it_is_about(text: str, dns: dict[str, object]) -> None:
    assert parse_resolv_conf(text) == dns
