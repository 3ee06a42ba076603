"""The documents of ``/containers`` and of the v1 call GET_CONTAINERS. All pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mesos_cni_port_mapper.harness.agent.tasks import (
    FRAMEWORK,
    encode_container_id,
    encode_status,
    is_ended,
    root_of,
)
from mesos_cni_port_mapper.harness.containers import Container

Counters = Mapping[str, int]


def encode_containers(
    found: Iterable[Container], counters: Mapping[str, Counters], now: float, *, nested: bool
) -> list[dict[str, Any]]:
    """Return the containers that have not ended, as ``/containers`` lists them."""
    return [
        {
            "framework_id": FRAMEWORK,
            "executor_id": root_of(container.container_id),
            "executor_name": container.spec.name,
            "source": root_of(container.container_id),
            "container_id": container.container_id,
            "status": encode_status(container),
            "statistics": _statistics(container, counters, now),
        }
        for container in _shown(found, nested=nested)
    ]


def encode_get_containers(
    found: Iterable[Container], counters: Mapping[str, Counters], now: float, *, nested: bool
) -> dict[str, Any]:
    """Return the ``get_containers`` of the v1 operator API."""
    return {
        "containers": [
            {
                "framework_id": {"value": FRAMEWORK},
                "executor_id": {"value": root_of(container.container_id)},
                "executor_name": container.spec.name,
                "container_id": encode_container_id(container.container_id),
                "container_status": encode_status(container),
                "resource_statistics": _statistics(container, counters, now),
            }
            for container in _shown(found, nested=nested)
        ]
    }


def _shown(found: Iterable[Container], *, nested: bool) -> list[Container]:
    return [each for each in found if not is_ended(each) and (nested or not each.spec.parent)]


def _statistics(
    container: Container, counters: Mapping[str, Counters], now: float
) -> dict[str, Any]:
    return {"timestamp": now, **counters.get(container.container_id, {})}
