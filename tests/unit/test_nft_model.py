"""A search for a history after which tables of nf_tables hold what they should not.

Attachments come, go, take ports from each other, die on the way and lose their state. What should
be there is told port by port, and element by element from what is on record.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mesos_cni_port_mapper.cni.errors import RULES_FAILED, CniError
from mesos_cni_port_mapper.netfilter.outcome import RulesUntouchedError
from mesos_cni_port_mapper.netfilter.record import Record
from mesos_cni_port_mapper.portmap.elements import chain_of, identity_of, plan_contents
from mesos_cni_port_mapper.portmap.mapping import PortMapping, ports_of
from mesos_cni_port_mapper.portmap.nft_agreement import find_nft_differences
from mesos_cni_port_mapper.portmap.traffic import FAIL, NFTABLES, TAKEOVER, Traffic
from tests.unit.memory_host import MemoryHost, record_of
from tests.unit.wishes import attachment

NAMES = ("a", "b", "c")
IDENTITIES = {identity_of(attachment(name)): name for name in NAMES}
PORTS = range(1, 7)
Element = tuple[int, str, str]
Port = tuple[int, str, str, int]


def consistent(mappings: list[PortMapping]) -> tuple[PortMapping, ...]:
    """Return mappings without those that lead a port somewhere else, as no configuration may."""
    targets: dict[Any, int] = {}
    return tuple(
        dict.fromkeys(
            item
            for item in mappings
            if {targets.setdefault(port, item.container_port) for port in ports_of(item)}
            == {item.container_port}
        )
    )


MAPPINGS = st.lists(
    st.builds(
        lambda protocol, address, first, count, shift: [
            PortMapping(
                protocol=protocol,
                host_port=port,
                container_port=port + shift,
                host_address=address,
            )
            for port in range(first, min(first + count, max(PORTS) + 1))
        ],
        protocol=st.sampled_from(["tcp", "udp"]),
        address=st.sampled_from(["", "", "198.51.100.1", "2001:db8::1", "127.0.0.1", "0.0.0.0"]),
        first=st.sampled_from(PORTS),
        count=st.integers(1, 4),
        shift=st.sampled_from([0, 0, 100]),
    ),
    min_size=1,
    max_size=3,
).map(lambda runs: consistent([item for run in runs for item in run]))
ADDRESSES = {
    name: ((f"192.0.2.{number}/24", f"2001:db8:2::{number}/64"), (f"192.0.2.{number}/24",))
    for number, name in enumerate(NAMES, 2)
}
OPTIONS = st.fixed_dictionaries(
    {
        "excluded_devices": st.sampled_from([(), ("cni0",), ("cni0", "cni1"), ("br+",)]),
        "traffic": st.builds(
            Traffic,
            snat=st.booleans(),
            localhost=st.booleans(),
            masquerade_all=st.booleans(),
            mark=st.sampled_from([0, 0, 0x2000]),
            conditions_v4=st.sampled_from([(), (), ("ip", "ttl", "5")]),
        ),
    }
)


class History(RuleBasedStateMachine):
    """One host, from its first container on."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.patches = pytest.MonkeyPatch()
        self.host = MemoryHost(self.directory, self.patches)
        self.nft = self.host.install_nft()
        self.attached: dict[str, Record] = {}
        self.lost: dict[str, Record] = {}
        self.claims: dict[Port, str] = {}
        self.dead = ""

    def teardown(self) -> None:
        self.patches.undo()
        shutil.rmtree(self.directory)

    def record(self, name: str, mappings: tuple[PortMapping, ...], **options: Any) -> Record:
        return record_of(name, *mappings, backend=NFTABLES, **options)

    def elements(self) -> dict[Element, str]:
        """Return every element with its value."""
        return {
            (family, container, key): held.value
            for family in self.nft.memory.tables
            for container, each in self.nft.memory.tables[family].containers.items()
            for key, held in each.elements.items()
        }

    def owners(self) -> dict[Port, str]:
        """Return who owns ports, one by one, those of runs too."""
        found = {}
        for (family, container, key), value in self.elements().items():
            if container.endswith("-owners") and not container.startswith("hidden"):
                *address, protocol, ports = key.split(" . ")
                first, _, last = ports.partition("-")
                for port in range(int(first), int(last or first) + 1):
                    found[family, "".join(address), protocol, port] = IDENTITIES[value]
        return found

    def usual(self) -> bool:
        return not self.dead

    @precondition(usual)
    @rule(
        name=st.sampled_from(NAMES),
        mappings=MAPPINGS,
        options=OPTIONS,
        both=st.booleans(),
        policy=st.sampled_from([TAKEOVER, TAKEOVER, FAIL]),
    )
    def add(
        self,
        name: str,
        mappings: tuple[PortMapping, ...],
        options: dict[str, Any],
        both: bool,
        policy: str,
    ) -> None:
        addresses = ADDRESSES[name][0 if both else 1]
        record = self.record(name, mappings, addresses=addresses, **options)
        if name in self.lost and not families(self.lost[name]) <= families(record):
            return  # Nothing is on record of a family that it leaves.
        before, owners = self.elements(), self.owners()
        claimed = self.claims | {port: who for port, who in owners.items() if who in self.lost}
        contested = {claimed[port] for port in ports(record) if port in claimed} - {name}
        try:
            self.host.add(record, policy)
        except RulesUntouchedError as refusal:
            assert (refusal.code, policy) == (105, FAIL)
            assert contested
            assert self.elements() == before
            # It is undone, with what it was to replace.
            self.host.delete(record)
            self.forget(name)
            return
        assert not contested or policy == TAKEOVER
        self.forget(name)
        self.attached[name] = record
        self.claims |= dict.fromkeys(ports(record), name)
        self.assert_taken(name, record, owners)

    def forget(self, name: str) -> None:
        self.attached.pop(name, None)
        self.lost.pop(name, None)
        self.claims = {port: owner for port, owner in self.claims.items() if owner != name}

    def assert_taken(self, name: str, record: Record, before: dict[Port, str]) -> None:
        """Insist that an ADD took its ports and no other."""
        after, wanted = self.owners(), ports(record)
        assert {port for port, owner in after.items() if owner == name} == served(record)
        for port, owner in before.items():
            if owner != name and port not in wanted and after.get(port) != owner:
                # A run of which nothing is on record goes whole.
                assert owner in self.lost
                assert wanted & {each for each in before if before[each] == owner}

    @rule(name=st.sampled_from(NAMES))
    def delete(self, name: str) -> None:
        """Have one leave, also while its ports are another's who died before that was on record."""
        if name == self.dead:
            return
        before = self.owners()
        self.host.delete(self.record(name, ()))
        self.forget(name)
        assert self.owners() == {port: owner for port, owner in before.items() if owner != name}

    @precondition(usual)
    @rule()
    def lose_state(self) -> None:
        if self.attached:
            # As they are: what they gave up since they came is not theirs any more.
            self.lost |= {each.attachment.container_id: each for each in self.host.records if each}
        shutil.rmtree(self.directory / "state", ignore_errors=True)
        self.attached.clear()
        self.claims.clear()

    @precondition(usual)
    @rule()
    def flush(self) -> None:
        if not self.lost:
            self.nft.memory.tables.clear()
            for record in list(self.attached.values()):
                self.host.add(record)

    @precondition(usual)
    @rule(name=st.sampled_from(NAMES), mappings=MAPPINGS, options=OPTIONS)
    def be_refused(
        self, name: str, mappings: tuple[PortMapping, ...], options: dict[str, Any]
    ) -> None:
        """Have nft refuse an ADD that is undone, as the plugin does."""
        if name in self.attached or name in self.lost:
            return
        before = self.elements()
        self.nft.failures.append(RulesUntouchedError(RULES_FAILED, "refused"))
        record = self.record(name, mappings, addresses=ADDRESSES[name][0], **options)
        with pytest.raises(RulesUntouchedError, match="refused"):
            self.host.add(record, TAKEOVER)
        self.host.ledger.forget(record.attachment)
        assert self.elements() == before

    @precondition(usual)
    @rule(
        name=st.sampled_from(NAMES),
        mappings=MAPPINGS,
        options=OPTIONS,
        early=st.booleans(),
        like=st.booleans(),
    )
    def die(
        self,
        name: str,
        mappings: tuple[PortMapping, ...],
        options: dict[str, Any],
        early: bool,
        like: bool,
    ) -> None:
        """Have an ADD end on the way, before or after its batch."""
        if name in self.lost:
            return
        death = CniError(RULES_FAILED, "died")
        (self.nft.failures if early else self.nft.deaths).append(death)
        record = self.record(name, mappings, addresses=ADDRESSES[name][0], **options)
        others = [each for other, each in self.attached.items() if other != name]
        if like and others:
            record = others[0].but(attachment=record.attachment, addresses=record.addresses)
        with pytest.raises(CniError, match="died"):
            self.host.add(record, TAKEOVER)
        self.dead = name

    @precondition(lambda self: self.dead)
    @rule()
    def clean_up(self) -> None:
        before = self.owners()
        name, self.dead = self.dead, ""
        self.host.delete(self.record(name, ()))
        self.forget(name)
        after = self.owners()
        assert name not in after.values()
        assert {port: owner for port, owner in before.items() if owner != name}.items() <= (
            after.items()
        )

    @invariant()
    def tables_hold_what_is_on_record(self) -> None:
        if self.dead:
            return
        known = [record for record in self.host.records if record] if self.attached else []
        wanted: dict[Element, str] = {}
        chains: set[tuple[int, str]] = set()
        for record in known:
            for content in plan_contents(record.wish()):
                wanted |= {(content.family, x.container, x.key): x.value for x in content.elements}
                listing = self.nft.memory.listing(content.family)
                assert listing is not None
                found = find_nft_differences(listing, content)
                assert found == [], (record, found)
                if content.rules:
                    chains.add((content.family, chain_of(content.identity)))
        present = self.elements()
        assert wanted.items() <= present.items()
        had: set[Element] = set()
        for record in self.lost.values():
            for content in plan_contents(record.wish()):
                had |= {(content.family, each.container, each.key) for each in content.elements}
                chains.add((content.family, chain_of(content.identity)))
        assert set(present) - set(wanted) <= had
        own = {
            (family, name)
            for family, table in self.nft.memory.tables.items()
            for name in table.chains
            if name.startswith("at-")
        }
        assert own <= chains
        if not self.lost:
            assert set(self.nft.memory.tables) == {family for family, _, _ in wanted}
            users = self.directory.glob("state/users/nftables-*/*")
            assert {user.parent.name for user in users} == {
                f"nftables-{family}" for family in self.nft.memory.tables
            }


def ports(record: Record) -> set[Port]:
    """Return the ports that a record asks for."""
    return {
        (family, address, protocol, port)
        for item in record.mappings
        for protocol, port, family, address in ports_of(item)
    }


def families(record: Record) -> set[int]:
    """Return the tables that a record has elements in."""
    return {content.family for content in plan_contents(record.wish())}


def served(record: Record) -> set[Port]:
    """Return those of them for whose family there is an address."""
    return {port for port in ports(record) if port[0] in families(record)}


TestHistory = History.TestCase
TestHistory.settings = settings(
    max_examples=60, stateful_step_count=20, phases=[Phase.generate], derandomize=True
)
