"""What callers of the agent did wrong, each with the HTTP status that says so."""

from __future__ import annotations

from mesos_cni_port_mapper.harness.errors import HarnessError


class CallError(HarnessError):
    """A failure that has an HTTP status of its own."""

    http_status = 500


class Missing(CallError):  # noqa: N818 - what it says, not that it is an error
    """There is no such container, or not any more."""

    http_status = 404

    def __init__(self, container_id: str) -> None:
        super().__init__(f"Container {container_id!r} cannot be found (or is already killed)")


class Conflict(CallError):  # noqa: N818 - as above
    """Something that is there stands in the way."""

    http_status = 409
