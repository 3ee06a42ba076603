"""What differs between the tables of IPv4 and IPv6: structures, functions and a few flags."""

from __future__ import annotations

from mesos_cni_port_mapper.libiptc import bindings
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

INVERTED_IN, INVERTED_OUT, INVERTED_SOURCE, INVERTED_DESTINATION = 0x01, 0x02, 0x08, 0x10
INVERTED_FRAGMENT, INVERTED_PROTOCOL = 0x20, 0x40
"""Bits of ``invflags``, the same in both families (linux/netfilter_ipv4/ip_tables.h)."""

FRAGMENT = 0x01
PROTOCOL_COUNTS = 0x01
"""One bit of ``flags``: the first is what it says in IPv4, the second in IPv6."""


class Family(Value):
    """One family: 4 or 6, and python-iptables' names for its functions and entries.

    ``check_entry`` is a function it does not declare. ``field`` is where an entry has addresses and
    protocol, ``address`` the size of one in bytes, ``goto`` the bit of ``flags`` for ``-g``.
    """

    number: int
    nfproto: int
    functions: Any
    check_entry: Any
    entry: Any
    field: str
    address: int
    goto: int

    def header(self, entry: Any) -> Any:
        """Return the part of an entry with addresses, interfaces and protocol, as it lies there."""
        return getattr(entry, self.field)

    @property
    def entry_size(self) -> int:
        """How many bytes stand before the first match."""
        return bindings.size_of(self.entry)


IPV4 = Family(
    number=4,
    nfproto=bindings.structures.NFPROTO_IPV4,
    functions=bindings.ip4tc.iptc,
    check_entry=bindings.ip4tc._libiptc.iptc_check_entry,
    entry=bindings.ip4tc.ipt_entry,
    field="ip",
    address=4,
    goto=0x02,
)
IPV6 = Family(
    number=6,
    nfproto=bindings.structures.NFPROTO_IPV6,
    functions=bindings.ip6tc.ip6tc,
    check_entry=bindings.ip6tc._libiptc.ip6tc_check_entry,
    entry=bindings.ip6tc.ip6t_entry,
    field="ipv6",
    address=16,
    goto=0x04,
)
FAMILIES = {str(family.number): family for family in (IPV4, IPV6)}
