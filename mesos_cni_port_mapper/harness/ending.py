"""Detach containers that have ended, and write down how they did."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.harness import containers, signalling, state
from mesos_cni_port_mapper.harness.containers import Outcome
from mesos_cni_port_mapper.harness.errors import HarnessError, one_line
from mesos_cni_port_mapper.harness.isolation import Isolator, Options, open_isolator
from mesos_cni_port_mapper.harness.spec import Spec
from mesos_cni_port_mapper.harness.state import Directory
from mesos_cni_port_mapper.isolator.errors import IsolatorError

FAILURES = (HarnessError, IsolatorError, CniError, OSError)
"""What an operator can do something about; anything else is a bug."""


async def detach(isolator: Isolator | None, container_id: str) -> str:
    """Detach a container; return what went wrong, or nothing."""
    if isolator is None:
        return ""
    try:
        await isolator.cleanup(container_id)
    except FAILURES as error:
        return one_line(error)
    return ""


def finish_lost(directory: Directory, spec: Spec, options: Options) -> str:
    """Detach a container that ended without a monitor; return what went wrong, or nothing."""
    if spec.docker:
        from mesos_cni_port_mapper.harness.docker_monitor import finish_docker

        return finish_docker(directory, spec)
    signalling.end_nested(directory)
    try:
        error = asyncio.run(detach(open_isolator(options), spec.container_id))
    except FAILURES as failure:
        error = one_line(failure)
    record_ending(directory, containers.init_outcome(directory), error)
    return error


def record_ending(directory: Directory, outcome: Outcome | None, error: str) -> None:
    """Write down how a container ended; of one that is detached at last, only that."""
    known = directory.read(state.EXIT) or {}
    if known.get("status") is not None:
        outcome = Outcome(known["status"], known.get("signal"))
    document: dict[str, Any] = {
        "status": outcome.status if outcome else None,
        "finished": known.get("finished", time.time()),
        "detached": not error,
    }
    if outcome and outcome.signal:
        document["signal"] = outcome.signal
    if error:
        document["error"] = error
    directory.write(state.EXIT, document)
