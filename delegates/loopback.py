"""loopback: brings up ``lo`` in the container's namespace, whatever the interface is called."""

from __future__ import annotations

from delegates import operations as ops
from delegates.kernel import Kernel
from delegates.results import answer, interface, make_result, previous_result
from delegates.sandbox import find_sandbox, open_sandbox
from mesos_cni_port_mapper.cni.errors import INTERNAL, CniError
from mesos_cni_port_mapper.linux import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from delegates.facts import Link
    from mesos_cni_port_mapper.cni.request import Request

NAME = "lo"


class Loopback:
    """Answers the requests of a runtime."""

    def add(self, request: Request) -> dict[str, Any]:
        """Bring ``lo`` up; the result is the previous one, or ``lo`` with its addresses."""
        signals.hold()
        before = previous_result(request)
        sandbox = open_sandbox(request)
        kernel = Kernel(sandbox, request.environ)
        try:
            kernel.apply([ops.SetUp(where=ops.SANDBOX, link=NAME)])
            link = _link(kernel)
            if before is not None:
                return answer(request, before)
            addresses = kernel.addresses(ops.SANDBOX, link.index)
        except BaseException:
            kernel.undo()
            raise
        finally:
            kernel.close()
            sandbox.close()
        ips = [
            {"interface": 0, "address": f"{address.address}/{address.prefix}"}
            for address in addresses
        ]
        return answer(request, make_result([interface(NAME, link.mac, request.netns)], ips))

    def delete(self, request: Request) -> None:
        """Take ``lo`` down, where there still is one."""
        signals.ignore()
        sandbox = find_sandbox(request)
        if sandbox is None:
            return
        kernel = Kernel(sandbox, request.environ)
        try:
            kernel.apply([ops.SetDown(where=ops.SANDBOX, link=NAME)])
        finally:
            kernel.close()
            sandbox.close()

    def check(self, request: Request) -> None:
        """Raise unless ``lo`` is up."""
        sandbox = open_sandbox(request)
        kernel = Kernel(sandbox, request.environ)
        try:
            if not _link(kernel).up:
                raise CniError(INTERNAL, f"{NAME} is down in {request.netns}")
        finally:
            kernel.close()
            sandbox.close()

    def gc(self, request: Request) -> None:
        """Succeed: all there is goes with its namespace."""

    def status(self, request: Request) -> None:
        """Succeed: nothing is needed but a namespace."""


def _link(kernel: Kernel) -> Link:
    link = kernel.link(ops.SANDBOX, NAME)
    if link is None:
        raise CniError(INTERNAL, f"there is no {NAME} in the container")
    return link
