"""What one commit changes: whose ports come, whose go, whose stay above, and in which table."""

from __future__ import annotations

from mesos_cni_port_mapper.portmap.attachment import tag_of
from mesos_cni_port_mapper.portmap.plan import TABLES, plan_tables, tables_of
from mesos_cni_port_mapper.portmap.traffic import TAKEOVER
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mesos_cni_port_mapper.netfilter.record import Record
    from mesos_cni_port_mapper.portmap.rule import Plan


class Transition(Value):
    """What an attachment may have in the kernel, and what it is to have.

    ``before`` is nothing for one of which nobody knows anything.
    """

    after: Record
    before: Record | None = None

    def had(self) -> list[Record]:
        """Return the records of all that may be there, the latest first."""
        found = []
        before = self.before
        while before is not None:
            if before.mappings:
                found.append(before)
            before = before.earlier
        return found


class Step(Value):
    """What is to be committed: an attachment's own transition, and those of who gives way to it.

    ``raised`` are the tags of who asks for one host address where others ask for all, and must be
    looked at before, ``owners`` those of who has the same ports. ``policy`` is what happens to a
    port of somebody who is not on record.
    """

    own: Transition
    others: tuple[Transition, ...] = ()
    raised: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    policy: str = TAKEOVER

    def transitions(self) -> tuple[Transition, ...]:
        """Return all of them, the attachment's own last."""
        return (*self.others, self.own)

    def known(self) -> frozenset[str]:
        """Return the tags about whose owners it has been decided."""
        others = [tag_of(each.after.attachment) for each in self.others]
        return frozenset((*self.raised, *self.owners, *others))


class Change(Value):
    """What is to become of one table.

    ``plan`` is the attachment's own, ``others`` those of who gives way. ``afresh`` says that nobody
    concerned has rules yet. ``former`` is what the attachment has there, if it leaves and nobody
    else is concerned.
    """

    plan: Plan
    others: tuple[Plan, ...] = ()
    afresh: bool = False
    former: Plan | None = None


def plan_changes(step: Step) -> list[Change]:
    """Plan a step table by table: in their order to forward, backwards to leave."""
    before = [record for each in step.transitions() for record in each.had()]
    wish = step.own.after.wish()
    others = [each.after for each in step.others]
    afresh = not (before or step.raised)
    alone = len(before) == 1 and not wish.mappings
    changes = [
        Change(
            plan=plan,
            others=plans_of(others, table),
            afresh=afresh,
            former=plans_of(before, table)[0] if alone else None,
        )
        for table in tables_of_all([step.own.after, *others, *before])
        for plan in plan_tables(wish, [table])
    ]
    return changes if step.own.after.mappings else changes[::-1]


def split_by_backend(step: Step, world_of: Callable[[str], str]) -> list[tuple[str, Step]]:
    """Return what a step is for each back end, the attachment's own first.

    An attachment that changes its back end is new to the one and leaves the other, unless both work
    on the same tables: ``world_of`` says which those are.
    """
    own = step.own.after.backend
    used = [record.backend for each in step.transitions() for record in (each.after, *each.had())]
    if set(used) == {own}:
        return [(own, step)]
    worlds: dict[str, str] = {}
    parts: dict[str, list[Transition]] = {}
    for backend in (own, *used):
        parts.setdefault(worlds.setdefault(world_of(backend), backend), [])
    for each in step.transitions():
        concerned = [world_of(record.backend) for record in (each.after, *each.had())]
        for world in dict.fromkeys(concerned):
            parts[worlds[world]].append(_part_of(each, world, world_of))
    return [
        (backend, step.but(own=transitions[-1], others=tuple(transitions[:-1])))
        for backend, transitions in parts.items()
    ]


def _part_of(transition: Transition, world: str, world_of: Callable[[str], str]) -> Transition:
    after = transition.after
    before = None
    for record in transition.had()[::-1]:
        if world_of(record.backend) == world:
            before = record.but(earlier=before)
    stays = world_of(after.backend) == world
    return Transition(before=before, after=after if stays else without(after))


def without(record: Record) -> Record:
    """Return what is on record of an attachment that has nothing any more."""
    return record.but(mappings=(), local_interface="")


def find_exposed(step: Step) -> list[Record]:
    """Return the records, as they were, whose loopback would be let out without a guard.

    Where the attachment's own takes their place, loopback never stops being let out.
    """
    own = step.own.after.local_interface
    return [each for each in find_relieved(step) if each.local_interface != own]


def find_relieved(step: Step) -> list[Record]:
    """Return the records, as they were, of those who no longer need loopback let out."""
    return [
        before
        for each in step.transitions()
        for before in each.had()
        if before.local_interface not in ("", each.after.local_interface)
    ]


def plans_of(records: Iterable[Record], table: tuple[int, str]) -> tuple[Plan, ...]:
    """Plan for records in one table."""
    return tuple([plan for record in records for plan in plan_tables(record.wish(), [table])])


def tags_of(records: Iterable[Record]) -> tuple[str, ...]:
    """Return the tags of those on record."""
    return tuple([tag_of(record.attachment) for record in records])


def tables_of_all(records: Iterable[Record]) -> list[tuple[int, str]]:
    """Return the tables in which any of the records has rules, in their order."""
    used = [table for record in records for table in tables_of(record.wish())]
    return [table for table in TABLES if table in used]
