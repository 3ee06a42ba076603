"""A request being served: what every command needs, and how far one for an attachment is."""

from __future__ import annotations

from mesos_cni_port_mapper.cni.delegation import (
    Delegate,
    Delegates,
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
from mesos_cni_port_mapper.netfilter.backends import BackEnds
from mesos_cni_port_mapper.netfilter.forwarder import Forwarder
from mesos_cni_port_mapper.netfilter.ledger import Ledger
from mesos_cni_port_mapper.netfilter.outcome import RulesUntouchedError
from mesos_cni_port_mapper.netfilter.record import Record
from mesos_cni_port_mapper.portmap.attachment import Attachment
from mesos_cni_port_mapper.portmap.configuration import (
    Forwarding,
    parse_configuration,
)
from mesos_cni_port_mapper.portmap.plan import endpoints_of, find_unserved, tables_of
from mesos_cni_port_mapper.portmap.rule import IPV4, IPV6, RAW

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from mesos_cni_port_mapper.cni.request import Request


class Setting:
    """What a request concerns: its configuration, and the host it is for."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.configuration = parse_configuration(request.netconf)
        timeouts = self.configuration.timeouts
        self.host = _this_host()
        self.backends = BackEnds(request.environ, timeouts.tools)
        self.backend = self.configuration.backend or self.backends.usual()
        self.ledger = Ledger(
            directory=f"{self.configuration.state_directory}/{self.host.network_namespace}"
        )
        self.programs: list[str] = []

    def make_forwarder(self) -> Forwarder:
        """Return what makes and removes the rules of one attachment."""
        return Forwarder(
            self.ledger,
            self.backends,
            self.configuration.timeouts.lock,
            followed=bool(self.configuration.delegates),
        )

    def find_delegates(self) -> None:
        """Find the delegates' programs, or raise ``CniError``."""
        self.programs = [
            find_plugin(netconf["type"], self.request.path)
            for netconf in self.configuration.delegates
        ]

    def make_delegates(
        self, environ: Mapping[str, str], versions: tuple[str, ...], keep: tuple[int, ...] = ()
    ) -> Delegates:
        """Return the delegates as programs that inherit an environment and descriptors."""
        executables = [
            Executable(
                program=program,
                environ=environ,
                seconds=self.configuration.timeouts.delegate,
                keep=keep,
            )
            for program in self.programs
        ]
        members = [
            Delegate(outer=self.request.netconf, netconf=netconf, executable=executable)
            for netconf, executable in zip(self.configuration.delegates, executables, strict=True)
        ]
        return Delegates(members=tuple(members), versions=versions)


class Work(Setting):
    """One request for an attachment being served.

    ``versions`` are those the delegates are asked in, or were when they attached. ``begun`` says
    that rules may have been made.
    """

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.attachment = Attachment(
            network=self.configuration.name,
            container_id=request.container_id,
            ifname=request.ifname,
        )
        self.forwarder = self.make_forwarder()
        self.versions: tuple[str, ...] = ()
        self.result: Result | None = None
        self.begun = False

    def delegates(self) -> Delegates:
        """Return the delegates; their programs share the lock on this attachment's record."""
        return self.make_delegates(self.request.environ, self.versions, self.forwarder.keep())

    def register(self, wanted: Forwarding) -> None:
        """Put the attachment on record before anything is done for it."""
        self.forwarder.register(self._record(wanted))
        # A runtime that asks for an ADD twice has rules from the first.
        self.begun = self.forwarder.has_rules()

    def attach(self) -> Result:
        """Run the delegates; where there are none, take the result of the plugin before us."""
        for netconf in self.configuration.delegates:
            for key in replaced_keys(self.request.netconf, netconf):
                stderr.say(f"delegate.{key} is replaced by the network's own {key}")
        if not self.programs:
            self.result = self.previous_result()
        for result, version in self.delegates().add():
            self.result, self.versions = result, (*self.versions, version)
        if self.result is None:
            raise CniError(
                INVALID_CONFIGURATION,
                "delegate: is missing, and there is no prevResult of a plugin before this one",
            )
        return self.result

    def forward(self, wanted: Forwarding, result: Result) -> None:
        """Make the rules and complete the record."""
        record = (
            self._forwarding_record(wanted, result) if wanted.mappings else self._record(wanted)
        )
        had_rules, self.begun = self.begun, True
        try:
            notices = self.forwarder.forward(record, wanted.policy)
        except RulesUntouchedError:
            self.begun = had_rules
            raise
        for notice in (*wanted.notices, *notices):
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
            self.delegates().delete(self.result)
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
                f"the result of {self._attacher()} cannot be given in version "
                f"{self.request.version}",
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
        from mesos_cni_port_mapper.netfilter.listeners import report_listeners

        record = self._forwarding_record(wanted, result)
        report_listeners(record.wish())
        differences = self.forwarder.differences(record)
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
            delegate_versions=self.versions,
            backend=self.backend,
        )

    def _forwarding_record(self, wanted: Forwarding, result: Result) -> Record:
        obstacles, ifname = self._obstacles(), self.request.ifname
        given = {family: address_of(result, family, ifname) for family in (IPV4, IPV6)}
        addresses = [each for family, each in given.items() if each and family not in obstacles]
        unserved = find_unserved(wanted.mappings, endpoints_of(addresses))
        if unserved:
            from mesos_cni_port_mapper.netfilter.unserved import explain_unserved

            raise explain_unserved(unserved, given, obstacles, self._attacher(), ifname)
        record = self._record(wanted).but(
            mappings=wanted.mappings, traffic=wanted.traffic, addresses=tuple(addresses)
        )
        return record.but(local_interface=self._local_interface(record))

    def _obstacles(self) -> dict[int, str]:
        """Return the families in which this host cannot forward, each with what is missing."""
        obstacles = self.backends.obstacles(self.backend)
        return obstacles if self.host.has_ipv6 else {**obstacles, IPV6: "this host has no IPv6"}

    def _local_interface(self, record: Record) -> str:
        """Return the interface by which loopback is to be let out for a record, or ""."""
        wish = record.wish()
        if (IPV4, RAW) not in tables_of(wish):
            return ""
        from mesos_cni_port_mapper.linux.netlink import route_interface

        return route_interface(next(each.address for each in wish.endpoints if each.family == IPV4))

    def _attacher(self) -> str:
        types = [netconf["type"] for netconf in self.configuration.delegates]
        return f"delegate {types[-1]}" if types else "the plugin before this one"


def _this_host() -> Host:
    try:
        return this_host()
    except OSError as error:
        raise CniError(IO_FAILURE, "cannot tell which host this is", os_reason(error)) from error
