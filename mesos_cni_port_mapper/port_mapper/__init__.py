"""The port mapper: a CNI plugin that adds port mappings to whatever its delegate attaches.

ADD checks everything, attaches through the delegate, then forwards. DEL stops forwarding, then
detaches: an address is never freed while a rule still leads to it, because the next container to
get it would receive the traffic. A failed ADD undoes what it did by the same steps as DEL.
"""

from __future__ import annotations

from mesos_cni_port_mapper.cni.errors import INVALID_CONFIGURATION, CniError
from mesos_cni_port_mapper.linux import signals
from mesos_cni_port_mapper.port_mapper.work import Work
from mesos_cni_port_mapper.portmap.configuration import parse_forwarding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from mesos_cni_port_mapper.cni.request import Request

    T = TypeVar("T")


class PortMapper:
    """Answers the requests of a runtime, and logs how that went where the configuration asks."""

    def add(self, request: Request) -> dict[str, Any]:
        """Attach through the delegate, then forward the host ports that are asked for."""
        return _observed(_add, request)

    def delete(self, request: Request) -> None:
        """Stop forwarding, then detach. While rules may remain, the address is kept."""
        _observed(_delete, request)

    def check(self, request: Request) -> None:
        """Have the delegate check, then compare every rule with the plan."""
        _observed(_check, request)

    def gc(self, request: Request) -> None:
        """Remove what is left of attachments that the runtime no longer knows."""
        _observed(_gc, request)

    def status(self, request: Request) -> None:
        """Complain if an ADD could not work."""
        _observed(_status, request)


def _observed(serve: Callable[[Request], T], request: Request) -> T:
    if "log" not in request.netconf:
        return serve(request)
    from mesos_cni_port_mapper.port_mapper.log import observe

    return observe(serve, request)


def _add(request: Request) -> dict[str, Any]:
    signals.hold()
    work = Work(request)
    wanted = parse_forwarding(request.netconf, work.backend)
    work.find_delegates()
    if wanted.mappings:
        work.forwarder.preflight(work.backend)
    work.register(wanted)
    try:
        result = work.attach()
        answer = work.answer(result)
        work.forward(wanted, result)
    except BaseException as failure:
        work.undo(failure)
        raise
    work.forwarder.close()
    return answer


def _delete(request: Request) -> None:
    signals.ignore()
    work = Work(request)
    record = work.forwarder.resume(work.attachment)
    if record is not None:
        work.versions = record.delegate_versions
    try:
        work.forwarder.withdraw(work.attachment, work.configuration.chain)
        work.find_delegates()
        work.delegates().delete(work.usable_previous_result())
    except BaseException:
        work.forwarder.close()
        raise
    work.forwarder.close(forget=work.attachment)


def _check(request: Request) -> None:
    signals.hold()
    work = Work(request)
    wanted = parse_forwarding(request.netconf, work.backend)
    result = work.previous_result()
    if result is None:
        raise CniError(INVALID_CONFIGURATION, "prevResult: is missing; CHECK needs it")
    work.find_delegates()
    record = work.forwarder.resume(work.attachment)
    if record is not None:
        work.versions = record.delegate_versions
    try:
        work.delegates().check(result)
        if wanted.mappings:
            work.compare(wanted, result)
    finally:
        work.forwarder.close()


def _gc(request: Request) -> None:
    signals.ignore()
    from mesos_cni_port_mapper.port_mapper.network import Network

    Network(request).collect_garbage()


def _status(request: Request) -> None:
    signals.hold()
    from mesos_cni_port_mapper.port_mapper.network import Network

    Network(request).complain_unless_ready()
