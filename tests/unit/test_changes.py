"""Steps: what an attachment had, is to have, and which back end has to do with it."""

from mesos_cni_port_mapper.netfilter.changes import (
    Step,
    Transition,
    find_exposed,
    find_relieved,
    plan_changes,
    split_by_backend,
    without,
)
from mesos_cni_port_mapper.portmap.rule import IPV4, IPV6, NAT
from tests.unit.memory_host import record

OLD = record("a", 1)
NEW = record("a", 2, backend="nftables")
LOSER = Transition(before=record("b", 2, 3), after=record("b", 3))


def test_what_an_attachment_had_is_all_that_may_be_left() -> None:
    killed = record("a", 2, earlier=record("a", 1, earlier=record("a")))

    assert Transition(before=killed, after=record("a")).had() == [killed, killed.earlier]
    assert Transition(after=NEW).had() == []


def test_one_back_end_gets_the_whole_step() -> None:
    step = Step(own=Transition(before=OLD, after=record("a", 2)), others=(LOSER,))

    assert split_by_backend(step, str) == [("iptables", step)]


def test_who_changes_the_back_end_is_new_to_one_and_leaves_the_other() -> None:
    step = Step(own=Transition(before=OLD, after=NEW), others=(LOSER,))

    assert split_by_backend(step, str) == [
        ("nftables", Step(own=Transition(after=NEW))),
        ("iptables", Step(own=Transition(before=OLD, after=without(NEW)), others=(LOSER,))),
    ]


def test_who_loses_a_port_to_another_back_end_loses_it_in_its_own() -> None:
    step = Step(own=Transition(after=NEW), others=(LOSER,))

    assert split_by_backend(step, str) == [
        ("nftables", Step(own=Transition(after=NEW))),
        ("iptables", Step(own=LOSER)),
    ]


def test_back_ends_that_share_their_tables_share_a_part() -> None:
    old, new = record("a", 1), record("a", 2, backend="libiptc")
    step = Step(own=Transition(before=old, after=new), others=(LOSER,))

    assert split_by_backend(step, lambda _: "legacy") == [("libiptc", step)]


def test_tables_are_changed_in_their_order_and_left_backwards() -> None:
    dual = record("a", 1, addresses=("192.0.2.2/24", "2001:db8::2/64"))

    made = plan_changes(Step(own=Transition(after=dual)))
    left = plan_changes(Step(own=Transition(before=dual, after=without(dual))))

    assert [(each.plan.family, each.plan.table) for each in made] == [(IPV4, NAT), (IPV6, NAT)]
    assert [(each.plan.family, each.plan.table) for each in left] == [(IPV6, NAT), (IPV4, NAT)]
    assert [(each.afresh, bool(each.plan.chains[0].rules)) for each in made] == [(True, True)] * 2
    assert [(each.afresh, bool(each.plan.chains[0].rules)) for each in left] == [(False, False)] * 2


def test_loopback_is_let_out_by_whoever_takes_its_place() -> None:
    before = record("b", 1, local_interface="cni0")
    loser = Transition(before=before, after=before.but(local_interface=""))

    same = Step(own=Transition(after=record("a", 1, local_interface="cni0")), others=(loser,))
    other = Step(own=Transition(after=record("a", 1, local_interface="cni1")), others=(loser,))

    assert (find_relieved(same), find_exposed(same)) == ([before], [])
    assert (find_relieved(other), find_exposed(other)) == ([before], [before])
