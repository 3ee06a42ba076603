"""A table of our own in nf_tables for each family, through nft(8): one transaction for all.

A mapping is an element of a map, so that neither packets nor changes cost more with ten thousand
of them. What an attachment has is known from its record; nothing is listed unless a batch that
relies on it is refused.
"""

from __future__ import annotations

from mesos_cni_port_mapper.cni.errors import PORT_TAKEN, RULES_FAILED
from mesos_cni_port_mapper.netfilter.outcome import RulesUntouchedError
from mesos_cni_port_mapper.netfilter.sides import Side, sides_of
from mesos_cni_port_mapper.portmap import nft_script
from mesos_cni_port_mapper.portmap.attachment import is_of_network
from mesos_cni_port_mapper.portmap.elements import OWNERS, identity_of, plan_contents
from mesos_cni_port_mapper.portmap.nft_table import BASE, NAME, table_of
from mesos_cni_port_mapper.portmap.plan import plan_forwarding
from mesos_cni_port_mapper.portmap.rule import IPV4, IPV6, NAT
from mesos_cni_port_mapper.portmap.traffic import FAIL, STRICT
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from mesos_cni_port_mapper.netfilter.changes import Step
    from mesos_cni_port_mapper.netfilter.iptables import Iptables
    from mesos_cni_port_mapper.netfilter.ledger import Ledger
    from mesos_cni_port_mapper.netfilter.nft import Nft
    from mesos_cni_port_mapper.netfilter.record import Record
    from mesos_cni_port_mapper.portmap.attachment import Attachment

_ATTEMPTS = 3
"""How often to list and try again when somebody who does not share our lock keeps interfering."""


class NfTables(Value):
    """The back end; ``tools`` finds the host's iptables, for who minds rules of theirs."""

    nft: Nft
    ledger: Ledger
    tools: Callable[[], Mapping[int, Iptables]]

    def preflight(self) -> None:
        """Complain if nothing could be done, without starting a program."""
        self.nft.preflight()

    def apply(self, step: Step) -> None:
        """Make the tables of both families agree with a step, in one transaction."""
        self.preflight()
        if step.policy == STRICT:
            self._refuse_foreign(step)
        sides = sides_of(step)
        for side in sides:
            for attachment in side.staying:
                self.ledger.join(_users(side.family), attachment)
        try:
            dissolved = self._carry_out(sides, step.policy)
        except RulesUntouchedError:
            for side in sides:
                for attachment in side.coming:
                    self.ledger.leave(_users(side.family), attachment)
            raise
        self._note(sides, dissolved)

    def _carry_out(self, sides: Sequence[Side], policy: str) -> list[int]:
        """Make the tables agree, without a look where it can be; return families of those gone."""
        dissolved = [side.family for side in sides if self._is_last(side)]
        if not any(self._is_doubtful(side, side.family in dissolved) for side in sides):
            if not dissolved and self._strike(sides):
                return []
            lines = [
                line for side in sides for line in self._expected(side, side.family in dissolved)
            ]
            if not lines or not self.nft.commit(lines):
                return dissolved
        return self._agree(sides, policy)

    def _strike(self, sides: Sequence[Side]) -> bool:
        """Delete the elements of who leaves in one transaction; tell whether that was all."""
        if any(side.after for side in sides):
            return False
        from mesos_cni_port_mapper.portmap.registers import pack_elements

        # Who has a chain of its own has elements that lead there, which cannot be packed.
        packed = {side.family: pack_elements(nft_script.find_going(side.before)) for side in sides}
        return all(packed.values()) and self.nft.delete(packed)

    def _is_last(self, side: Side) -> bool:
        """Tell whether nobody on record has anything in a table any more."""
        return not side.staying and not self.ledger.is_shared(_users(side.family), *side.leaving)

    def _is_doubtful(self, side: Side, dissolved: bool) -> bool:
        """Tell whether a table may hold what is on nobody's record, or not be there to be gone."""
        if dissolved and not self.ledger.is_noted(_noted(side.family, BASE)):
            return True
        return self.ledger.is_noted(_noted(side.family, _LOST))

    def _expected(self, side: Side, dissolved: bool) -> list[str]:
        """Return the commands for a table that is as the ledger has it."""
        if dissolved:
            return nft_script.plan_dissolution(side.family)
        lines = nft_script.plan_transition(side.family, side.before, side.after)
        if side.after:
            known = [
                part
                for part in (BASE, *side.parts())
                if self.ledger.is_noted(_noted(side.family, part))
            ]
            lines = nft_script.plan_parts(side.family, side.parts(), known) + lines
        return lines

    def _agree(self, sides: Sequence[Side], policy: str) -> list[int]:
        """Make tables agree whatever they hold; return the families of those that are gone."""
        refusal = ""
        for _ in range(_ATTEMPTS):
            dissolved: list[int] = []
            lines = [line for side in sides for line in self._repair(side, policy, dissolved)]
            refusal = self.nft.commit(lines) if lines else ""
            if not refusal:
                return dissolved
        raise RulesUntouchedError(
            RULES_FAILED,
            f"{self.nft.program} refused the elements of {sides[-1].identities()[-1]}",
            refusal,
        )

    def _repair(self, side: Side, policy: str, dissolved: list[int]) -> list[str]:
        from mesos_cni_port_mapper.portmap import nft_agreement

        listing = self.nft.listing(side.family)
        if listing is None:
            if not side.after:
                dissolved.append(side.family)
                return []
            # Whoever removed the table took all along that is noted of it, guards too.
            self.ledger.forget_all(_noted(side.family, ""))
            return [
                *nft_script.plan_parts(side.family, side.parts(), ()),
                *nft_script.plan_transition(side.family, (), side.after),
            ]
        identities = side.identities()
        is_known = self.ledger.is_noted(_noted(side.family, BASE))
        if side.after and not is_known and nft_agreement.has_others(listing, identities):
            self.ledger.note(_noted(side.family, _LOST))
        taken = nft_agreement.find_taken(listing, identities, side.after)
        if taken and policy in (FAIL, STRICT):
            port, owner = taken
            raise RulesUntouchedError(PORT_TAKEN, f"{port.replace(' . ', ' ')} is taken by {owner}")
        exchange = nft_agreement.plan_departure(listing, identities, side.after)
        if exchange.is_emptied:
            dissolved.append(side.family)
            return nft_script.plan_dissolution(side.family)
        lines = nft_script.plan_exchange(
            side.family, exchange.elements, side.after, exchange.chains
        )
        return [*nft_script.plan_repair(side.family, side.parts()), *lines] if lines else []

    def _note(self, sides: Iterable[Side], dissolved: Sequence[int]) -> None:
        for side in sides:
            for attachment in side.leaving:
                self.ledger.leave(_users(side.family), attachment)
            if side.family in dissolved:
                self.ledger.forget_all(_noted(side.family, ""))
            elif side.after:
                for part in (BASE, *side.parts()):
                    self.ledger.note(_noted(side.family, part))

    def mark_of(self, attachment: Attachment) -> str:
        """Return what stands for an attachment in the maps of owners."""
        return identity_of(attachment)

    def remove(self, mark: str, chain: str, bare: str = "") -> None:  # noqa: ARG002 - iptables' own
        """Remove every element of an identity."""
        sides = [Side(family=family, strays=(mark,)) for family in (IPV4, IPV6)]
        self._note(sides, self._agree(sides, ""))

    def strays(self, network: str | None, kept: Collection[Attachment]) -> list[str]:
        """Return the identities of a network's attachments, but for some."""
        own = {identity_of(each) for each in kept}
        found = []
        for family in (IPV4, IPV6):
            listing = self.nft.listing(family)
            for container, elements in (listing.containers if listing else {}).items():
                if container.endswith(OWNERS):
                    found += [
                        held.value
                        for held in elements.values()
                        if is_of_network(held.comment, network) and held.value not in own
                    ]
        return list(dict.fromkeys(found))

    def restore(
        self,
        records: Sequence[Record],
        raised: Collection[str],  # noqa: ARG002 - a map looks at one address first by itself
        strays: Sequence[str] = (),
    ) -> list[Record]:
        """Bring back what records ask for and remove identities; return whose were amiss."""
        from mesos_cni_port_mapper.netfilter.restoration import plan_return, plan_sides

        self.preflight()
        sides = plan_sides(records, strays)
        refusal = ""
        for _ in range(_ATTEMPTS):
            listings = {side.family: self.nft.listing(side.family) for side in sides}
            back = plan_return(sides, listings)
            refusal = self.nft.commit(back.lines) if back.lines else ""
            if not refusal:
                for side in sides:
                    for attachment in side.staying:
                        self.ledger.join(_users(side.family), attachment)
                self._note(sides, back.dissolved)
                return [each for each in records if identity_of(each.attachment) in back.amiss]
        raise RulesUntouchedError(
            RULES_FAILED, f"{self.nft.program} refused to restore what is on record", refusal
        )

    def local_targets(self, mark: str) -> tuple[set[str], set[str]]:
        """Return where ports of loopback lead to: an identity's, and everybody else's."""
        from mesos_cni_port_mapper.portmap.nft_agreement import owned_locally

        listing = self.nft.listing(IPV4)
        return owned_locally(listing, mark) if listing else (set(), set())

    def rehearse(self, families: Collection[int]) -> None:
        """Have nft check a batch that would make the tables."""
        self.preflight()
        self.nft.rehearse(
            [line for family in families for line in nft_script.plan_repair(family, ())]
        )

    def missing(self, record: Record) -> list[str]:
        """Return the tables that should hold elements of a record and are not there."""
        from mesos_cni_port_mapper.netfilter.existing import has_nft_table

        return [
            f"nftables table {table_of(content.family)}"
            for content in plan_contents(record.wish())
            if not has_nft_table(content.family, NAME)
        ]

    def differences(self, record: Record) -> list[str]:
        """Name everything in which the tables differ from what a record asks for."""
        from mesos_cni_port_mapper.portmap.nft_agreement import find_nft_differences

        found = []
        for content in plan_contents(record.wish()):
            listing = self.nft.listing(content.family)
            table = table_of(content.family)
            if listing is None:
                found.append(f"missing: table {table}")
            else:
                found += [f"{table}: {each}" for each in find_nft_differences(listing, content)]
        return found

    def _refuse_foreign(self, step: Step) -> None:
        """Complain if a rule of somebody else takes a port, iptables' ones among them."""
        from mesos_cni_port_mapper.netfilter.existing import has_table
        from mesos_cni_port_mapper.netfilter.foreign import refuse_taken

        for plan in plan_forwarding(step.own.after.wish()):
            tools = self.tools().get(plan.family)
            if tools is not None and plan.table == NAT and has_table(plan.family, NAT):
                listing = tools.but(keep=self.nft.keep).listing(NAT)
                refuse_taken(listing, plan, step.known(), strict=True)


_LOST = "lost"
"""Noted for a table in which others had elements when no record told that it was there."""


def _users(family: int) -> str:
    return f"nftables-{family}"


def _noted(family: int, part: str) -> str:
    return f"{family}-nftables-{part}"
