"""What the launcher's forks report."""

from pathlib import Path

from mesos_cni_port_mapper.harness.agent.launcher import _tend
from mesos_cni_port_mapper.harness.isolation import Options
from mesos_cni_port_mapper.harness.recovery import Recovered


def test_a_container_that_was_removed_before_it_could_be_helped_is_no_problem(
    tmp_path: Path,
) -> None:
    assert _tend("gone", Options(runtime_dir=str(tmp_path))) == Recovered()
