"""A listed table against what it should hold: what goes, what is taken, and what CHECK names."""

from typing import Any

import pytest

from mesos_cni_port_mapper.portmap.elements import Content, chain_of, identity_of, plan_contents
from mesos_cni_port_mapper.portmap.nft_agreement import (
    claim_of,
    find_nft_differences,
    find_taken,
    has_others,
    owned_locally,
    plan_departure,
)
from mesos_cni_port_mapper.portmap.nft_listing import NftListing
from mesos_cni_port_mapper.portmap.nft_script import plan_parts, plan_transition
from tests.unit.memory_nft import MemoryNft
from tests.unit.wishes import attachment, mapping, tag, wish

T = "ip mesos-cni-port-mapper"
A, B = (identity_of(attachment(name)) for name in ("a", "b"))
ADDRESSES = {"a": "192.0.2.2/24", "b": "192.0.2.3/24"}


def content(name: str, *mappings: Any, address: str = "", **options: Any) -> Content:
    """Return what a container should have that asks for ports, or mappings."""
    wanted = [mapping(each, each) if isinstance(each, int) else each for each in mappings]
    addresses = (address or ADDRESSES[name],)
    (found,) = plan_contents(wish(name, *wanted, addresses=addresses, **options))
    return found


def listing(*contents: Content, more: tuple[str, ...] = ()) -> NftListing:
    memory = MemoryNft()
    parts = list(dict.fromkeys(part for each in contents for part in each.parts))
    memory.carry_out(plan_parts(4, parts, []))
    for each in contents:
        memory.carry_out(plan_transition(4, (), [each]))
    memory.carry_out(more)
    found = memory.listing(4)
    assert found is not None
    return found


def going(present: NftListing, *identities: str, after: tuple[Content, ...] = ()) -> set[str]:
    elements = plan_departure(present, identities, after).elements
    return {f"{each.container} {each.key}" for each in elements}


def test_all_that_an_attachment_owns_goes_and_nothing_else() -> None:
    devices = ("cni0",)
    odd = content("a", 80, 90, devices=("br+",), localhost=True)
    for own in (odd, content("a", 80, 90, 7000, 7001, devices=devices, localhost=True, snat=True)):
        other = content("b", 81, 7002, 7003, devices=devices, snat=True)

        exchange = plan_departure(listing(own, other), [A], ())

        assert {(each.container, each.key) for each in exchange.elements} == {
            (each.container, each.key) for each in own.elements
        }
        assert not exchange.is_emptied
        assert exchange.chains == ((chain_of(A),) if own.rules else ())


def test_who_has_nothing_takes_nothing() -> None:
    assert going(listing(content("b", 80)), A) == set()


def test_what_should_be_there_stays() -> None:
    present = listing(content("a", 80, 90))

    assert going(present, A, after=(content("a", 80),)) == {"any tcp . 90", "any-owners tcp . 90"}


def test_what_has_another_value_goes_and_is_made_again() -> None:
    moved = content("a", 80, address="192.0.2.9/24")

    assert going(listing(content("a", 80)), A, after=(moved,)) == {"any tcp . 80"}


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [((80,), (80,)), ((80, 81, 82), (81,)), ((81,), (80, 81, 82)), ((80, 81), (81, 82))],
    ids=["port and port", "a port of a run", "a run with a port", "run and run"],
)
def test_what_stands_in_the_place_of_others_goes_whole(theirs: Any, ours: Any) -> None:
    present = listing(content("b", *theirs, 90, devices=("cni0",)))
    after = (content("a", *ours),)

    left = {"any tcp . 90", "any-owners tcp . 90", "any-excluded cni0 . tcp . 90"}
    assert going(present, A, after=after) == {
        f"{each.container} {each.key}" for each in content("b", *theirs, devices=("cni0",)).elements
    }
    assert left.isdisjoint(going(present, A, after=after))
    assert find_taken(present, [A], after) == (_first_key(theirs), tag("b"))


def _first_key(ports: tuple[int, ...]) -> str:
    return f"tcp . {ports[0]}" if len(ports) == 1 else f"tcp . {ports[0]}-{ports[-1]}"


@pytest.mark.parametrize(
    "theirs",
    [
        pytest.param(mapping(80, protocol="udp"), id="another protocol"),
        pytest.param(mapping(80, host_address="198.51.100.1"), id="one address and all"),
        pytest.param(mapping(83), id="next to a run"),
        pytest.param(mapping(79), id="before a run"),
    ],
)
def test_ports_that_go_together_are_not_taken(theirs: Any) -> None:
    after = (content("a", 80, 81, 82),)
    present = listing(content("b", theirs))

    assert find_taken(present, [A], after) is None
    assert going(present, A, after=after) == set()


def test_a_port_of_one_address_is_taken_at_that_address() -> None:
    ours, theirs, elsewhere = (
        mapping(80, host_address=address)
        for address in ("198.51.100.1", "198.51.100.1", "198.51.100.2")
    )

    assert find_taken(listing(content("b", theirs)), [A], (content("a", ours),)) == (
        "198.51.100.1 . tcp . 80",
        tag("b"),
    )
    assert find_taken(listing(content("b", elsewhere)), [A], (content("a", ours),)) is None


def test_an_owner_without_a_comment_is_told_by_its_identity() -> None:
    present = listing(more=(f"add element {T} any-owners {{ tcp . 80 : {B} }}",))

    assert find_taken(present, [A], (content("a", 80),)) == ("tcp . 80", B)


def test_an_address_that_another_hid_is_no_port_that_is_taken() -> None:
    # It was given to another container: the pair changes hands, and nobody is in the way.
    ours = content("a", 80, snat=True, address="192.0.2.3/24")
    present = listing(content("b", 90, snat=True))

    assert find_taken(present, [A], (ours,)) is None
    assert going(present, A, after=(ours,)) == {"hidden24-owners 192.0.2.0 . 192.0.2.3"}


def test_a_chain_goes_with_the_rules() -> None:
    odd = content("a", 80, mark=1)

    assert plan_departure(listing(odd), [A], [odd]).chains == ()
    assert plan_departure(listing(odd), [A], [content("a", 80)]).chains == (chain_of(A),)


@pytest.mark.parametrize(
    ("left", "emptied"),
    [
        (listing(content("a", 80, snat=True)), True),
        (listing(), True),
        (listing(content("a", 80), content("b", 90)), False),
        (listing(more=(f"add element {T} any {{ tcp . 9 : 192.0.2.9 . 9 }}",)), False),
    ],
    ids=["own", "nothing", "another's", "nobody's"],
)
def test_a_table_is_emptied_when_nothing_of_anybody_is_left(left: Any, emptied: bool) -> None:
    assert plan_departure(left, [A], ()).is_emptied == emptied
    assert not plan_departure(left, [A], (content("a", 99),)).is_emptied


def test_others_are_those_that_own_something() -> None:
    present = listing(content("b", 80))

    assert has_others(present, [A])
    assert not has_others(present, [A, B])
    assert not has_others(listing(), [A])


def test_targets_of_loopback_are_one_s_own_or_others() -> None:
    present = listing(
        content("a", 80, 7000, 7001, localhost=True), content("b", 81, localhost=True)
    )

    assert owned_locally(present, A) == ({"192.0.2.2"}, {"192.0.2.3"})
    assert owned_locally(present, B) == ({"192.0.2.3"}, {"192.0.2.2"})


def test_a_claim_is_a_range_in_a_scope() -> None:
    places = [
        ("any", "tcp . 80"),
        ("any-owners", "tcp . 80"),
        ("local", "tcp . 80"),
        ("any-odd", "tcp . 80"),
        ("any-excluded", "cni0 . tcp . 80"),
        ("any-runs", "tcp . 80-80"),
    ]

    assert len({claim_of(*place) for place in places}) == 1
    assert claim_of("one-runs", "198.51.100.1 . udp . 80-82").last == 82
    assert claim_of("hidden24", "192.0.2.0 . 192.0.2.2") != claim_of("hidden8", "192.0.2.0")


FULL = content("a", 80, 7000, 7001, devices=("cni0",), localhost=True, snat=True)
CHECKED = [
    ("flush chain {} ports", ["changed: chain ports:  "]),
    ("delete element {} any {{ tcp . 80 }}", ["missing: any tcp . 80 : 192.0.2.2 . 80"]),
    ("delete element {} hidden24 {{ 192.0.2.0 . 192.0.2.2 }}", ["missing: hidden24 192.0.2.0"]),
    ("add rule {} guard accept", ["changed: chain guard: type filter hook prerouting"]),
    (
        f"add element {{}} any-owners {{{{ tcp . 9 : {A} }}}}",
        ["unexpected: any-owners tcp . 9"],
    ),
    (f"add element {{}} any-owners {{{{ tcp . 9 : {B} }}}}", []),
]


@pytest.mark.parametrize(("damage", "said"), CHECKED)
def test_check_names_each_difference(damage: str, said: list[str]) -> None:
    differences = find_nft_differences(listing(FULL, more=(damage.format(T),)), FULL)

    assert len(differences) == len(said)
    for difference, words in zip(differences, said, strict=True):
        assert difference.startswith(words)


def test_check_names_a_chain_of_rules_that_was_touched() -> None:
    odd = content("a", 80, mark=1)
    chain = chain_of(A)

    assert find_nft_differences(listing(odd), odd) == []
    assert find_nft_differences(listing(odd, more=(f"flush chain {T} {chain}",)), odd) == [
        f"changed: chain {chain}: 0 rules instead of 1"
    ]


def test_check_names_a_port_that_leads_elsewhere() -> None:
    present = listing(content("a", 80), content("b", 90))
    moved = content("a", 80, address="192.0.2.9/24")

    assert find_nft_differences(present, moved) == [
        "changed: any tcp . 80 : 192.0.2.9 . 80, but 192.0.2.2 . 80 "
    ]
