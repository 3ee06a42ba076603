"""Decide which rules should exist.

A network's chain looks like this once a container with one mapping is attached::

    PREROUTING  -m addrtype --dst-type LOCAL                  -> CHAIN
    OUTPUT      ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -> CHAIN
    CHAIN       ! -i DEVICE -p tcp --dport 8080               -> DNAT 192.168.0.2:80

OUTPUT needs a jump of its own because what the host itself sends never passes PREROUTING. Both ask
for a local destination, so that traffic passing through to another machine's port 8080 is left
alone. Loopback is left out: its services belong to the host, and to whoever asks for them in a
chain of its own (``loopback``). What is to be masqueraded is found in a third (``masquerade``).
"""

from __future__ import annotations

from mesos_cni_port_mapper.cni.address import network_of, split_prefix
from mesos_cni_port_mapper.portmap import loopback, masquerade
from mesos_cni_port_mapper.portmap.attachment import Attachment, bare_tag_of, tag_of
from mesos_cni_port_mapper.portmap.mapping import (
    PortMapping,
    PortRun,
    families_of,
    of_family,
    runs_of,
)
from mesos_cni_port_mapper.portmap.rule import (
    IPV4,
    IPV6,
    NAT,
    RAW,
    Chain,
    Dnat,
    Entry,
    Jump,
    Plan,
    Return,
    Rule,
)
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesos_cni_port_mapper.portmap.traffic import Traffic

LOOPBACK = {IPV4: loopback.NETWORK, IPV6: "::1/128"}
TABLES = ((IPV4, RAW), (IPV4, NAT), (IPV6, NAT))
"""Every table that a plan may be about, in the order in which they are changed."""


class Endpoint(Value):
    """Where a container is in one family: its address, and the network its neighbours are in."""

    family: int
    address: str
    network: str


class Wish(Value):
    """What one attachment asks for, and where its container is; see ``Forwarding`` for the rest."""

    attachment: Attachment
    chain: str
    mappings: tuple[PortMapping, ...]
    excluded_devices: tuple[str, ...]
    traffic: Traffic
    endpoints: tuple[Endpoint, ...]


def plan_forwarding(wish: Wish) -> tuple[Plan, ...]:
    """Plan the rules that lead an attachment's mappings to its container, table by table."""
    plans = []
    for endpoint in wish.endpoints:
        mappings = of_family(wish.mappings, endpoint.family)
        if mappings:
            plans += _plan_family(wish, endpoint, mappings)
    return tuple(plans)


def plan_leaving(
    attachment: Attachment, chain: str, tables: Sequence[tuple[int, str]]
) -> tuple[Plan, ...]:
    """Plan for an attachment to have no rules in tables, those of the original plugin included."""
    return plan_absence(tag_of(attachment), chain, tables, bare_tag_of(attachment))


def plan_absence(
    tag: str, chain: str, tables: Sequence[tuple[int, str]], bare: str = ""
) -> tuple[Plan, ...]:
    """Plan for no rules with a tag in tables, and none with a ``bare`` one in a network's chain."""
    return tuple(
        [
            Plan(
                family=family,
                table=table,
                tag=tag,
                chains=tuple(
                    [_chain(name, family, table) for name in _names_of(chain, family, table)]
                ),
                old_tags=(bare,) if bare and table == NAT else (),
            )
            for family, table in tables
        ]
    )


def entries_into(name: str, family: int, table: str) -> tuple[Entry, ...]:
    """Return everything of ours that leads into a chain of ours.

    Into a network's chain, it is what is for the host's own addresses.
    """
    if name.startswith(loopback.PREFIX):
        return loopback.entries_into(name, table)
    if name.startswith(masquerade.PREFIX):
        return masquerade.entries_into(name)
    jump = Rule(target=Jump(chain=name), to_local_address=True)
    return (
        Entry(built_in="PREROUTING", rule=jump),
        Entry(built_in="OUTPUT", rule=jump.but(not_destination=LOOPBACK[family])),
    )


def endpoints_of(addresses: Sequence[str]) -> tuple[Endpoint, ...]:
    """Return the endpoints behind a container's addresses, each with its prefix length."""
    endpoints = []
    for text in addresses:
        address, prefix = split_prefix(text)
        family = IPV6 if ":" in address else IPV4
        network = network_of(address, prefix)
        endpoints.append(Endpoint(family=family, address=address, network=network))
    return tuple(endpoints)


def tables_of(wish: Wish) -> tuple[tuple[int, str], ...]:
    """Return the tables in which a wish has rules, in the order in which they are changed."""
    used = []
    for endpoint in wish.endpoints:
        mappings = of_family(wish.mappings, endpoint.family)
        if mappings:
            used.append((endpoint.family, NAT))
        if endpoint.family == IPV4 and local_mappings(wish, mappings):
            used.append((IPV4, RAW))
    return tuple([table for table in TABLES if table in used])


def plan_tables(wish: Wish, tables: Sequence[tuple[int, str]]) -> tuple[Plan, ...]:
    """Plan for each of the tables, those in which the attachment should have nothing included."""
    wanted = {(plan.family, plan.table): plan for plan in plan_forwarding(wish)}
    empty = plan_leaving(wish.attachment, wish.chain, tables)
    return tuple([wanted.get((plan.family, plan.table), plan) for plan in empty])


def find_unserved(
    mappings: Sequence[PortMapping], endpoints: Sequence[Endpoint]
) -> tuple[PortMapping, ...]:
    """Return the mappings for whose families a container has no address."""
    served = {endpoint.family for endpoint in endpoints}
    return tuple([item for item in mappings if served.isdisjoint(families_of(item))])


def _names_of(chain: str, family: int, table: str) -> list[str]:
    """Return the chains that a network's ``chain`` stands for in a table."""
    local = [loopback.chain_name(chain)] if family == IPV4 else []
    return local if table == RAW else [chain, *local, masquerade.chain_name(chain)]


def _chain(name: str, family: int, table: str, rules: Sequence[Rule] = ()) -> Chain:
    return Chain(name=name, rules=tuple(rules), entries=entries_into(name, family, table))


def _plan_family(wish: Wish, endpoint: Endpoint, mappings: Sequence[PortMapping]) -> list[Plan]:
    family, tag = endpoint.family, tag_of(wish.attachment)
    # The kernel has no route_localnet for ::1.
    local = local_mappings(wish, mappings) if family == IPV4 else []
    outer = outer_mappings(mappings)
    rules = {
        wish.chain: [rule for run in runs_of(outer) for rule in _rules_of(run, wish, endpoint)],
        loopback.chain_name(wish.chain): [
            rule for run in runs_of(local) for rule in _local_rules_of(run, wish, endpoint)
        ],
        masquerade.chain_name(wish.chain): masquerade.rules_of(
            wish.traffic, host(endpoint.address), endpoint.network, bool(local), tag
        ),
    }
    chains = [_chain(name, family, NAT, each) for name, each in rules.items() if each]
    plans = [Plan(family=family, table=NAT, tag=tag, chains=tuple(chains))]
    if local:
        guard = _chain(loopback.chain_name(wish.chain), family, RAW, [loopback.plan_guard(tag)])
        plans.insert(0, Plan(family=family, table=RAW, tag=tag, chains=(guard,)))
    return plans


def local_mappings(wish: Wish, mappings: Sequence[PortMapping]) -> list[PortMapping]:
    """Return the mappings that are for loopback, whether or not they are for others too."""
    return [item for item in mappings if loopback.is_asked_for(item, wish.traffic)]


def outer_mappings(mappings: Sequence[PortMapping]) -> list[PortMapping]:
    """Return the mappings that are for the host's other addresses."""
    return [item for item in mappings if not loopback.is_loopback(item.host_address)]


def _rules_of(run: PortRun, wish: Wish, endpoint: Endpoint) -> list[Rule]:
    forward = _forward(run, wish, endpoint)
    marks = masquerade.marks_of(wish.traffic, forward, endpoint.network)
    devices = wish.excluded_devices
    if len(devices) == 1:
        return [rule.but(not_in_device=devices[0]) for rule in (*marks, forward)]
    # A rule has room for one device. With more, each mapping is preceded by guards of its own,
    # never by one guard for the chain: other networks may share it.
    guards = [forward.but(target=Return(), in_device=device) for device in devices]
    return [*guards, *marks, forward]


def _local_rules_of(run: PortRun, wish: Wish, endpoint: Endpoint) -> list[Rule]:
    forward = _forward(run, wish, endpoint)
    return [*masquerade.loopback_marks_of(wish.traffic, forward), forward]


def _forward(run: PortRun, wish: Wish, endpoint: Endpoint) -> Rule:
    # A single mapping always names its port, as the original's rules do; a run that shifts nothing
    # needs none.
    shifted = run.count == 1 or run.container_port != run.host_port
    return Rule(
        target=Dnat(
            address=endpoint.address,
            first_port=run.container_port if shifted else 0,
            count=run.count,
            matched_from=run.host_port,
        ),
        destination=host(run.host_address) if run.host_address else "",
        protocol=run.protocol,
        host_port=run.host_port,
        port_count=run.count,
        conditions=wish.traffic.conditions(endpoint.family),
        tag=tag_of(wish.attachment),
    )


def host(address: str) -> str:
    """Return a single address as iptables prints it."""
    return f"{address}/128" if ":" in address else f"{address}/32"
