"""Decide what the sets and maps of a native nf_tables table should hold.

A mapping is an element and not a rule: to find it costs the same whether there are ten or ten
thousand. Each has a second one in a map of owners, with the same key and the attachment's identity,
because an element cannot be deleted on the condition that its value is one's own; see
``nft_script``. What an element cannot say (conditions, marks, patterns of device names) is a chain
of rules, and the element leads there.

======================  ==========================================================================
``any`` ``one``         a port of all host addresses, or of one, and where it leads
``local``               a port of all addresses of loopback
``...-runs``            runs of ports that are not shifted, as intervals
``...-odd``             ports that need rules
``...-excluded``        devices on which a port is left alone
``...-owners``          whose a port is
``hiddenN``             whose address is hidden, by network (N: its prefix length) and destination
======================  ==========================================================================
"""

from __future__ import annotations

from mesos_cni_port_mapper.cni.address import BITS, canonical, network_of
from mesos_cni_port_mapper.portmap import loopback, masquerade
from mesos_cni_port_mapper.portmap.attachment import record_name, tag_of
from mesos_cni_port_mapper.portmap.mapping import of_family, runs_of
from mesos_cni_port_mapper.portmap.plan import local_mappings, outer_mappings
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesos_cni_port_mapper.portmap.attachment import Attachment
    from mesos_cni_port_mapper.portmap.mapping import PortMapping, PortRun
    from mesos_cni_port_mapper.portmap.plan import Endpoint, Wish

ONE, ANY, LOCAL = "one", "any", "local"
RUNS, ODD, EXCLUDED, OWNERS = "-runs", "-odd", "-excluded", "-owners"
HIDDEN = "hidden"
GUARD = "guard"
"""The part of a table that keeps others out of loopback."""

LONGEST_COMMENT = 128
"""Bytes that nft(8) takes for a comment (NFTNL_UDATA_COMMENT_MAXLEN)."""

ADDRESS_WORD = {4: "ip", 6: "ip6"}
"""How nft(8) calls a family, of a table and of an address alike."""


class Element(Value):
    """One element of a set, or with a ``value`` of a map, in nft's words."""

    container: str
    key: str
    value: str = ""
    comment: str = ""


class Content(Value):
    """What one attachment should have in the table of one family.

    ``identity`` is what stands for it in maps of owners. ``rules`` are those of its own chain,
    ``parts`` what it needs of the table besides the base.
    """

    family: int
    identity: str
    elements: tuple[Element, ...] = ()
    rules: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()


def identity_of(attachment: Attachment) -> str:
    """Return 128 bits that stand for an attachment, written as an IPv6 address."""
    digest = record_name(attachment)
    return canonical(":".join([digest[start : start + 4] for start in range(0, len(digest), 4)]))


def chain_of(identity: str) -> str:
    """Return the name of an attachment's own chain."""
    return f"at-{identity.replace(':', '-')}"


def plan_contents(wish: Wish) -> tuple[Content, ...]:
    """Plan what an attachment should have, family by family."""
    return tuple(
        [
            _plan_content(wish, endpoint, mappings)
            for endpoint in wish.endpoints
            for mappings in [of_family(wish.mappings, endpoint.family)]
            if mappings
        ]
    )


def _plan_content(wish: Wish, endpoint: Endpoint, mappings: Sequence[PortMapping]) -> Content:
    local = local_mappings(wish, mappings) if endpoint.family == 4 else []
    content = _Writer(wish, endpoint)
    # Those of loopback first: where they are rules, one for all addresses would forestall them.
    for run in runs_of(local):
        content.add_ports(run, ONE if run.host_address else LOCAL)
    for run in runs_of(outer_mappings(mappings)):
        content.add_ports(run, ONE if run.host_address else ANY)
    for network in masquerade.hidden_sources(wish.traffic, endpoint.network, bool(local)):
        content.hide(network)
    if local:
        content.parts.append(GUARD)
    return Content(
        family=endpoint.family,
        identity=content.identity,
        elements=tuple(content.elements),
        rules=tuple(content.rules),
        parts=tuple(dict.fromkeys(content.parts)),
    )


class _Writer:
    """Puts an attachment's wishes into elements of one family, and rules where it must."""

    def __init__(self, wish: Wish, endpoint: Endpoint) -> None:
        self.wish = wish
        self.endpoint = endpoint
        self.address = canonical(endpoint.address)
        self.identity = identity_of(wish.attachment)
        self.tag = tag_of(wish.attachment, LONGEST_COMMENT)
        self.conditions = wish.traffic.conditions(endpoint.family)
        self.elements: list[Element] = []
        self.rules: list[str] = []
        self.parts: list[str] = []

    def add_ports(self, run: PortRun, scope: str) -> None:
        """Add what leads a run of ports to the container, and what says whose they are."""
        if self._is_odd():
            self.rules += self._rules_of(run, scope)
            for port in range(run.host_port, run.host_port + run.count):
                key = _key(run, port)
                self._add(scope + ODD, key, f"jump {chain_of(self.identity)}")
                self._own(scope, key)
            return
        if run.count > 1 and run.container_port == run.host_port:
            key = _key(run, f"{run.host_port}-{run.host_port + run.count - 1}")
            self._add(scope + RUNS, key, self.address)
            self._own(scope + RUNS, key)
            self._exclude(scope, key, RUNS)
            return
        for port in range(run.host_port, run.host_port + run.count):
            key = _key(run, port)
            self._add(scope, key, f"{self.address} . {run.container_port + port - run.host_port}")
            self._own(scope, key)
            self._exclude(scope, key)

    def hide(self, network: str) -> None:
        """Have the addresses of a network hidden from the container; "" is everybody's."""
        name, _, prefix = (network or network_of(self.address, 0)).partition("/")
        part = f"{HIDDEN}{prefix}"
        self.parts.append(part)
        key = f"{canonical(name)} . {self.address}"
        self._add(part, key)
        self._add(part + OWNERS, key, self.identity, self.tag)

    def _is_odd(self) -> bool:
        # In every scope alike: what is of loopback has the keys by which it is owned.
        return bool(
            self.conditions
            or self.wish.traffic.mark
            or [device for device in self.wish.excluded_devices if device.endswith("+")]
        )

    def _add(self, container: str, key: str, value: str = "", comment: str = "") -> None:
        self.elements.append(Element(container=container, key=key, value=value, comment=comment))

    def _own(self, scope: str, key: str) -> None:
        # A port of all addresses of loopback comes with one of all the others, and is owned there.
        if not scope.startswith(LOCAL):
            self._add(scope + OWNERS, key, self.identity, self.tag)

    def _exclude(self, scope: str, key: str, runs: str = "") -> None:
        if scope != LOCAL:
            for device in self.wish.excluded_devices:
                self._add(scope + EXCLUDED + runs, f"{device} . {key}")

    def _rules_of(self, run: PortRun, scope: str) -> list[str]:
        word = ADDRESS_WORD[self.endpoint.family]
        last = run.host_port + run.count - 1
        ports = f"{run.host_port}-{last}" if run.count > 1 else f"{run.host_port}"
        destination = run.host_address or (loopback.NETWORK if scope == LOCAL else "")
        at_loopback = loopback.is_loopback(destination)
        match = [f"{word} daddr {destination}"] if destination else []
        match.append(f"{run.protocol} dport {ports}")
        devices = () if at_loopback else self.wish.excluded_devices
        guards = [
            " ".join([*match, f'iifname "{device.replace("+", "*")}"', "return"])
            for device in devices
        ]
        match += self.conditions
        sources = masquerade.marked_sources(self.wish.traffic, self.endpoint.network)
        if at_loopback:
            sources = [loopback.NETWORK]
        mark = f"meta mark set meta mark | {self.wish.traffic.mark:#x}"
        marks = [" ".join([*match, *_source(word, source), mark]) for source in sources]
        return [
            *guards,
            *(marks if self.wish.traffic.mark else []),
            *[" ".join([*match, each]) for each in self._targets(run)],
        ]

    def _targets(self, run: PortRun) -> list[str]:
        if run.count > 1 and run.container_port == run.host_port:
            return [f"dnat to {self.address}"]
        address = f"[{self.address}]" if self.endpoint.family == 6 else self.address
        if run.count == 1:
            return [f"dnat to {address}:{run.container_port}"]
        # A range of ports as a target would not keep their order.
        shifted = ", ".join(
            [
                f"{run.host_port + index} : {self.address} . {run.container_port + index}"
                for index in range(run.count)
            ]
        )
        word = ADDRESS_WORD[self.endpoint.family]
        return [f"dnat {word} to {run.protocol} dport map {{ {shifted} }}"]


def _key(run: PortRun, ports: int | str) -> str:
    address = f"{run.host_address} . " if run.host_address else ""
    return f"{address}{run.protocol} . {ports}"


def _source(word: str, source: str) -> list[str]:
    return [f"{word} saddr {source}"] if source else []


def prefix_of(part: str) -> int:
    """Return the prefix length that a ``hidden`` part of a table is for."""
    return int(part[len(HIDDEN) :])


def mask_of(family: int, prefix: int) -> str:
    """Return the netmask of a prefix length."""
    full = {4: "255.255.255.255", 6: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}[family]
    return full if prefix == BITS[family] else network_of(full, prefix).partition("/")[0]
