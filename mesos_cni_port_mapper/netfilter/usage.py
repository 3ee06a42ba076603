"""Read from the kernel what the mappings on record have been used for."""

from __future__ import annotations

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.netfilter import counters
from mesos_cni_port_mapper.netfilter.existing import has_table
from mesos_cni_port_mapper.portmap.mapping import of_family, runs_of
from mesos_cni_port_mapper.portmap.plan import endpoints_of
from mesos_cni_port_mapper.portmap.rule import NAT
from mesos_cni_port_mapper.portmap.traffic import NFTABLES
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from mesos_cni_port_mapper.netfilter.backends import BackEnds
    from mesos_cni_port_mapper.netfilter.counters import Count
    from mesos_cni_port_mapper.netfilter.record import Record
    from mesos_cni_port_mapper.portmap.mapping import PortRun
    from mesos_cni_port_mapper.portmap.nft_listing import NftListing


class Use(Value):
    """A run of mappings in one family, where it leads, and packets and bytes, if they are known."""

    record: Record
    family: int
    run: PortRun
    address: str
    counted: tuple[int, int] | None


def read_use(backends: BackEnds, records: Iterable[Record]) -> tuple[list[Use], list[str]]:
    """Return every run of mappings with its counters, and what kept counters from being read.

    A table is listed once for all records.
    """
    tables = _Tables(backends)
    found = [
        Use(
            record=record,
            family=endpoint.family,
            run=run,
            address=endpoint.address,
            counted=counters.sum_of(run, tables.counts(record, endpoint.family)),
        )
        for record in records
        for endpoint in endpoints_of(record.addresses)
        for run in runs_of(of_family(record.mappings, endpoint.family))
    ]
    return found, list(dict.fromkeys(tables.problems))


class _Tables:
    def __init__(self, backends: BackEnds) -> None:
        self.problems: list[str] = []
        self._backends = backends
        self._rules: dict[tuple[str, int], dict[str, list[Count]]] = {}
        self._elements: dict[int, NftListing | None] = {}

    def counts(self, record: Record, family: int) -> Iterable[Count]:
        try:
            if record.backend == NFTABLES:
                if family not in self._elements:
                    self._elements[family] = None
                    self._elements[family] = self._backends.nft().listing(family)
                listing = self._elements[family]
                return counters.count_elements(listing, record, family) if listing else ()
            return counters.counts_of(record, self._by_tag(record.backend, family))
        except CniError as error:
            self.problems.append(str(error))
            return ()

    def _by_tag(self, backend: str, family: int) -> dict[str, list[Count]]:
        place = (backend, family)
        if place not in self._rules:
            self._rules[place] = {}
            tools = self._backends.tools(backend).get(family)
            if tools and has_table(family, NAT):
                self._rules[place] = counters.parse_rules(tools.counted(NAT))
        return self._rules[place]
