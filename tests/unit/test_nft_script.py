"""Which commands nft(8) is given: what a batch relies on comes before what it does."""

from typing import Any

import pytest

from mesos_cni_port_mapper.portmap.elements import Content, Element, chain_of, identity_of
from mesos_cni_port_mapper.portmap.elements import plan_contents as contents_of
from mesos_cni_port_mapper.portmap.nft_script import (
    plan_dissolution,
    plan_exchange,
    plan_parts,
    plan_repair,
    plan_transition,
)
from mesos_cni_port_mapper.portmap.nft_table import BASE, chains_of, declare_part, table_of
from tests.unit.memory_nft import MemoryNft
from tests.unit.memory_table import RefusedError
from tests.unit.wishes import attachment, mapping, tag, wish

T = "ip mesos-cni-port-mapper"
A, B = (identity_of(attachment(name)) for name in ("a", "b"))


def content(name: str, *ports: int, address: str = "192.0.2.2/24", **options: Any) -> Content:
    asked = wish(name, *[mapping(port) for port in ports], addresses=(address,), **options)
    (found,) = contents_of(asked)
    return found


def tables(*batches: list[str]) -> MemoryNft:
    memory = MemoryNft()
    memory.carry_out(plan_parts(4, ["hidden24"], []))
    for batch in batches:
        memory.carry_out(batch)
    return memory


def test_what_comes_is_added_owners_first() -> None:
    assert plan_transition(4, (), [content("a", 8080, 8081, devices=("cni0",))]) == [
        f'add element {T} any-owners {{ tcp . 8080 comment "{tag("a")}" : {A}, '
        f'tcp . 8081 comment "{tag("a")}" : {A} }}',
        f"add element {T} any {{ tcp . 8080 : 192.0.2.2 . 80, tcp . 8081 : 192.0.2.2 . 80 }}",
        f'add element {T} any-excluded {{ "cni0" . tcp . 8080, "cni0" . tcp . 8081 }}',
    ]


def test_what_goes_is_compared_before_it_is_deleted() -> None:
    assert plan_transition(4, [content("a", 8080)], ()) == [
        f'add element {T} any-owners {{ tcp . 8080 comment "{tag("a")}" : {A} }}',
        f"add element {T} any {{ tcp . 8080 : 192.0.2.2 . 80 }}",
        f"delete element {T} any-owners {{ tcp . 8080 }}",
        f"delete element {T} any {{ tcp . 8080 }}",
    ]


def test_what_stays_is_not_deleted_in_between() -> None:
    lines = plan_transition(4, [content("a", 8080, 8081)], [content("a", 8081, 8082)])

    assert [line for line in lines if line.startswith("delete")] == [
        f"delete element {T} any-owners {{ tcp . 8080 }}",
        f"delete element {T} any {{ tcp . 8080 }}",
    ]


def test_a_takeover_is_one_batch() -> None:
    memory = tables(plan_transition(4, (), [content("a", 8080)]))

    memory.carry_out(
        plan_transition(4, [content("a", 8080)], [content("b", 8080, address="192.0.2.3/24")])
    )

    listing = memory.listing(4)
    assert listing is not None
    assert {key: held.value for key, held in listing.containers["any"].items()} == {
        "tcp . 8080": "192.0.2.3 . 80"
    }
    assert [held.value for held in listing.containers["any-owners"].values()] == [B]


def test_a_del_is_refused_where_another_has_the_port_since() -> None:
    # The same address, so that owners alone tell them apart.
    memory = tables(plan_transition(4, (), [content("b", 8080)]))
    before = memory.listing(4)

    with pytest.raises(RefusedError, match=r"any-owners .*File exists"):
        memory.carry_out(plan_transition(4, [content("a", 8080)], ()))

    assert memory.listing(4) == before


def test_a_del_of_what_is_gone_already_works() -> None:
    memory = tables()
    before = memory.listing(4)

    memory.carry_out(plan_transition(4, [content("a", 8080, snat=True, mark=1)], ()))

    assert memory.listing(4) == before


def test_an_add_is_refused_where_another_has_the_port() -> None:
    memory = tables(plan_transition(4, (), [content("b", 8080)]))

    with pytest.raises(RefusedError, match="File exists"):
        memory.carry_out(plan_transition(4, (), [content("a", 8080)]))


def test_a_chain_is_made_before_it_is_led_to_and_removed_after() -> None:
    odd = content("a", 8080, conditions_v4=("ip", "ttl", "5"))
    chain = f"{T} {chain_of(A)}"

    coming, going = plan_transition(4, (), [odd]), plan_transition(4, [odd], ())

    assert coming[:3] == [
        f"add chain {chain}",
        f"flush chain {chain}",
        f"add rule {chain} tcp dport 8080 ip ttl 5 dnat to 192.0.2.2:80",
    ]
    assert going[:2] == [f"add chain {chain}", f"flush chain {chain}"]
    assert going[-2:] == [f"flush chain {chain}", f"delete chain {chain}"]
    memory = tables()
    before = memory.listing(4)
    memory.carry_out(coming)
    memory.carry_out(going)
    assert memory.listing(4) == before


def test_what_is_on_record_twice_is_deleted_once() -> None:
    # An ADD that was killed has its attachment on record as it was before, and as it was to be.
    odd = content("a", 8080, conditions_v4=("ip", "ttl", "5"))
    memory = tables(plan_transition(4, (), [odd]))

    memory.carry_out(plan_transition(4, [odd, odd], ()))

    assert memory.listing(4) == tables().listing(4)


def test_a_chain_stays_while_its_owner_needs_rules() -> None:
    odd = content("a", 8080, conditions_v4=("ip", "ttl", "5"))
    memory = tables(plan_transition(4, (), [odd]))

    memory.carry_out(plan_transition(4, [odd], [content("a", 9090, mark=1)]))
    memory.carry_out(plan_transition(4, [content("a", 9090, mark=1)], [content("a", 9090)]))

    listing = memory.listing(4)
    assert listing is not None
    assert chain_of(A) not in listing.chains
    assert list(listing.containers["any"]) == ["tcp . 9090"]


def test_an_exchange_deletes_what_was_listed_and_no_more() -> None:
    coming = content("b", 8080)
    going = [Element(container="any-owners", key="tcp . 8080"), Element(container="any", key="x")]

    lines = plan_exchange(4, going, [coming], [chain_of(A)])

    assert lines[:2] == [
        f"delete element {T} any-owners {{ tcp . 8080 }}",
        f"delete element {T} any {{ x }}",
    ]
    assert lines[2:4] == plan_transition(4, (), [coming])
    assert lines[4:] == [f"flush chain {T} {chain_of(A)}", f"delete chain {T} {chain_of(A)}"]


@pytest.mark.parametrize("family", [4, 6])
def test_a_table_is_declared_whole_and_once(family: int) -> None:
    memory = MemoryNft()
    lines = plan_parts(family, ["hidden24", "guard"][: 3 - family // 2], [])
    memory.carry_out(lines)

    assert lines[0] == f"create table {table_of(family)}"
    assert len(set(lines)) == len(lines)
    with pytest.raises(RefusedError, match="the table exists"):
        memory.carry_out(lines)


def test_parts_that_are_known_are_left_alone() -> None:
    assert plan_parts(4, ["guard"], [BASE, "guard"]) == []
    assert plan_parts(4, ["guard"], [BASE]) == declare_part(4, "guard")


def test_a_repair_keeps_elements_and_mends_chains() -> None:
    memory = tables(plan_transition(4, (), [content("a", 8080, snat=True)]))
    before = memory.listing(4)
    memory.carry_out([f"flush chain {T} ports", f"add rule {T} loopback return"])

    memory.carry_out(plan_repair(4, ["hidden24"]))

    assert memory.listing(4) == before


def test_a_repair_makes_a_table_that_is_gone() -> None:
    memory = MemoryNft()

    memory.carry_out(plan_repair(4, ["hidden24"]))

    assert memory.listing(4) == tables().listing(4)
    memory.carry_out(plan_dissolution(4))
    assert memory.listing(4) is None


@pytest.mark.parametrize("family", [4, 6])
def test_hooks_stand_behind_everybody_s_and_hide_before(family: int) -> None:
    base, hidden = chains_of(family, BASE), chains_of(family, "hidden24")

    assert {name: hook for name, (hook, _) in (base | hidden).items() if hook} == {
        "prerouting": "type nat hook prerouting priority -90",
        "output": "type nat hook output priority -90",
        "hidden24": "type nat hook postrouting priority 90",
    }
    assert chains_of(4, "guard")["guard"][0] == "type filter hook prerouting priority -300"


def test_one_address_is_looked_up_before_all_and_devices_before_either() -> None:
    _, rules = chains_of(4, BASE)["ports"]
    sets = [word for rule in rules for word in rule.split(" ") if word.startswith("@")]

    assert sets == [
        f"@{scope}{kind}"
        for scope in ("one", "any")
        for kind in ("-excluded", "-excluded-runs", "-odd", "", "-runs")
    ]


def test_only_ipv4_forwards_what_is_for_loopback() -> None:
    assert chains_of(4, BASE)["output"][1][0] == "ip daddr 127.0.0.0/8 goto loopback"
    assert chains_of(6, BASE)["output"][1][0] == "ip6 daddr ::1 return"
