"""The addresses of this host's interfaces, asked of the kernel (rtnetlink(7)).

Apart from ``netlink``, because the plugin has no need of it.
"""

from __future__ import annotations

import _socket
import sys

from mesos_cni_port_mapper.linux.netlink import DUMP, INET, ROUTE, Netlink, decode_attributes

_GET_ADDRESS, _HEADER = 22, 8
_ADDRESS, _LOCAL = 1, 2


def interface_addresses(family: int) -> list[tuple[str, str]]:
    """Return interfaces with their addresses: ("eth0", "192.0.2.1/24"). Raises ``OSError``."""
    request = bytes((INET[family],)) + bytes(_HEADER - 1)
    with Netlink(ROUTE) as netlink:
        # Asked for a family it does not have, the kernel answers with all that it has.
        answers = [
            each for each in netlink.ask(_GET_ADDRESS, request, DUMP) if each[0] == INET[family]
        ]
    return [_interface_in(family, each) for each in answers]


def _interface_in(family: int, answer: bytes) -> tuple[str, str]:
    attributes = decode_attributes(answer[_HEADER:])
    packed = attributes.get(_LOCAL) or attributes[_ADDRESS]
    name = _socket.if_indextoname(int.from_bytes(answer[4:8], sys.byteorder))
    return name, f"{_socket.inet_ntop(INET[family], packed)}/{answer[1]}"
