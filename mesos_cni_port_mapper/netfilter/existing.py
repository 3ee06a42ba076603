"""Which tables there are, found out without a tool: listing one that is not there would make it.

The legacy variant's are named in ``/proc/net/ip_tables_names``; those of nf_tables, iptables' nft
variant's among them, the kernel tells by name (NFT_MSG_GETTABLE, nf_tables_api.c).
"""

from __future__ import annotations

import errno

from mesos_cni_port_mapper.linux import files
from mesos_cni_port_mapper.linux.netlink import (
    NETFILTER,
    Netlink,
    encode_attribute,
    encode_netfilter_header,
)

_LEGACY = {4: "/proc/net/ip_tables_names", 6: "/proc/net/ip6_tables_names"}
_GET_TABLE = 0xA01
_TABLE_NAME = 1
_ABSENT = (errno.ENOENT, errno.EINVAL, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT)
"""No such table, and no nf_tables in this kernel."""


def has_table(family: int, table: str) -> bool:
    """Tell whether a table exists in either of the kernel's two worlds; a doubt counts as yes."""
    return has_legacy_table(family, table) or has_nft_table(family, table)


def has_nft_table(family: int, table: str) -> bool:
    """Tell whether nf_tables has a table of that name."""
    name = encode_attribute(_TABLE_NAME, table.encode() + b"\0")
    request = encode_netfilter_header(family) + name
    try:
        with Netlink(NETFILTER) as netlink:
            return any(True for _ in netlink.ask(_GET_TABLE, request))
    except OSError as error:
        return error.errno not in _ABSENT


def has_legacy_table(family: int, table: str) -> bool:
    """Tell whether the legacy variant has a table."""
    try:
        names = files.read(_LEGACY[family]) or b""
    except OSError:
        return True
    return table in names.decode().split()
