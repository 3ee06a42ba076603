"""What there is at a moment: every container's directory read, and the counters of its interfaces.

It takes as long as its files take to be read: never call it where an event loop waits.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mesos_cni_port_mapper.harness import containers
from mesos_cni_port_mapper.harness.containers import Container
from mesos_cni_port_mapper.harness.identity import has_ended, open_running
from mesos_cni_port_mapper.isolator.counters import sum_counters
from mesos_cni_port_mapper.isolator.paths import interface_name
from mesos_cni_port_mapper.linux import files


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """The containers at a moment, what is wrong with those that cannot be read, and counters."""

    moment: float
    found: Sequence[Container]
    problems: Sequence[str]
    counters: Mapping[str, Mapping[str, int]]


def take_census(runtime_dir: str, *, counting: bool = False) -> Census:
    """Look at all containers, and at their counters when they are wanted too."""
    found, problems = containers.list_containers(runtime_dir)
    counters = {each.container_id: count(each) for each in found} if counting else {}
    return Census(moment=time.time(), found=found, problems=problems, counters=counters)


def count(container: Container) -> dict[str, int]:
    """Return the statistics of a container's interfaces; none on the host's network.

    Its namespace is looked into through its init, not entered: that would take a process.
    """
    names = interfaces_of(container)
    if not names or container.init is None or container.settings.get("metrics") is False:
        return {}
    pidfd = open_running(container.init)
    if pidfd is None:
        return {}
    try:
        table = files.read(f"/proc/{container.init.pid}/net/dev") or b""
        # Had it ended meanwhile, what was read could be of another process.
        return {} if has_ended(pidfd) else sum_counters(table.decode(), names)
    except OSError:
        return {}
    finally:
        os.close(pidfd)


def interfaces_of(container: Container) -> set[str]:
    """Return the interfaces by which a running container is on its CNI networks."""
    if container.state != containers.RUNNING:
        return set()
    named = [info for info in container.network_infos if info.get("name")]
    return {interface_name(index) for index in range(len(named))}
