"""Which address is given, and which are whose: decisions without a file."""

from collections.abc import Sequence

import pytest

from delegates.host_local.allocation import (
    Grant,
    Lease,
    Range,
    held_by,
    plan_grants,
    render_holder,
)
from mesos_cni_port_mapper.cni.address import number_of, text_of
from mesos_cni_port_mapper.cni.errors import CniError
from tests.unit.delegates.ipam_requests import refusal


def make_range(start: str, end: str, gateway: str = "192.0.2.1", prefix: int = 24) -> Range:
    family, first = number_of(start)
    return Range(
        family=family,
        start=first,
        end=number_of(end)[1],
        prefix=prefix,
        gateway=number_of(gateway),
    )


def lease(name: str, holder: str = "other\r\neth0") -> Lease:
    return Lease(name=name, address=number_of(name), holder=holder)


FOUR = (make_range("192.0.2.1", "192.0.2.5"),)
TWO_PARTS = (make_range("192.0.2.2", "192.0.2.3"), make_range("10.0.0.8", "10.0.0.9", "10.0.0.9"))
SIX = (make_range("fd00::1", "fd00::3", "fd00::1", 64),)


def given(
    sets: Sequence[tuple[Range, ...]],
    leases: Sequence[Lease] = (),
    last: Sequence[str] = (),
    requested: Sequence[str] = (),
) -> list[str]:
    return [text_of(*grant.address) for grant in plan(sets, leases, last, requested)]


def plan(
    sets: Sequence[tuple[Range, ...]],
    leases: Sequence[Lease] = (),
    last: Sequence[str] = (),
    requested: Sequence[str] = (),
) -> list[Grant]:
    lasts: list[tuple[int, int] | None] = [number_of(address) for address in last]
    lasts = lasts or [None] * len(sets)
    wanted = [number_of(address) for address in requested]
    return plan_grants(sets, leases, lasts, wanted, "web-1", "eth0")


def in_turn(sets: Sequence[tuple[Range, ...]], count: int, last: str = "") -> list[str]:
    """Take one address after the other, none given back."""
    leases: list[Lease] = []
    for _ in range(count):
        (last,) = given(sets, leases, [last] if last else [])
        leases.append(lease(last))
    return [item.name for item in leases]


def test_the_first_address_is_the_first_that_is_no_gateway() -> None:
    assert given([FOUR]) == ["192.0.2.2"]
    assert given([(make_range("192.0.2.1", "192.0.2.5", "10.0.0.1"),)]) == ["192.0.2.1"]


def test_addresses_are_given_in_turn_and_the_turn_ends_where_it_began() -> None:
    assert in_turn([FOUR], 4) == [f"192.0.2.{number}" for number in (2, 3, 4, 5)]
    assert in_turn([FOUR], 4, last="192.0.2.3") == [f"192.0.2.{number}" for number in (4, 5, 2, 3)]


def test_the_turn_leads_through_all_ranges_of_a_set() -> None:
    assert in_turn([TWO_PARTS], 3) == ["192.0.2.2", "192.0.2.3", "10.0.0.8"]
    assert in_turn([TWO_PARTS], 3, last="192.0.2.2") == ["192.0.2.3", "10.0.0.8", "192.0.2.2"]
    assert in_turn([TWO_PARTS], 3, last="10.0.0.8") == ["192.0.2.2", "192.0.2.3", "10.0.0.8"]


def test_the_ranges_of_a_set_are_gone_through_in_their_order() -> None:
    ranges = tuple(make_range(f"10.0.{part}.2", f"10.0.{part}.2") for part in range(3))

    assert in_turn([ranges], 3, last="10.0.1.2") == ["10.0.2.2", "10.0.0.2", "10.0.1.2"]


@pytest.mark.parametrize("last", ["192.0.2.9", "fd00::2", "10.1.1.1"])
def test_a_last_address_from_elsewhere_means_to_begin_anew(last: str) -> None:
    assert given([FOUR], last=[last]) == ["192.0.2.2"]


def test_the_last_address_is_given_again_when_no_other_is_free() -> None:
    leases = [lease(f"192.0.2.{number}") for number in (2, 4, 5)]

    assert given([FOUR], leases, ["192.0.2.3"]) == ["192.0.2.3"]


def test_no_gateway_of_a_set_is_given_by_another_of_its_ranges() -> None:
    ranges = (
        make_range("192.0.2.2", "192.0.2.3", "192.0.2.4"),
        make_range("192.0.2.4", "192.0.2.5", "192.0.2.1"),
    )

    assert in_turn([ranges], 3) == ["192.0.2.2", "192.0.2.3", "192.0.2.5"]


def test_a_range_too_large_to_count_costs_nothing() -> None:
    huge = (make_range("::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::1", 0),)

    assert given([huge], [lease("::2"), lease("::3")]) == ["::4"]


def test_each_set_gives_one_address_with_its_number_and_range() -> None:
    grants = plan([FOUR, SIX], last=["192.0.2.2", "fd00::2"])

    assert grants == [
        Grant(index=0, address=number_of("192.0.2.3"), source=FOUR[0]),
        Grant(index=1, address=number_of("fd00::3"), source=SIX[0]),
    ]


@pytest.mark.parametrize("sets", [[FOUR], [SIX, FOUR]])
def test_a_set_without_a_free_address_is_named(sets: list[tuple[Range, ...]]) -> None:
    leases = [lease(f"192.0.2.{number}") for number in (2, 3, 4, 5)]

    assert refusal(lambda: plan(sets, leases)) == (
        999,
        "no address is free in 192.0.2.1-192.0.2.5",
    )


def test_files_that_name_no_container_keep_their_addresses_and_are_named() -> None:
    leases = [lease("10.0.0.8", "\ufffd\x01"), lease("192.0.2.2"), lease("192.0.2.3", "by hand")]

    with pytest.raises(CniError) as failure:
        plan([TWO_PARTS], leases)

    assert failure.value.details == (
        "the file 10.0.0.8 names no container; the file 192.0.2.3 names no container"
    )


def test_an_address_whose_file_has_no_words_is_free() -> None:
    assert given([FOUR], [lease("192.0.2.2", "")]) == ["192.0.2.2"]


def test_a_requested_address_is_given_from_whichever_set_has_it() -> None:
    assert given([FOUR, SIX], requested=["fd00::3"]) == ["192.0.2.2", "fd00::3"]
    assert given([FOUR, SIX], requested=["fd00::3", "192.0.2.5"]) == ["192.0.2.5", "fd00::3"]
    assert given([FOUR], requested=["192.0.2.5", "192.0.2.5"]) == ["192.0.2.5"]


@pytest.mark.parametrize(
    ("requested", "message"),
    [
        (["192.0.2.1"], "requested address 192.0.2.1 is its subnet's gateway"),
        (["192.0.2.3"], "requested address 192.0.2.3 is taken"),
        (["192.0.2.6"], "requested 192.0.2.6: in no range that has one left to give"),
        (["192.0.2.4", "192.0.2.5"], "requested 192.0.2.5: in no range that has one left to give"),
    ],
)
def test_a_requested_address_that_cannot_be_had_is_refused(
    requested: list[str], message: str
) -> None:
    assert refusal(lambda: given([FOUR], [lease("192.0.2.3")], (), requested)) == (999, message)


def test_who_has_a_requested_address_is_named() -> None:
    with pytest.raises(CniError) as failure:
        given([FOUR], [lease("192.0.2.3", "db-1\r\neth9")], (), ["192.0.2.3"])

    assert failure.value.details == "192.0.2.3 is held by container db-1 (eth9)"


@pytest.mark.parametrize("holder", ["web-1\r\neth0", "web-1"])
def test_an_attachment_gets_no_second_address_of_a_set(holder: str) -> None:
    code, message = refusal(lambda: given([FOUR], [lease("192.0.2.4", holder)]))

    assert (code, "192.0.2.4" in message) == (999, True)


def test_an_attachment_may_have_addresses_elsewhere_and_ask_for_another() -> None:
    own = lease("192.0.2.4", "web-1\r\neth0")

    assert given([SIX], [own]) == ["fd00::2"]
    assert given([FOUR], [own], (), ["192.0.2.5"]) == ["192.0.2.5"]
    assert given([FOUR], [lease("192.0.2.4", "web-1\r\neth1")]) == ["192.0.2.2"]


def test_an_attachment_holds_what_bears_its_container_and_interface() -> None:
    own = [lease("192.0.2.2", render_holder("web-1", "eth0")), lease("fd00::2", "web-1\r\neth0")]
    others = [
        lease("192.0.2.3", "web-1\r\neth1"),
        lease("192.0.2.4", "web-10\r\neth0"),
        lease("192.0.2.5", "web-1"),
        lease("192.0.2.6", ""),
    ]

    assert held_by([*others, *own], "web-1", "eth0") == own


def test_a_bare_id_counts_for_an_attachment_without_other_addresses() -> None:
    bare = lease("192.0.2.5", "web-1")

    assert held_by([bare, lease("192.0.2.3", "web-1\r\neth1")], "web-1", "eth0") == [bare]
    assert held_by([bare], "web-10", "eth0") == []
