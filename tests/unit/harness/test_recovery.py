"""Recovery beside others: who ends while it looks is nobody's problem."""

from collections.abc import Mapping, Set
from pathlib import Path

import pytest

from mesos_cni_port_mapper.harness import recovery
from mesos_cni_port_mapper.harness.isolation import Options
from mesos_cni_port_mapper.isolator.checkpoints import Checkpoints
from mesos_cni_port_mapper.isolator.records import ContainerRequest
from mesos_cni_port_mapper.isolator.recovery import RecoveryReport
from mesos_cni_port_mapper.isolator.survey import survey


class Isolator:
    """Knows nothing of a container that lived a moment ago."""

    async def recover(
        self, _live: Mapping[str, ContainerRequest], _orphans: Set[str]
    ) -> RecoveryReport:
        return RecoveryReport(lost=("web",))


def test_a_container_that_has_gone_meanwhile_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "open_isolator", lambda _options: Isolator())

    report = recovery.recover(Options(runtime_dir=str(tmp_path)))

    assert report == recovery.Recovered()


def test_a_container_that_was_detached_since_the_listing_is_not_surveyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.create("here")
    monkeypatch.setattr(Checkpoints, "containers", lambda _self: ["gone", "here"])

    assert [(entry.name, entry.faults) for entry in survey(checkpoints)] == [("here", ())]
