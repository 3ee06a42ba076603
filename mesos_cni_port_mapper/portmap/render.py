"""Rules in the words of iptables, in the order in which iptables-save prints them."""

from __future__ import annotations

from mesos_cni_port_mapper.portmap.rule import Dnat, Drop, Jump, Mark, Masquerade, Return, Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    Target = Dnat | Drop | Jump | Mark | Masquerade | Return


def render_rule(rule: Rule) -> str:
    """Return a rule's matches and target as a line of iptables-restore has them."""
    # A tag holds names that were checked; none of them can end the quotes.
    parts = (
        rule.source and f"-s {rule.source}",
        rule.destination and f"-d {rule.destination}",
        rule.not_destination and f"! -d {rule.not_destination}",
        rule.in_device and f"-i {rule.in_device}",
        rule.not_in_device and f"! -i {rule.not_in_device}",
        rule.protocol and f"-p {rule.protocol}",
        rule.to_local_address and "-m addrtype --dst-type LOCAL",
        rule.host_port
        and f"-m {rule.protocol} --dport {_ports(rule.host_port, rule.port_count, ':')}",
        " ".join(rule.conditions),
        rule.translated and "-m conntrack --ctstate DNAT",
        rule.marked and f"-m mark --mark {_mark(rule.marked)}",
        rule.tag and f'-m comment --comment "{rule.tag}"',
        _render_target(rule.target),
    )
    return " ".join([part for part in parts if part])


def _render_target(target: Target) -> str:
    if isinstance(target, Dnat):
        return f"-j DNAT --to-destination {_render_destination(target)}"
    if isinstance(target, Jump):
        return f"-j {target.chain}"
    if isinstance(target, Mark):
        return f"-j MARK --set-xmark {_mark(target.bits)}"
    return {Return: "-j RETURN", Masquerade: "-j MASQUERADE", Drop: "-j DROP"}[type(target)]


def _render_destination(target: Dnat) -> str:
    if not target.first_port:
        return target.address
    address = f"[{target.address}]" if ":" in target.address else target.address
    ports = _ports(target.first_port, target.count, "-")
    # The port after the slash is where counting starts, which makes the mapping one to one.
    base = f"/{target.matched_from}" if target.count > 1 else ""
    return f"{address}:{ports}{base}"


def _ports(first: int, count: int, separator: str) -> str:
    return str(first) if count == 1 else f"{first}{separator}{first + count - 1}"


def _mark(bits: int) -> str:
    return f"{bits:#x}/{bits:#x}"
