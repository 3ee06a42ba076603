"""Compare a listed table with what it should hold: for repairs, conflicts and CHECK."""

from __future__ import annotations

from mesos_cni_port_mapper.portmap.elements import (
    ANY,
    EXCLUDED,
    LOCAL,
    OWNERS,
    Element,
    chain_of,
)
from mesos_cni_port_mapper.portmap.nft_table import BASE, chains_of
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from mesos_cni_port_mapper.portmap.elements import Content
    from mesos_cni_port_mapper.portmap.nft_listing import NftListing

    Scope = tuple[str, str, str]
    """A kind of claim, a protocol and an address of the host: ports are told apart within it."""


class Claim(Value):
    """What an element is about; elements with equal claims have one owner."""

    scope: tuple[str, str, str]
    first: int = 0
    last: int = 0


class Exchange(Value):
    """What is to go from a table so that contents fit in: elements, and chains by name.

    ``is_emptied`` says that nobody has anything afterwards.
    """

    elements: tuple[Element, ...] = ()
    chains: tuple[str, ...] = ()
    is_emptied: bool = False


def plan_departure(
    listing: NftListing, identities: Collection[str], after: Sequence[Content]
) -> Exchange:
    """Plan for all that attachments have and should not, and for what stands in others' place."""
    wanted = {(each.container, each.key): each for content in after for each in content.elements}
    owned = _claims_of(listing, identities)
    contested = _by_scope([claim_of(*place) for place in wanted])
    going = []
    is_emptied = not wanted
    for container, held in listing.containers.items():
        for key, present in held.items():
            claim = claim_of(container, key)
            if claim in owned or _meets(contested, claim):
                fits = wanted.get((container, key))
                if fits is None or fits.value != present.value:
                    going.append(Element(container=container, key=key))
            else:
                is_emptied = False
    kept = [chain_of(content.identity) for content in after if content.rules]
    chains = [chain_of(each) for each in identities]
    return Exchange(
        elements=tuple(going),
        chains=tuple([each for each in chains if each in listing.chains and each not in kept]),
        is_emptied=is_emptied,
    )


def find_taken(
    listing: NftListing, identities: Collection[str], after: Sequence[Content]
) -> tuple[str, str] | None:
    """Return the first port that an owner besides ``identities`` has, and the owner's tag."""
    wanted = [claim_of(each.container, each.key) for content in after for each in content.elements]
    contested = _by_scope([claim for claim in wanted if claim.last])
    for container, held in listing.containers.items():
        if container.endswith(OWNERS):
            for key, present in held.items():
                if present.value not in identities and _meets(contested, claim_of(container, key)):
                    return key, present.comment or present.value
    return None


def has_others(listing: NftListing, identities: Collection[str]) -> bool:
    """Tell whether anybody besides ``identities`` owns anything."""
    return any(
        present.value not in identities
        for container, held in listing.containers.items()
        if container.endswith(OWNERS)
        for present in held.values()
    )


def find_nft_differences(listing: NftListing, content: Content) -> list[str]:
    """Name everything in which a table differs from what an attachment should have there."""
    differences = []
    for part in (BASE, *content.parts):
        for name, (hook, rules) in chains_of(content.family, part).items():
            expected = (hook, tuple([f"{name}-{index}" for index in range(len(rules))]))
            differences += _compare_chain(name, expected, listing.chains.get(name))
    differences += _compare_own_chain(listing, content)
    return differences + _compare_elements(listing, content)


def _compare_chain(
    name: str,
    expected: tuple[str, tuple[str, ...]],
    present: tuple[str, tuple[str, ...]] | None,
) -> list[str]:
    if present is None:
        return [f"missing: chain {name}"]
    if present != expected:
        return [f"changed: chain {name}: {present[0]} {', '.join(present[1])}"]
    return []


def _compare_own_chain(listing: NftListing, content: Content) -> list[str]:
    name = chain_of(content.identity)
    _, present = listing.chains.get(name, ("", ()))
    if len(present) == len(content.rules):
        return []
    return [f"changed: chain {name}: {len(present)} rules instead of {len(content.rules)}"]


def _compare_elements(listing: NftListing, content: Content) -> list[str]:
    differences = []
    places = {(each.container, each.key) for each in content.elements}
    for each in content.elements:
        present = listing.containers.get(each.container, {}).get(each.key)
        if present is None:
            differences.append(f"missing: {_told(each)}")
        elif present.value != each.value:
            differences.append(f"changed: {_told(each)}, but {present.value} {present.comment}")
    return differences + [
        f"unexpected: {container} {key}"
        for container, held in listing.containers.items()
        if container.endswith(OWNERS)
        for key, present in held.items()
        if present.value == content.identity and (container, key) not in places
    ]


def _told(element: Element) -> str:
    return f"{element.container} {element.key}" + (f" : {element.value}" if element.value else "")


def owned_locally(listing: NftListing, identity: str) -> tuple[set[str], set[str]]:
    """Return where ports of loopback lead to: those of one owner, and everybody else's."""
    claims = _claims_of(listing, [identity])
    own: set[str] = set()
    others: set[str] = set()
    for container, held in listing.containers.items():
        if container in (LOCAL, f"{LOCAL}-runs"):
            for key, present in held.items():
                target = present.value.partition(" ")[0]
                (own if claim_of(container, key) in claims else others).add(target)
    return own, others


def claim_of(container: str, key: str) -> Claim:
    """Return what an element is about."""
    base = container.partition("-")[0]
    words = key.split(" . ")
    if base not in ("one", ANY, LOCAL):
        return Claim(scope=(base, key, ""))
    if EXCLUDED in container:
        words = words[1:]
    first, _, last = words[-1].partition("-")
    address = words[0] if base == "one" else ""
    return Claim(
        scope=("one" if address else ANY, words[-2], address),
        first=int(first),
        last=int(last or first),
    )


def _claims_of(listing: NftListing, identities: Collection[str]) -> set[Claim]:
    return {
        claim_of(container, key)
        for container, held in listing.containers.items()
        if container.endswith(OWNERS)
        for key, present in held.items()
        if present.value in identities
    }


def _by_scope(claims: Iterable[Claim]) -> dict[Scope, set[tuple[int, int]]]:
    found: dict[Scope, set[tuple[int, int]]] = {}
    for claim in claims:
        found.setdefault(claim.scope, set()).add((claim.first, claim.last))
    return found


def _meets(contested: dict[Scope, set[tuple[int, int]]], claim: Claim) -> bool:
    ranges = contested.get(claim.scope)
    return ranges is not None and any(
        first <= claim.last and claim.first <= last for first, last in ranges
    )
