"""What one step is for each family: whose contents go from its table, and whose should be there."""

from __future__ import annotations

from mesos_cni_port_mapper.portmap.elements import identity_of, plan_contents
from mesos_cni_port_mapper.portmap.rule import IPV4, IPV6
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mesos_cni_port_mapper.netfilter.changes import Step
    from mesos_cni_port_mapper.portmap.attachment import Attachment
    from mesos_cni_port_mapper.portmap.elements import Content


class Side(Value):
    """What a step is for one family: contents that go and contents that should be there.

    ``leaving`` are the attachments that have nothing there afterwards, ``staying`` the others, and
    those of them had nothing there who are ``coming``. ``strays`` are the identities of those who
    leave and are not on record.
    """

    family: int
    before: tuple[Content, ...] = ()
    after: tuple[Content, ...] = ()
    staying: tuple[Attachment, ...] = ()
    leaving: tuple[Attachment, ...] = ()
    coming: tuple[Attachment, ...] = ()
    strays: tuple[str, ...] = ()

    def identities(self) -> list[str]:
        """Return what stands for those concerned in maps of owners."""
        known = [identity_of(each) for each in (*self.staying, *self.leaving)]
        return [*known, *self.strays]

    def parts(self) -> list[str]:
        """Return what is needed of the table besides its base."""
        return list(dict.fromkeys([part for content in self.after for part in content.parts]))


def sides_of(step: Step) -> list[Side]:
    """Return a step family by family, those families only that it is about."""
    planned = [
        (
            each.after.attachment,
            [content for record in each.had() for content in plan_contents(record.wish())],
            plan_contents(each.after.wish()),
        )
        for each in step.transitions()
    ]
    sides = []
    for family in (IPV4, IPV6):
        before: list[Content] = []
        after: list[Content] = []
        staying: list[Attachment] = []
        leaving: list[Attachment] = []
        coming: list[Attachment] = []
        for attachment, *contents in planned:
            had, has = ([one for one in each if one.family == family] for each in contents)
            before += had
            after += has
            if had or has:
                (staying if has else leaving).append(attachment)
            if has and not had:
                coming.append(attachment)
        if before or after:
            sides.append(
                Side(
                    family=family,
                    before=tuple(before),
                    after=tuple(after),
                    staying=tuple(staying),
                    leaving=tuple(leaving),
                    coming=tuple(coming),
                )
            )
    return sides
