"""Decide which rules should exist.

A network's chain looks like this once a container with one mapping is attached::

    PREROUTING  -m addrtype --dst-type LOCAL                  -> CHAIN
    OUTPUT      ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -> CHAIN
    CHAIN       ! -i DEVICE -p tcp --dport 8080               -> DNAT 192.168.0.2:80

OUTPUT needs a jump of its own because what the host itself sends never passes PREROUTING. Both ask
for a local destination, so that traffic passing through to another machine's port 8080 is left
alone. Loopback is left out: its services belong to the host.
"""

from __future__ import annotations

from mesos_cni_port_mapper.portmap.attachment import Attachment, bare_tag_of, tag_of
from mesos_cni_port_mapper.portmap.mapping import PortMapping, PortRun, runs_of
from mesos_cni_port_mapper.portmap.rule import IPV4, Dnat, Jump, Plan, Return, Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

LOOPBACK = "127.0.0.0/8"


def plan_forwarding(
    attachment: Attachment,
    chain: str,
    mappings: Sequence[PortMapping],
    excluded_devices: Sequence[str],
    address: str,
) -> Plan:
    """Plan the rules that lead ``mappings`` to a container's IPv4 ``address``."""
    tag = tag_of(attachment)
    rules = [
        rule for run in runs_of(mappings) for rule in _rules_of(run, excluded_devices, address, tag)
    ]
    return Plan(family=IPV4, chain=chain, tag=tag, rules=tuple(rules), jumps=plan_jumps(chain))


def plan_leaving(attachment: Attachment, chain: str) -> Plan:
    """Plan for an attachment to have no rules at all, those of the original plugin included."""
    bare = bare_tag_of(attachment)
    return Plan(
        family=IPV4,
        chain=chain,
        tag=tag_of(attachment),
        jumps=plan_jumps(chain),
        old_tags=(bare,) if bare else (),
    )


def plan_jumps(chain: str) -> tuple[tuple[str, Rule], ...]:
    """Plan the jumps that lead packets for the host's own addresses into ``chain``."""
    jump = Rule(target=Jump(chain=chain), to_local_address=True)
    return (("PREROUTING", jump), ("OUTPUT", jump.but(not_destination=LOOPBACK)))


def _rules_of(run: PortRun, excluded_devices: Sequence[str], address: str, tag: str) -> list[Rule]:
    # A single mapping always names its port, as the original's rules do; a run that shifts nothing
    # needs none.
    shifted = run.count == 1 or run.container_port != run.host_port
    forward = Rule(
        target=Dnat(
            address=address,
            first_port=run.container_port if shifted else 0,
            count=run.count,
            matched_from=run.host_port,
        ),
        destination=run.host_address,
        protocol=run.protocol,
        host_port=run.host_port,
        port_count=run.count,
        tag=tag,
    )
    if len(excluded_devices) == 1:
        return [forward.but(not_in_device=excluded_devices[0])]
    # A rule has room for one device. With more, each mapping is preceded by guards of its own,
    # never by one guard for the chain: other networks may share it.
    guards = [forward.but(target=Return(), in_device=device) for device in excluded_devices]
    return [*guards, forward]
