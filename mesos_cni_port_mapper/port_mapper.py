"""The port mapper: a CNI plugin that adds port mappings to whatever its delegate attaches.

ADD checks everything, attaches through the delegate, then forwards. DEL stops forwarding, then
detaches: an address is never freed while a rule still leads to it, because the next container to
get it would receive the traffic. A failed ADD undoes what it did by the same steps as DEL.
"""

from __future__ import annotations

from mesos_cni_port_mapper.cni.delegation import (
    Delegate,
    delegate_version,
    previous_result,
    replaced_keys,
)
from mesos_cni_port_mapper.cni.errors import (
    DELEGATE_FAILED,
    INVALID_CONFIGURATION,
    IO_FAILURE,
    RULES_FAILED,
    UNDO_INCOMPLETE,
    CniError,
    os_reason,
)
from mesos_cni_port_mapper.cni.executable import Executable, find_plugin
from mesos_cni_port_mapper.cni.result import (
    MalformedResultError,
    Result,
    address_of,
    encode_result,
)
from mesos_cni_port_mapper.linux import signals, stderr
from mesos_cni_port_mapper.linux.host import Host, this_host
from mesos_cni_port_mapper.netfilter.forwarder import Forwarder
from mesos_cni_port_mapper.netfilter.iptables import find_iptables
from mesos_cni_port_mapper.netfilter.ledger import Ledger
from mesos_cni_port_mapper.netfilter.outcome import RulesUntouchedError
from mesos_cni_port_mapper.netfilter.record import Record
from mesos_cni_port_mapper.portmap.attachment import Attachment
from mesos_cni_port_mapper.portmap.configuration import (
    Forwarding,
    parse_configuration,
    parse_forwarding,
)
from mesos_cni_port_mapper.portmap.rule import IPV4

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mesos_cni_port_mapper.cni.request import Request


class PortMapper:
    """Answers the requests of a runtime."""

    def add(self, request: Request) -> dict[str, Any]:
        """Attach through the delegate, then forward the host ports that are asked for."""
        signals.hold()
        work = Work(request)
        wanted = parse_forwarding(request.netconf)
        work.find_delegate()
        if wanted.mappings:
            work.forwarder.preflight()
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

    def delete(self, request: Request) -> None:
        """Stop forwarding, then detach. While rules may remain, the address is kept."""
        signals.ignore()
        work = Work(request)
        record = work.forwarder.resume(work.attachment)
        if record is not None:
            work.version = record.delegate_version
        try:
            work.forwarder.withdraw(work.attachment, work.configuration.chain)
            work.find_delegate()
            work.delegate().delete(work.version, work.usable_previous_result())
        except BaseException:
            work.forwarder.close()
            raise
        work.forwarder.close(forget=work.attachment)

    def check(self, request: Request) -> None:
        """Have the delegate check, then compare every rule with the plan."""
        signals.hold()
        work = Work(request)
        wanted = parse_forwarding(request.netconf)
        result = work.previous_result()
        if result is None:
            raise CniError(INVALID_CONFIGURATION, "prevResult: is missing; CHECK needs it")
        work.find_delegate()
        record = work.forwarder.resume(work.attachment)
        if record is not None:
            work.version = record.delegate_version
        try:
            work.delegate().check(work.version, result)
            if wanted.mappings:
                work.compare(wanted, result)
        finally:
            work.forwarder.close()


class Work:
    """One request being served: what it concerns, and how far it has come.

    ``version`` is the one the delegate is asked in. ``begun`` says that rules may have been made.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.configuration = parse_configuration(request.netconf)
        self.attachment = Attachment(
            network=self.configuration.name,
            container_id=request.container_id,
            ifname=request.ifname,
        )
        timeouts = self.configuration.timeouts
        self.host = _this_host()
        self.forwarder = Forwarder(
            Ledger(directory=f"{self.configuration.state_directory}/{self.host.network_namespace}"),
            find_iptables(request.environ, timeouts.tools),
            timeouts.lock,
        )
        self.version = delegate_version(request.netconf, self.configuration.delegate)
        self.program = ""
        self.result: Result | None = None
        self.begun = False

    def find_delegate(self) -> None:
        """Find the delegate's program, or raise ``CniError``."""
        self.program = find_plugin(self.configuration.delegate["type"], self.request.path)

    def delegate(self) -> Delegate:
        """Return the delegate, its programs sharing the lock on this attachment's record."""
        return Delegate(
            outer=self.request.netconf,
            netconf=self.configuration.delegate,
            executable=Executable(
                program=self.program,
                environ=self.request.environ,
                seconds=self.configuration.timeouts.delegate,
                keep=self.forwarder.keep(),
            ),
        )

    def register(self, wanted: Forwarding) -> None:
        """Put the attachment on record before anything is done for it."""
        self.forwarder.register(self._record(wanted))
        # A runtime that asks for an ADD twice has rules from the first.
        self.begun = self.forwarder.has_rules()

    def attach(self) -> Result:
        """Run the delegate."""
        for key in replaced_keys(self.request.netconf, self.configuration.delegate):
            stderr.say(f"delegate.{key} is replaced by the network's own {key}")
        self.result, self.version = self.delegate().add(self.version)
        return self.result

    def forward(self, wanted: Forwarding, result: Result) -> None:
        """Make the rules and complete the record."""
        record = (
            self._forwarding_record(wanted, result) if wanted.mappings else self._record(wanted)
        )
        had_rules, self.begun = self.begun, True
        try:
            notices = self.forwarder.forward(record)
        except RulesUntouchedError:
            self.begun = had_rules
            raise
        for notice in notices:
            stderr.say(notice)

    def undo(self, failure: BaseException) -> None:
        """Undo what an ADD that failed has done, rules before the address."""
        signals.ignore()
        try:
            if self.begun:
                self.forwarder.withdraw(self.attachment, self.configuration.chain)
        except CniError as error:
            self.forwarder.close()
            raise CniError(
                UNDO_INCOMPLETE, f"rules may remain after: {failure}", str(error)
            ) from failure
        try:
            self.delegate().delete(self.version, self.result)
        except CniError as error:
            # The runtime must see why the ADD failed. It will send a DEL, which finds the record.
            stderr.say(f"undoing the ADD of {self.attachment}: {error}")
            self.forwarder.close()
        else:
            self.forwarder.close(forget=self.attachment)

    def answer(self, result: Result) -> dict[str, Any]:
        """Return what ADD prints, in the version of the request."""
        declared = bool(self.request.netconf.get("cniVersion"))
        try:
            return encode_result(result, self.request.version, declared)
        except MalformedResultError as error:
            raise CniError(
                DELEGATE_FAILED,
                f"the result of delegate {self.configuration.delegate['type']} cannot be given in "
                f"version {self.request.version}",
                str(error),
            ) from error

    def previous_result(self) -> Result | None:
        """Return the ``prevResult`` the runtime sent along."""
        try:
            return previous_result(self.request.netconf, self.request.version)
        except MalformedResultError as error:
            raise CniError(INVALID_CONFIGURATION, f"prevResult: {error}") from error

    def usable_previous_result(self) -> Result | None:
        """Return ``prevResult`` for a DEL, which does without where there is none to be had."""
        try:
            return self.previous_result()
        except CniError as error:
            stderr.say(f"DEL of {self.attachment} goes without prevResult: {error}")
            return None

    def compare(self, wanted: Forwarding, result: Result) -> None:
        """Raise ``CniError`` naming every difference between the kernel and the plan."""
        differences = self.forwarder.differences(self._forwarding_record(wanted, result))
        if differences:
            raise CniError(
                RULES_FAILED,
                f"the rules of {self.attachment} are not as they should be",
                "\n".join(differences),
            )

    def _record(self, wanted: Forwarding) -> Record:
        return Record(
            attachment=self.attachment,
            chain=self.configuration.chain,
            netns=self.request.netns,
            boot_id=self.host.boot_id,
            mount_namespace=self.host.mount_namespace,
            excluded_devices=wanted.excluded_devices,
            delegate_version=self.version,
        )

    def _forwarding_record(self, wanted: Forwarding, result: Result) -> Record:
        address = address_of(result, IPV4, self.request.ifname)
        if not address:
            raise CniError(
                DELEGATE_FAILED,
                f"delegate {self.configuration.delegate['type']} returned no IPv4 address for "
                f"{self.request.ifname} to forward to",
            )
        return self._record(wanted).but(mappings=wanted.mappings, address=address)


def _this_host() -> Host:
    try:
        return this_host()
    except OSError as error:
        raise CniError(IO_FAILURE, "cannot tell which host this is", os_reason(error)) from error
