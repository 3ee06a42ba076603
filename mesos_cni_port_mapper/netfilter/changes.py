"""What an ADD changes, table by table: whose rules come, whose go, whose stay above."""

from __future__ import annotations

from mesos_cni_port_mapper.portmap.plan import TABLES, plan_tables, tables_of
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mesos_cni_port_mapper.netfilter.conflicts import Loser
    from mesos_cni_port_mapper.netfilter.record import Record
    from mesos_cni_port_mapper.portmap.rule import Plan


class Change(Value):
    """What is to become of one table.

    ``plan`` is the attachment's own, ``others`` those of who gives way, ``raised`` the tags of who
    stays above. ``afresh`` says that nobody concerned has rules yet.
    """

    plan: Plan
    others: tuple[Plan, ...] = ()
    raised: tuple[str, ...] = ()
    afresh: bool = False


def plan_changes(
    record: Record, old: Record | None, losers: Sequence[Loser], raised: Sequence[str]
) -> list[Change]:
    """Plan for a record that takes the place of an ``old`` one, in the order of the tables.

    ``losers`` have rules also where nothing will be left of theirs. ``raised`` are the tags of
    those who ask for one host address where the record asks for all, and must be looked at before.
    """
    before = [
        *[loser.record for loser in losers],
        *([old] if old is not None and old.mappings else []),
    ]
    reduced = [loser.rest() for loser in losers]
    return [
        Change(
            plan=plan,
            others=plans_of(reduced, table),
            raised=tuple(raised),
            afresh=not (before or raised),
        )
        for table in tables_of_all([record, *before])
        for plan in plan_tables(record.wish(), [table])
    ]


def find_exposed(record: Record, old: Record | None, losers: Sequence[Loser]) -> list[Record]:
    """Return the records, as they were, whose loopback would be let out without a guard.

    Where the record's own takes their place, loopback never stops being let out.
    """
    relieved = find_relieved(record, old, losers)
    return [each for each in relieved if each.local_interface != record.local_interface]


def find_relieved(record: Record, old: Record | None, losers: Sequence[Loser]) -> list[Record]:
    """Return the records, as they were, of those who no longer need loopback let out."""
    pairs = [(loser.record, loser.rest()) for loser in losers]
    pairs += [(old, record)] if old is not None else []
    return [
        before
        for before, after in pairs
        if before.local_interface not in ("", after.local_interface)
    ]


def plans_of(records: Iterable[Record], table: tuple[int, str]) -> tuple[Plan, ...]:
    """Plan for records in one table."""
    return tuple([plan for record in records for plan in plan_tables(record.wish(), [table])])


def tables_of_all(records: Iterable[Record]) -> list[tuple[int, str]]:
    """Return the tables in which any of the records has rules, in their order."""
    used = [table for record in records for table in tables_of(record.wish())]
    return [table for table in TABLES if table in used]
