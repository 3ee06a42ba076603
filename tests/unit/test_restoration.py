"""What is planned to bring everything back: who is raised, who moves, and who keeps a port."""

from mesos_cni_port_mapper.netfilter import restoration
from mesos_cni_port_mapper.netfilter.batch import plan_agreement
from mesos_cni_port_mapper.netfilter.record import Record
from mesos_cni_port_mapper.netfilter.restoration import (
    find_lacking,
    find_raised,
    find_sunken,
    plan_order,
    plan_return,
    plan_sides,
    plan_sweep,
    plan_wanted,
    without_rivals,
)
from mesos_cni_port_mapper.portmap.attachment import tag_of
from mesos_cni_port_mapper.portmap.elements import identity_of
from mesos_cni_port_mapper.portmap.listing import Listing
from mesos_cni_port_mapper.portmap.mapping import PortMapping
from mesos_cni_port_mapper.portmap.nft_listing import NftListing
from mesos_cni_port_mapper.portmap.plan import TABLES
from mesos_cni_port_mapper.portmap.rule import IPV4, NAT
from tests.unit.memory_host import record
from tests.unit.memory_table import MemoryTable

TABLE = (IPV4, NAT)


def at(each: Record, address: str) -> Record:
    """Return a record whose mappings are for one address of the host."""
    return each.but(mappings=tuple([item.but(host_address=address) for item in each.mappings]))


def names(records: list[Record]) -> list[str]:
    return [each.attachment.container_id for each in records]


def test_who_asks_for_one_address_is_raised_where_others_ask_for_all() -> None:
    one, other = at(record("one", 80), "192.0.2.1"), at(record("other", 80), "192.0.2.3")
    alone, everywhere = at(record("alone", 81), "192.0.2.1"), record("all", 80)

    raised = find_raised([one, everywhere, other, alone])

    assert raised == (tag_of(other.attachment), tag_of(one.attachment))


def test_nobody_is_raised_above_himself() -> None:
    item = PortMapping(protocol="tcp", host_port=80, container_port=80, host_address="192.0.2.1")
    both = record("both", 80)

    assert find_raised([both.but(mappings=(*both.mappings, item))]) == ()


def test_the_newest_keeps_a_port_that_two_records_have_where_only_one_can() -> None:
    old, new = (record(name, 80, 81 + index) for index, name in enumerate(("old", "new")))
    elements = [each.but(backend="nftables") for each in (old, new)]

    kept = without_rivals(elements)

    assert [[item.host_port for item in each.mappings] for each in kept] == [[81], [80, 82]]
    assert without_rivals([old, new]) == [old, new]


def test_who_shares_a_port_and_is_newer_stays_above_who_comes_back() -> None:
    old, new, other = record("old", 80), record("new", 80), record("other", 81)
    wanted = plan_wanted([old, new, other], TABLE)
    table = MemoryTable()
    empty = table.listing()
    table.restore(plan_agreement(empty, plan_order(wanted, [old, new, other])))
    whole = table.listing()
    lost = next(rule for rule in whole.chains["CHAIN"] if "container_id: old" in rule)
    table.restore([f"-D CHAIN {lost}"])

    lacking = find_lacking(table.listing(), wanted)
    table.restore(plan_agreement(table.listing(), plan_order(wanted, lacking)))

    assert names(lacking) == ["old"]
    tags = [rule for rule in table.listing().chains["CHAIN"] if "--dport 80" in rule]
    assert ["new" in rule for rule in tags] == [True, False]
    assert find_lacking(table.listing(), wanted) == []


def test_a_single_address_that_sank_below_all_is_raised_again() -> None:
    one, everywhere = at(record("one", 80), "192.0.2.1"), record("all", 80)
    wanted = plan_wanted([one, everywhere], TABLE)
    raised = find_raised([one, everywhere])
    table = MemoryTable()
    table.restore(plan_agreement(table.listing(), plan_order(wanted, [one, everywhere])))

    sunken = find_sunken(table.listing(), wanted, raised)
    assert names(sunken) == ["one"]
    plans = [plan for each, plan in wanted if each in sunken]
    table.restore(plan_agreement(table.listing(), plans, raised))

    assert find_sunken(table.listing(), wanted, raised) == []
    assert "container_id: one" in table.listing().chains["CHAIN"][0]


def test_nothing_is_planned_where_nothing_lacks() -> None:
    wanted = plan_wanted([record("a", 80), record("b", 81)], TABLE)

    assert plan_order(wanted, []) == []


def test_a_sweep_takes_rules_of_tags_from_any_chain_and_no_others() -> None:
    tags = [tag_of(record(name).attachment) for name in ("gone", "stays")]
    rules = tuple([f'-m comment --comment "{tag}" -j RETURN' for tag in tags])
    listing = Listing(
        chains={"PREROUTING": ("-j OLD",), "OLD": rules}, built_in=frozenset(["PREROUTING"])
    )

    lines = plan_agreement(listing, plan_sweep([tags[0]], TABLE))

    assert lines == [f"-D OLD {rules[0]}"]


def test_a_table_that_is_gone_is_made_with_everything_in_it() -> None:
    records = [record(name, 80 + index) for index, name in enumerate("ab")]
    sides = plan_sides(records, ())

    back = plan_return(sides, dict.fromkeys([4, 6]))

    assert back.amiss == {identity_of(each.attachment) for each in records}
    assert back.lines[0] == "create table ip mesos-cni-port-mapper"
    assert len([line for line in back.lines if line.startswith("create table")]) == len(sides)
    assert (
        len([line for line in back.lines if "element ip mesos-cni-port-mapper any {" in line]) == 1
    )


def test_an_empty_table_that_nobody_needs_goes() -> None:
    empty = NftListing(containers={}, chains={})

    back = plan_return(plan_sides([], ["::1"]), {4: empty, 6: None})

    assert back.lines == ("delete table ip mesos-cni-port-mapper",)
    assert back.dissolved == (4, 6)


def test_every_table_has_its_plans() -> None:
    local = record("local", 80)
    found = {table: len(plan_wanted([local], table)) for table in TABLES}

    assert found[TABLE] == 1
    assert restoration.find_raised([local]) == ()
