"""What plugins that give a container a link have in common: ADD, DEL and CHECK around a plan.

Such a plugin reads its configuration, and plans. Asking IPAM, carrying the plan out, undoing it
when anything fails, and putting the result together is done here.
"""

from __future__ import annotations

from delegates import operations as ops
from delegates.checks import check_attachment
from delegates.ipam import BuiltIn, open_ipam
from delegates.kernel import Kernel
from delegates.results import answer, interface, make_result, previous_result
from delegates.sandbox import find_sandbox, open_sandbox
from mesos_cni_port_mapper.cni.errors import (
    INTERNAL,
    INVALID_CONFIGURATION,
    UNDO_INCOMPLETE,
    CniError,
)
from mesos_cni_port_mapper.linux import signals
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from delegates.ipam import Ipam
    from delegates.operations import Operation
    from mesos_cni_port_mapper.cni.request import Request
    from mesos_cni_port_mapper.cni.result import Result


class Plan(Value):
    """An attachment as it should be.

    ``interfaces`` are (namespace, name) of what the result lists, in its order; ``ips``, ``routes``
    and ``dns`` are the result's.
    """

    operations: Sequence[Operation]
    interfaces: Sequence[tuple[str, str]]
    ips: Sequence[dict[str, Any]] = ()
    routes: Sequence[dict[str, Any]] = ()
    dns: dict[str, Any] | None = None


class LinkPlugin:
    """A plugin that gives the container the link ``CNI_IFNAME``.

    ``parse`` and ``plan`` are a plugin's own; the other hooks have defaults that suit most.
    ``parse`` returns the configuration as a value, or raises ``CniError`` (code 7). ``plan`` is
    pure and returns the attachment as it should be; what it is given last is IPAM's result in shape
    1.0.0, or nothing when the configuration has no IPAM.
    """

    parse: Callable[[Request], Any]
    plan: Callable[[Request, Any, Result | None], Plan]

    def complete(
        self,
        request: Request,  # noqa: ARG002 - for plugins that need it
        configuration: Any,
        kernel: Kernel,  # noqa: ARG002 - likewise
    ) -> Any:
        """Return the configuration with what it leaves to the host's state; looks, never changes.

        ADD alone calls it, before anything else happens: what the host cannot have is refused here.
        """
        return configuration

    def plan_removal(
        self,
        request: Request,
        configuration: Any,  # noqa: ARG002 - for plugins that made more
    ) -> Sequence[Operation]:
        """Return what DEL does before the addresses are given back; pure.

        Operations in the sandbox are left out when it is gone.
        """
        return [ops.DeleteLink(where=ops.SANDBOX, name=request.ifname)]

    def check_links(
        self, request: Request, configuration: Any, kernel: Kernel, result: Result
    ) -> None:
        """Raise ``CniError`` unless the links are as ``plan`` has them; addresses are seen to."""

    def masquerades(
        self,
        configuration: Any,  # noqa: ARG002 - for plugins that can
    ) -> bool:
        """Tell whether attachments have rules on the host, of ``delegates.masquerade``."""
        return False

    def add(self, request: Request) -> dict[str, Any]:
        """Attach the container; whatever fails, nothing of it stays."""
        signals.hold()
        configuration = self.parse(request)
        sandbox = open_sandbox(request)
        work = _Work(request, Kernel(sandbox, request.environ))
        try:
            work.refuse_taken_name()
            configuration = self.complete(request, configuration, work.kernel)
            plan = self.plan(request, configuration, work.addresses())
            work.kernel.apply(plan.operations)
            document = answer(request, work.result(plan))
            # Who asked us to end does not want what we made.
            signals.wait(0)
        except BaseException as failure:
            work.undo(failure)
            raise
        finally:
            work.close()
            sandbox.close()
        return document

    def delete(self, request: Request) -> None:
        """Detach the container, as far as it is attached; works without the namespace too."""
        signals.ignore()
        configuration = self.parse(request)
        sandbox = find_sandbox(request)
        work = _Work(request, Kernel(sandbox, request.environ))
        try:
            plan = self.plan_removal(request, configuration)
            work.kernel.apply(
                [step for step in plan if sandbox is not None or step.where == ops.HOST]
            )
            # Whoever gives addresses may be missing by now: the link is gone by then.
            ipam = open_ipam(request)
            if ipam is not None:
                ipam.delete()
        finally:
            work.close()
            if sandbox is not None:
                sandbox.close()

    def check(self, request: Request) -> None:
        """Raise unless the container is attached as the previous result says."""
        signals.hold()
        configuration = self.parse(request)
        sandbox = open_sandbox(request)
        work = _Work(request, Kernel(sandbox, request.environ))
        try:
            ipam = open_ipam(request)
            if ipam is not None:
                ipam.check()
            result = previous_result(request)
            if result is None:
                raise CniError(INVALID_CONFIGURATION, "prevResult: is missing; CHECK needs it")
            check_attachment(request, work.kernel, result)
            self.check_links(request, configuration, work.kernel, result)
        finally:
            work.close()
            sandbox.close()

    def gc(self, request: Request) -> None:
        """Remove what is left of attachments that are not valid any more.

        Their links went with their namespaces; addresses go last, when nothing leads to them.
        """
        signals.hold()
        from mesos_cni_port_mapper.cni.garbage import parse_valid_attachments

        valid = parse_valid_attachments(request.netconf)
        if valid is not None and self.masquerades(self.parse(request)):
            from delegates.masquerade import remove_strays

            containers = {container_id for container_id, _ in valid}
            remove_strays(request.netconf["name"], containers, request.environ)
        ipam = open_ipam(request)
        if ipam is not None:
            ipam.collect_garbage()

    def status(self, request: Request) -> None:
        """Raise if no container could be attached."""
        signals.hold()
        self.parse(request)
        ipam = open_ipam(request)
        if ipam is not None:
            ipam.complain_unless_ready()


class _Work:
    """One request being served: the kernel, and who was asked for addresses."""

    def __init__(self, request: Request, kernel: Kernel) -> None:
        self.request = request
        self.kernel = kernel
        self._ipam: Ipam | None = None

    def refuse_taken_name(self) -> None:
        """Raise when the container has a link of the name already, before anything is changed."""
        name = self.request.ifname
        if self.kernel.link(ops.SANDBOX, name) is not None:
            raise CniError(INTERNAL, f"the container has a link {name} already")

    def addresses(self) -> Result | None:
        """Ask IPAM, if there is one."""
        ipam = open_ipam(self.request)
        if ipam is None:
            return None
        if isinstance(ipam, BuiltIn):
            # It leaves nothing when it fails, and what it refused may be another attachment's.
            given = ipam.add()
            self._ipam = ipam
            return given
        self._ipam = ipam
        return ipam.add()

    def result(self, plan: Plan) -> Result:
        """Return the result of a plan that was carried out."""
        interfaces = []
        for where, name in plan.interfaces:
            link = self.kernel.link(where, name)
            if link is None:
                raise CniError(INTERNAL, f"link {name} has gone while it was set up")
            sandbox = self.request.netns if where == ops.SANDBOX else ""
            interfaces.append(interface(name, link.mac, sandbox))
        return make_result(interfaces, plan.ips, plan.routes, plan.dns)

    def undo(self, failure: BaseException) -> None:
        """Undo what an ADD that failed has done, links before their addresses are given back."""
        signals.ignore()
        try:
            self.kernel.undo()
        except CniError as error:
            # The addresses may still be in use: the runtime's DEL gives them back.
            raise CniError(
                UNDO_INCOMPLETE, f"changes may remain after: {failure}", str(error)
            ) from failure
        if self._ipam is not None:
            try:
                self._ipam.delete()
            except CniError as error:
                raise CniError(
                    UNDO_INCOMPLETE, f"addresses may stay taken after: {failure}", str(error)
                ) from failure

    def close(self) -> None:
        self.kernel.close()
