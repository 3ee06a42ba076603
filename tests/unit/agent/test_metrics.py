"""The numbers, as Prometheus' own parser reads them."""

from prometheus_client.parser import text_string_to_metric_families

from mesos_cni_port_mapper.harness.agent.census import Census, interfaces_of
from mesos_cni_port_mapper.harness.agent.metrics import Metrics
from mesos_cni_port_mapper.harness.containers import STOPPING, Ending
from tests.unit.agent.containers import NETWORK, container, ended

Samples = dict[tuple[str, tuple[str, ...]], float]


def samples(text: bytes) -> Samples:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_everything_that_is_counted_is_there() -> None:
    stuck = Ending(status=1, finished=1.0, detached=False, error="x")
    census = Census(
        moment=1.0,
        found=[container("a"), container("b"), ended("c", ending=stuck)],
        problems=["broken"],
        counters={"a": {"net_rx_bytes": 7, "net_tx_dropped": 1}, "b": {}},
    )
    metrics = Metrics()
    metrics.launched(0.2, failed=False)
    metrics.launched(0.3, failed=True)
    metrics.answered(404)
    found = samples(metrics.render(census))

    wanted: Samples = {
        ("mesos_cni_containers", ("running",)): 2,
        ("mesos_cni_containers", ("exited",)): 1,
        ("mesos_cni_containers", ("lost",)): 0,
        ("mesos_cni_unreadable_containers", ()): 1,
        ("mesos_cni_undetached_containers", ()): 1,
        ("mesos_cni_launches_total", ("ok",)): 1,
        ("mesos_cni_launches_total", ("failed",)): 1,
        ("mesos_cni_launch_seconds_count", ()): 2,
        ("mesos_cni_launch_seconds_bucket", ("0.25",)): 1,
        ("mesos_cni_http_requests_total", ("404",)): 1,
        ("mesos_cni_container_net_rx_bytes_total", ("a",)): 7,
        ("mesos_cni_container_net_tx_dropped_total", ("a",)): 1,
    }
    assert {key: found.get(key) for key in wanted} == wanted
    assert ("mesos_cni_container_net_rx_bytes_total", ("b",)) not in found


def test_interfaces_are_those_of_networks_with_a_name() -> None:
    both: tuple[object, ...] = (NETWORK, {"ip_addresses": []}, {"name": "other"})

    assert interfaces_of(container(network_infos=both)) == {"eth0", "eth1"}
    assert interfaces_of(container(network_infos=({"ip_addresses": []},))) == set()
    assert interfaces_of(container(state=STOPPING)) == set()
