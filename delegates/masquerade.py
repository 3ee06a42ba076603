"""ipMasq: what a container sends to elsewhere leaves under an address of the host.

The chain and its rules are named and shaped as the reference plugins', so that either removes what
the other made::

    POSTROUTING  -s 10.1.0.2/32                               -j CNI-...
    CNI-...      -d 10.1.0.0/16                               -j ACCEPT
    CNI-...      ! -d 224.0.0.0/4                             -j MASQUERADE

all with the comment ``name: "NETWORK" id: "CONTAINER"``. One chain serves every attachment of a
container to a network; each has its own rule in POSTROUTING.
"""

from __future__ import annotations

from mesos_cni_port_mapper.cni.address import BITS, network_of, number_of, split_prefix
from mesos_cni_port_mapper.cni.errors import RULES_FAILED, CniError
from mesos_cni_port_mapper.linux import stderr
from mesos_cni_port_mapper.netfilter.iptables import find_iptables
from mesos_cni_port_mapper.portmap.listing import jump_target, split_words
from mesos_cni_port_mapper.portmap.rule import NAT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from delegates.operations import Masquerade, RemoveMasquerade
    from mesos_cni_port_mapper.netfilter.iptables import Iptables
    from mesos_cni_port_mapper.portmap.listing import Listing

_SECONDS = 30.0
_TOOLS = {4: "iptables", 6: "ip6tables"}
_MULTICAST = {4: "224.0.0.0/4", 6: "ff00::/8"}
_ATTEMPTS = 3


def chain_of(network: str, container_id: str) -> str:
    """Return the chain's name: what the reference plugins take of a SHA-512."""
    from _sha512 import sha512

    return f"CNI-{sha512(f'{network}{container_id}'.encode()).hexdigest()[:24]}"


def plan_rules(wanted: Masquerade, family: int) -> list[tuple[str, str]]:
    """Return the rules of one family as (chain, rule), in order; none without an address of it."""
    chain = chain_of(wanted.network, wanted.container_id)
    comment = _comment(wanted.network, wanted.container_id)
    sources = [split_prefix(source) for source in wanted.sources]
    own = [(address, prefix) for address, prefix in sources if number_of(address)[0] == family]
    if not own:
        return []
    networks = dict.fromkeys([network_of(address, prefix) for address, prefix in own])
    return [
        # Before the rule that takes the rest, those of every network.
        *[(chain, f"-d {network} {comment} -j ACCEPT") for network in networks],
        (chain, f"! -d {_MULTICAST[family]} {comment} -j MASQUERADE"),
        *[
            ("POSTROUTING", f"-s {address}/{BITS[family]} {comment} -j {chain}")
            for address, _ in own
        ],
    ]


def plan_first(wanted: Masquerade, family: int) -> list[str]:
    """Return the batch for a container that has no chain; refused where it has one."""
    rules = plan_rules(wanted, family)
    chain = chain_of(wanted.network, wanted.container_id)
    return [f"-N {chain}", *[f"-A {name} {rule}" for name, rule in rules]] if rules else []


def plan_addition(listing: Listing, wanted: Masquerade, family: int) -> list[str]:
    """Return the batch that adds what is missing: a container may be attached twice."""
    chain = chain_of(wanted.network, wanted.container_id)
    present = {
        name: [split_words(rule) for rule in rules] for name, rules in listing.chains.items()
    }
    missing = [
        (name, rule)
        for name, rule in plan_rules(wanted, family)
        if split_words(rule) not in present.get(name, ())
    ]
    # Another network's exception has to stand before the rule that takes the rest.
    lines = [f"-{'I' if rule.endswith(' ACCEPT') else 'A'} {name} {rule}" for name, rule in missing]
    return lines if chain in listing.chains else [f"-N {chain}", *lines]


def plan_known_removal(op: RemoveMasquerade, family: int) -> list[str]:
    """Return the batch that removes what is expected; refused where anything is otherwise."""
    chain = chain_of(op.network, op.container_id)
    comment = _comment(op.network, op.container_id)
    own = [split_prefix(source)[0] for source in op.sources]
    return [
        *[
            f"-D POSTROUTING -s {address}/{BITS[family]} {comment} -j {chain}"
            for address in own
            if number_of(address)[0] == family
        ],
        f"-F {chain}",
        f"-X {chain}",
    ]


def plan_removal(
    listing: Listing, chain: str, sources: Sequence[str], kept: Sequence[str] = ()
) -> list[str]:
    """Return the batch that removes the jumps for ``sources``; without any, all but the ``kept``.

    The chain goes with the last rule that leads to it.
    """
    if chain not in listing.chains:
        return []
    jumps = jumps_to(listing, chain)
    going = [
        jump
        for jump in jumps
        if (not sources or source_of(jump[1]) in sources) and source_of(jump[1]) not in kept
    ]
    lines = [f"-D {name} {rule}" for name, rule in going]
    return lines if len(going) < len(jumps) else [*lines, f"-F {chain}", f"-X {chain}"]


def jumps_to(listing: Listing, chain: str) -> list[tuple[str, str]]:
    """Return the rules that lead to a chain, each with the chain it is in."""
    return [
        (name, rule)
        for name, rules in listing.chains.items()
        for rule in rules
        if chain in rule and jump_target(rule) == chain
    ]


def source_of(rule: str) -> str:
    """Return the address, without prefix length, that a rule is for, or ""."""
    words = split_words(rule)
    return words[words.index("-s") + 1].partition("/")[0] if "-s" in words[:-1] else ""


def add_masquerade(wanted: Masquerade, environ: Mapping[str, str]) -> None:
    """Make the rules, a transaction for each family; nothing is left when one is refused."""
    done = []
    try:
        for family in _TOOLS:
            lines = plan_first(wanted, family)
            if lines:
                nat = _find(family, environ)
                # As refused, it is as it was before; as unknown, better removed.
                done.append(nat)
                _add(nat, lines, wanted, family)
    except BaseException:
        chain = chain_of(wanted.network, wanted.container_id)
        addresses = [split_prefix(source)[0] for source in wanted.sources]
        for nat in done:
            _remove(nat, chain, addresses, _nobody)
        raise


def remove_masquerade(
    op: RemoveMasquerade, others: Callable[[bool], Sequence[str]], environ: Mapping[str, str]
) -> None:
    """Remove the rules; none there is success.

    Without ``op.sources`` those go that ``others`` does not keep: it is told whether the container
    is attached to the network more than once, and returns addresses that its other links have.
    """
    known = [split_prefix(source)[0] for source in op.sources]
    families = {number_of(address)[0] for address in known} or set(_TOOLS)
    for family in sorted(families):
        try:
            nat = _find(family, environ)
        except CniError as error:
            # No rules can be there that no tool could have made.
            stderr.write(f"{error}\n".encode(errors="backslashreplace"))
            continue
        if known and not nat.commit((NAT, plan_known_removal(op, family))):
            continue
        _remove(nat, chain_of(op.network, op.container_id), known, others)


def remove_strays(network: str, valid: Collection[str], environ: Mapping[str, str]) -> None:
    """Remove the rules of containers that are none of the valid ones of a network."""
    for family in _TOOLS:
        try:
            nat = _find(family, environ)
        except CniError:
            continue  # No rules can be there that no tool could have made.
        for chain, rules in nat.listing(NAT).chains.items():
            owner = _owner_of(rules, network)
            if owner and owner not in valid and chain == chain_of(network, owner):
                _remove(nat, chain, (), _nobody)


def _owner_of(rules: Sequence[str], network: str) -> str:
    """Return the container that a chain's rules are for, "" when it is not of this network."""
    words = split_words(rules[0]) if rules else []
    comment = words[words.index("--comment") + 1] if "--comment" in words[:-1] else ""
    before, between, owner = comment.partition(f'name: "{network}" id: "')
    return owner.removesuffix('"') if between and not before else ""


def _add(nat: Iptables, lines: Sequence[str], wanted: Masquerade, family: int) -> None:
    refusal = nat.commit((NAT, lines))
    for _ in range(_ATTEMPTS):
        if not refusal:
            return
        lines = plan_addition(nat.listing(NAT), wanted, family)
        refusal = nat.commit((NAT, lines)) if lines else ""
    if refusal:
        raise CniError(RULES_FAILED, f"{nat.restore} refused the rules that masquerade", refusal)


def _remove(
    nat: Iptables, chain: str, known: Sequence[str], others: Callable[[bool], Sequence[str]]
) -> None:
    refusal = ""
    for _ in range(_ATTEMPTS):
        listing = nat.listing(NAT)
        if chain not in listing.chains:
            return
        kept = () if known else others(len(jumps_to(listing, chain)) > 1)
        lines = plan_removal(listing, chain, known, kept)
        refusal = nat.commit((NAT, lines)) if lines else ""
        if not refusal:
            return
    raise CniError(RULES_FAILED, f"{nat.restore} refused to remove chain {chain}", refusal)


def _nobody(_several: bool) -> Sequence[str]:
    return ()


def _find(family: int, environ: Mapping[str, str]) -> Iptables:
    found = find_iptables(family, environ, _SECONDS)
    if found is None:
        tool = _TOOLS[family]
        raise CniError(
            RULES_FAILED,
            f"ipMasq needs {tool}, which is not installed",
            f"looked for {tool}-restore and {tool}-save in PATH, /usr/sbin and /sbin",
        )
    return found


def _comment(network: str, container_id: str) -> str:
    return f'-m comment --comment "name: \\"{network}\\" id: \\"{container_id}\\""'
