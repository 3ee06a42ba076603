"""flannel: attaches the container by another plugin, to the subnet that Flannel gave this host.

``flanneld`` writes what it was given into a file, ``subnet.env``; from that and its own
configuration this plugin makes that of the other, its delegate: the bridge, unless told otherwise.
The delegate's configuration is saved, because by the time of a DEL the file may say something else.
"""

from __future__ import annotations

from delegates.catalogue import BUILT_IN, make_plugin
from delegates.flannel_records import Record
from delegates.flannel_subnet import parse_subnet
from mesos_cni_port_mapper.cni.errors import (
    DELEGATE_FAILED,
    INTERNAL,
    UNAVAILABLE,
    UNDO_INCOMPLETE,
    CniError,
    os_reason,
)
from mesos_cni_port_mapper.cni.executable import Executable, find_plugin
from mesos_cni_port_mapper.cni.fields import Section, refuse, shown
from mesos_cni_port_mapper.cni.names import is_plugin_type
from mesos_cni_port_mapper.cni.result import MalformedResultError, encode_result
from mesos_cni_port_mapper.linux import files, signals, stderr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from delegates.flannel_subnet import Subnet
    from mesos_cni_port_mapper.cni.request import Request
    from mesos_cni_port_mapper.cni.skeleton import Plugin

_NAME = "flannel"
_SUBNET_FILE = "/run/flannel/subnet.env"
_DATA_DIRECTORY = "/var/lib/cni/flannel"
_SECONDS = 120.0
"""As long as the port mapper gives a delegate."""


class Flannel:
    """Answers the requests of a runtime."""

    def add(self, request: Request) -> dict[str, Any]:
        """Save the delegate's configuration, have it attach, and return its result."""
        signals.hold()
        asked = request.but(netconf=plan_delegate(request, _read_subnet(request)))
        delegate = _open_delegate(asked)
        record = _record(request)
        record.save(asked.netconf)
        try:
            return delegate.add(asked)
        except BaseException as failure:
            # What a delegate could not undo it needs the record for, when the runtime's DEL comes.
            if not (isinstance(failure, CniError) and failure.code == UNDO_INCOMPLETE):
                _restore(record)
            raise

    def delete(self, request: Request) -> None:
        """Have the delegate detach what it attached; where nothing was saved nothing is left."""
        signals.ignore()
        record = _record(request)
        saved = record.load()
        if saved is None:
            return
        asked = request.but(netconf=saved)
        _open_delegate(asked).delete(asked)
        record.remove()

    def check(self, request: Request) -> None:
        """Have the delegate check what it attached."""
        signals.hold()
        saved = _record(request).load()
        if saved is None:
            attachment = f"{request.ifname} of container {request.container_id}"
            raise CniError(INTERNAL, f"{attachment} has not been attached: nothing was saved")
        own = ("cniVersion", "prevResult")
        now = {key: request.netconf[key] for key in own if request.netconf.get(key) is not None}
        asked = request.but(netconf={**saved, **now})
        _open_delegate(asked).check(asked)

    def gc(self, request: Request) -> None:
        """Have the delegate remove what is left; without a subnet there never was any."""
        signals.hold()
        try:
            subnet = _read_subnet(request)
        except CniError:
            return
        own = {key: value for key, value in request.netconf.items() if key.startswith("cni.dev/")}
        asked = request.but(netconf={**plan_delegate(request, subnet), **own})
        _open_delegate(asked).gc(asked)

    def status(self, request: Request) -> None:
        """Raise (code 50) while Flannel has not given this host a subnet."""
        signals.hold()
        try:
            subnet = _read_subnet(request)
        except CniError as error:
            raise CniError(UNAVAILABLE, error.msg, error.details) from error
        asked = request.but(netconf=plan_delegate(request, subnet))
        _open_delegate(asked).status(asked)


def plan_delegate(request: Request, subnet: Subnet) -> dict[str, Any]:
    """Return the delegate's configuration, or raise ``CniError`` (code 7); pure.

    It has nothing of the network's own but what is listed here: ``args``, for one, stays behind.
    """
    netconf = Section(request.netconf)
    given = netconf.optional_section("delegate")
    for key in ("name", "ipam"):
        if given.has(key):
            refuse(given.path_of(key), f"must not be there: {_NAME} sets it")
    plugin_type = given.string("type", "bridge")
    if plugin_type == _NAME:
        refuse(given.path_of("type"), f"must be another plugin than {_NAME}")
    planned = {key: value for key, value in given.document.items() if value is not None}
    defaults = {"type": plugin_type, "ipMasq": not subnet.masquerades, "mtu": subnet.mtu}
    if plugin_type == "bridge":
        defaults["isGateway"] = True
    planned = {**defaults, **planned, "name": netconf.string("name")}
    # The answer is the network's, and so in the network's version.
    planned.pop("cniVersion", None)
    for key in ("cniVersion", "runtimeConfig"):
        if netconf.has(key):
            planned[key] = netconf.document[key]
    planned["ipam"] = _plan_ipam(netconf.optional_section("ipam"), subnet)
    return planned


def _plan_ipam(given: Section, subnet: Subnet) -> dict[str, Any]:
    routes = given.array("routes")
    return {
        **given.document,
        "type": given.string("type", "host-local"),
        "ranges": [[{"subnet": text}] for text in subnet.subnets],
        "routes": [*routes, *[{"dst": network} for network in subnet.networks]],
    }


def _record(request: Request) -> Record:
    directory = Section(request.netconf).string("dataDir", "") or _DATA_DIRECTORY
    return Record(directory, request)


def _restore(record: Record) -> None:
    try:
        record.restore()
    except CniError as error:
        # The runtime must see why the ADD failed. Its DEL will find the record.
        stderr.write(f"undoing an ADD: {error}\n".encode(errors="backslashreplace"))


def _read_subnet(request: Request) -> Subnet:
    path = Section(request.netconf).string("subnetFile", "") or _SUBNET_FILE
    try:
        content = files.read(path)
    except OSError as error:
        raise CniError(INTERNAL, f"cannot read {path}", os_reason(error)) from error
    if content is None:
        raise CniError(INTERNAL, f"there is no {path}", "flanneld writes it when it has a subnet")
    return parse_subnet(path, content)


def _open_delegate(asked: Request) -> Plugin:
    """Return the plugin that a delegate's configuration names: built in, or from CNI_PATH."""
    name = Section(asked.netconf, "delegate").string("type")
    if name in BUILT_IN:
        return make_plugin(name)
    if not is_plugin_type(name):
        refuse("delegate.type", f"{shown(name)} is no name of a plugin")
    program = find_plugin(name, asked.path)
    return _Program(Executable(program=program, environ=asked.environ, seconds=_SECONDS, tied=True))


class _Program:
    """A plugin of CNI_PATH, which keeps what a built-in one promises: a failed ADD leaves nothing.

    ``CniError`` of its own has code 102, of a failed ADD that may have left something 106.
    """

    def __init__(self, executable: Executable) -> None:
        self._executable = executable

    def add(self, request: Request) -> dict[str, Any]:
        try:
            result = self._executable.add(request.netconf, request.version)
            return encode_result(result, request.version, declared="cniVersion" in request.netconf)
        except MalformedResultError as failure:
            self._undo(request, failure)
            raise CniError(
                DELEGATE_FAILED,
                f"the delegate's result cannot be given in version {request.version}",
                str(failure),
            ) from failure
        except BaseException as failure:
            self._undo(request, failure)
            raise

    def _undo(self, request: Request, failure: BaseException) -> None:
        try:
            self.delete(request)
        except CniError as error:
            raise CniError(
                UNDO_INCOMPLETE, f"changes may remain after: {failure}", str(error)
            ) from failure

    def delete(self, request: Request) -> None:
        signals.ignore()
        self._executable.command("DEL", request.netconf)

    def check(self, request: Request) -> None:
        self._executable.command("CHECK", request.netconf)

    def gc(self, request: Request) -> None:
        self._executable.ask_about_network("GC", request.netconf)

    def status(self, request: Request) -> None:
        self._executable.ask_about_network("STATUS", request.netconf)
