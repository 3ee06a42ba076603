"""The rules of ipMasq: the reference plugins', and only those of one attachment go."""

import pytest

from delegates.masquerade import (
    chain_of,
    plan_addition,
    plan_first,
    plan_known_removal,
    plan_removal,
)
from delegates.operations import Masquerade, RemoveMasquerade
from mesos_cni_port_mapper.portmap.listing import Listing, parse_listing

CHAIN = "CNI-f0bca4ac77cde1bf2f3da5df"
COMMENT = '-m comment --comment "name: \\"mynet\\" id: \\"c1\\""'
ONE = f"""\
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:{CHAIN} - [0:0]
:OTHER - [0:0]
-A POSTROUTING -s 10.1.0.9/32 -j OTHER
-A POSTROUTING -s 10.1.0.2/32 {COMMENT} -j {CHAIN}
-A {CHAIN} -d 10.1.0.0/16 {COMMENT} -j ACCEPT
-A {CHAIN} ! -d 224.0.0.0/4 {COMMENT} -j MASQUERADE
COMMIT
"""
TWO = ONE.replace("COMMIT", f"-A POSTROUTING -s 10.1.0.3/32 {COMMENT} -j {CHAIN}\nCOMMIT")
NONE = "*nat\n:POSTROUTING ACCEPT [0:0]\nCOMMIT\n"


def wanted(*sources: str) -> Masquerade:
    return Masquerade(network="mynet", container_id="c1", ifname="eth0", sources=sources)


def listing(text: str) -> Listing:
    return parse_listing(text.encode())


def test_the_chain_is_called_as_the_reference_plugins_call_it() -> None:
    assert chain_of("mynet", "c1") == CHAIN


def test_a_first_attachment_makes_chain_rules_and_jump_at_once() -> None:
    assert plan_first(wanted("10.1.0.2/16", "fd00:1::2/64"), 4) == [
        f"-N {CHAIN}",
        f"-A {CHAIN} -d 10.1.0.0/16 {COMMENT} -j ACCEPT",
        f"-A {CHAIN} ! -d 224.0.0.0/4 {COMMENT} -j MASQUERADE",
        f"-A POSTROUTING -s 10.1.0.2/32 {COMMENT} -j {CHAIN}",
    ]


def test_each_family_has_its_own() -> None:
    assert plan_first(wanted("10.1.0.2/16", "fd00:1::2/64"), 6) == [
        f"-N {CHAIN}",
        f"-A {CHAIN} -d fd00:1::/64 {COMMENT} -j ACCEPT",
        f"-A {CHAIN} ! -d ff00::/8 {COMMENT} -j MASQUERADE",
        f"-A POSTROUTING -s fd00:1::2/128 {COMMENT} -j {CHAIN}",
    ]
    assert plan_first(wanted("10.1.0.2/16"), 6) == []


def test_every_network_is_excepted_before_the_rest_is_masqueraded() -> None:
    lines = plan_first(wanted("10.1.0.2/16", "10.2.0.2/16"), 4)

    targets = [line.rpartition(" ")[2] for line in lines if line.startswith(f"-A {CHAIN}")]
    assert targets == ["ACCEPT", "ACCEPT", "MASQUERADE"]


def test_a_second_attachment_adds_its_jump_alone() -> None:
    assert plan_addition(listing(ONE), wanted("10.1.0.3/16"), 4) == [
        f"-A POSTROUTING -s 10.1.0.3/32 {COMMENT} -j {CHAIN}"
    ]


def test_what_a_second_attachment_excepts_comes_before_the_rest() -> None:
    lines = plan_addition(listing(ONE), wanted("10.2.0.3/16"), 4)

    assert lines[0] == f"-I {CHAIN} -d 10.2.0.0/16 {COMMENT} -j ACCEPT"


def test_an_addition_makes_a_chain_that_somebody_took_away() -> None:
    lines = plan_addition(listing(NONE), wanted("10.1.0.2/16"), 4)

    assert lines[0] == f"-N {CHAIN}"
    assert lines[-1] == f"-A POSTROUTING -s 10.1.0.2/32 {COMMENT} -j {CHAIN}"


def test_nothing_is_added_where_all_is_there() -> None:
    assert plan_addition(listing(ONE), wanted("10.1.0.2/16"), 4) == []


@pytest.mark.parametrize("sources", [(), ("10.1.0.2",)])
def test_the_last_attachment_takes_the_chain_with_it(sources: tuple[str, ...]) -> None:
    assert plan_removal(listing(ONE), CHAIN, sources) == [
        f"-D POSTROUTING -s 10.1.0.2/32 {COMMENT} -j {CHAIN}",
        f"-F {CHAIN}",
        f"-X {CHAIN}",
    ]


def test_one_of_two_attachments_leaves_the_chain_to_the_other() -> None:
    assert plan_removal(listing(TWO), CHAIN, ["10.1.0.3"]) == [
        f"-D POSTROUTING -s 10.1.0.3/32 {COMMENT} -j {CHAIN}"
    ]


def test_what_other_links_have_is_kept() -> None:
    assert plan_removal(listing(TWO), CHAIN, [], ["10.1.0.2"]) == [
        f"-D POSTROUTING -s 10.1.0.3/32 {COMMENT} -j {CHAIN}"
    ]


def test_what_is_expected_goes_without_a_look() -> None:
    op = RemoveMasquerade(
        network="mynet", container_id="c1", ifname="eth0", sources=("10.1.0.2/16", "fd00::2/64")
    )

    assert plan_known_removal(op, 4) == [
        f"-D POSTROUTING -s 10.1.0.2/32 {COMMENT} -j {CHAIN}",
        f"-F {CHAIN}",
        f"-X {CHAIN}",
    ]


def test_where_addresses_are_unknown_every_jump_goes() -> None:
    lines = plan_removal(listing(TWO), CHAIN, [])

    assert [line[:2] for line in lines] == ["-D", "-D", "-F", "-X"]


def test_nothing_is_removed_where_nothing_is() -> None:
    assert plan_removal(listing(NONE), CHAIN, ["10.1.0.2"]) == []


def test_a_chain_nobody_leads_to_goes_too() -> None:
    text = ONE.replace(f"-A POSTROUTING -s 10.1.0.2/32 {COMMENT} -j {CHAIN}\n", "")

    assert plan_removal(listing(text), CHAIN, ["10.1.0.2"]) == [f"-F {CHAIN}", f"-X {CHAIN}"]
