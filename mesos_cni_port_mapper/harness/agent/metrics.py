"""What the agent counts, and the text in which Prometheus reads it."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from mesos_cni_port_mapper.harness import containers
from mesos_cni_port_mapper.harness.agent.census import Census
from mesos_cni_port_mapper.isolator.counters import FIELDS

CONTENT_TYPE = CONTENT_TYPE_LATEST
_PREFIX = "mesos_cni"
_STATES = (
    containers.STARTING,
    containers.RUNNING,
    containers.STOPPING,
    containers.EXITED,
    containers.LOST,
)
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Counts what happens; what is, it is told when it is asked."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._launches = Counter(
            f"{_PREFIX}_launches", "Containers launched.", ["outcome"], registry=self._registry
        )
        self._seconds = Histogram(
            f"{_PREFIX}_launch_seconds",
            "How long launching took, plugins included.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._requests = Counter(
            f"{_PREFIX}_http_requests", "Requests answered.", ["status"], registry=self._registry
        )
        for outcome in ("ok", "failed"):
            self._launches.labels(outcome)

    def launched(self, seconds: float, *, failed: bool) -> None:
        """Note a launch that took so long."""
        self._launches.labels("failed" if failed else "ok").inc()
        self._seconds.observe(seconds)

    def answered(self, status: int) -> None:
        """Note an answer."""
        self._requests.labels(str(status)).inc()

    def render(self, census: Census) -> bytes:
        """Return everything, the containers at a moment included."""
        return generate_latest(_Both(self._registry, census))


class _Both(CollectorRegistry):
    """A registry, and what is collected at this moment."""

    def __init__(self, registry: CollectorRegistry, census: Census) -> None:
        super().__init__()
        self._lasting = registry
        self._census = census

    def collect(self) -> Iterable[Metric]:
        yield from self._lasting.collect()
        yield from families_of(self._census)


def families_of(census: Census) -> Iterator[Metric]:
    """Return what a census says, as Prometheus has it."""
    tally = Tally(each.state for each in census.found)
    states = GaugeMetricFamily(f"{_PREFIX}_containers", "Containers by state.", labels=["state"])
    for state in _STATES:
        states.add_metric([state], tally[state])
    yield states
    yield GaugeMetricFamily(
        f"{_PREFIX}_unreadable_containers",
        "Containers whose directories cannot be read.",
        value=len(census.problems),
    )
    yield GaugeMetricFamily(
        f"{_PREFIX}_undetached_containers",
        "Containers that have ended and could not be detached.",
        value=sum(1 for each in census.found if each.ending and not each.ending.detached),
    )
    for field in FIELDS:
        what = field.removeprefix("net_").replace("_", " ")
        family = CounterMetricFamily(
            f"{_PREFIX}_container_{field}",
            f"A container's interfaces: {what}.",
            labels=["container_id"],
        )
        for container_id, counters in census.counters.items():
            if field in counters:
                family.add_metric([container_id], counters[field])
        yield family
