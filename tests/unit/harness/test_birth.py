import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mesos_cni_port_mapper.harness import birth, state
from mesos_cni_port_mapper.harness.birth import fork_init
from mesos_cni_port_mapper.harness.errors import HarnessError
from mesos_cni_port_mapper.harness.identity import encode_identity, identify
from mesos_cni_port_mapper.harness.init import Birth
from mesos_cni_port_mapper.harness.spec import Spec
from mesos_cni_port_mapper.harness.state import Directory
from mesos_cni_port_mapper.isolator.records import Preparation
from mesos_cni_port_mapper.linux.descriptors import no_input


class Barren:
    """A parent that cannot fork."""

    def fork(self, birth: Birth) -> int:
        raise HarnessError("cannot fork an init")

    def reap(self, pid: int) -> int:
        raise AssertionError(f"{pid} was never born")


def nothing(_joined: Directory, _patch: pytest.MonkeyPatch) -> None:
    """Let there be no other container."""


def running(joined: Directory, _patch: pytest.MonkeyPatch) -> None:
    joined.path.mkdir()
    joined.write(state.INIT, encode_identity(identify(os.getpid())))


def ended(joined: Directory, _patch: pytest.MonkeyPatch) -> None:
    joined.path.mkdir()


def ends_meanwhile(joined: Directory, patch: pytest.MonkeyPatch) -> None:
    running(joined, patch)
    patch.setattr(birth, "has_ended", lambda _pidfd: True)


def loses_a_namespace(joined: Directory, patch: pytest.MonkeyPatch) -> None:
    running(joined, patch)
    patch.setattr(birth, "_ENTERED", ("net", "none"))


@pytest.mark.parametrize("other", [nothing, running, ended, ends_meanwhile, loses_a_namespace])
def test_a_birth_that_fails_leaves_no_descriptor_open(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    other: Callable[[Directory, pytest.MonkeyPatch], None],
) -> None:
    other(Directory(tmp_path / "other"), monkeypatch)
    directory = Directory(tmp_path / "web")
    directory.path.mkdir()
    spec = Spec(container_id="web", program="true", argv=("true",))
    before = sorted(Path("/proc/self/fd").iterdir())

    with pytest.raises((HarnessError, OSError)) as failure:
        fork_init(Barren(), directory, spec, no_input(), Preparation(joins="other"))

    # The frames that failed are still there, with all that they hold.
    assert failure.tb is not None
    assert sorted(Path("/proc/self/fd").iterdir()) == before
