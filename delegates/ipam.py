"""Asking for addresses: in this process when the plugin is built in, else as a program.

Both are asked the same: the whole configuration, in its version. What they answer is given on in
one shape, and what they fail with is given on as it came, code and words.
"""

from __future__ import annotations

from delegates.catalogue import IPAM, make_plugin
from delegates.ipam_fields import parse_routes
from delegates.results import shaped
from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.cni import version as versions
from mesos_cni_port_mapper.cni.errors import (
    DELEGATE_FAILED,
    INCOMPATIBLE_VERSION,
    CniError,
)
from mesos_cni_port_mapper.cni.executable import LATE, UNKNOWN, Executable
from mesos_cni_port_mapper.cni.fields import Section, refuse, shown
from mesos_cni_port_mapper.cni.names import is_plugin_type
from mesos_cni_port_mapper.cni.result import (
    MalformedResultError,
    Result,
    decode_result,
)
from mesos_cni_port_mapper.linux import process, signals
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from mesos_cni_port_mapper.cni.request import Request

    class Ipam(Protocol):
        """Whoever gives an attachment its addresses; each method may raise ``CniError``."""

        def add(self) -> Result:
            """Return what was given, in the shape of ``results.SHAPE``."""

        def delete(self) -> None:
            """Give everything back; nothing to give back is success."""

        def check(self) -> None:
            """Raise unless what was given still is."""

        def collect_garbage(self) -> None:
            """Take back what attachments have that are not valid any more."""

        def complain_unless_ready(self) -> None:
            """Raise if nothing could be given."""


_SECONDS = 120.0
"""As long as the port mapper gives a delegate: some ask servers that are far away."""


def open_ipam(request: Request) -> Ipam | None:
    """Return whom to ask for addresses, or nothing when the configuration wants none."""
    ipam = Section(request.netconf).optional_section("ipam")
    name = ipam.string("type", "")
    if not name:
        return None
    if name in IPAM:
        return BuiltIn(request=request, name=name)
    path = ipam.path_of("type")
    if not is_plugin_type(name):
        refuse(path, f"{shown(name)} is no name of a plugin")
    program = process.find_program(name, request.path)
    if not program:
        raise CniError(
            DELEGATE_FAILED,
            f"{path}: no plugin {name!r} is built in or in CNI_PATH",
            f"looked in: {', '.join(request.path)}",
        )
    return Program(
        request=request,
        executable=_Executable(
            program=program, environ=request.environ, seconds=_SECONDS, tied=True
        ),
    )


class BuiltIn(Value):
    """A plugin of ours, called as its own program would call it."""

    request: Request
    name: str

    def add(self) -> Result:
        """See ``Ipam.add``."""
        document = make_plugin(self.name).add(self.request)
        return shaped(decode_result(document, self.request.version))

    def delete(self) -> None:
        """See ``Ipam.delete``."""
        make_plugin(self.name).delete(self.request)

    def check(self) -> None:
        """See ``Ipam.check``."""
        make_plugin(self.name).check(self.request)

    def collect_garbage(self) -> None:
        """See ``Ipam.collect_garbage``."""
        make_plugin(self.name).gc(self.request)

    def complain_unless_ready(self) -> None:
        """See ``Ipam.complain_unless_ready``."""
        make_plugin(self.name).status(self.request)


class Program(Value):
    """A plugin from CNI_PATH."""

    request: Request
    executable: Executable

    def add(self) -> Result:
        """See ``Ipam.add``."""
        result = self.executable.add(self.request.netconf, self.request.version)
        try:
            parse_routes(Section(result.document), versions.NEWEST)
            return shaped(result)
        except (CniError, MalformedResultError) as error:
            raise CniError(
                DELEGATE_FAILED, f"{self.executable.program} returned no usable result", str(error)
            ) from error

    def delete(self) -> None:
        """See ``Ipam.delete``."""
        self.executable.command("DEL", self.request.netconf)

    def check(self) -> None:
        """See ``Ipam.check``."""
        self.executable.command("CHECK", self.request.netconf)

    def collect_garbage(self) -> None:
        """See ``Ipam.collect_garbage``."""
        self.executable.ask_about_network("GC", self.request.netconf)

    def complain_unless_ready(self) -> None:
        """See ``Ipam.complain_unless_ready``."""
        self.executable.ask_about_network("STATUS", self.request.netconf)


class _Executable(Executable):
    """A program whose own error goes on as it came: its code says what to do about it."""

    def _run(self, command: str, netconf: dict[str, Any]) -> bytes:
        # Whoever asks may not have done so yet, and would miss the end of the program.
        signals.hold()
        return super()._run(command, netconf)

    def _failure(self, command: str, done: process.Finished) -> CniError:
        try:
            document = codec.decode(done.stdout)
        except ValueError:
            document = None
        error = Section(document if isinstance(document, dict) else {})
        try:
            code = error.integer("code", 1, 0xFFFFFFFF)
            if command in LATE and code in (INCOMPATIBLE_VERSION, *UNKNOWN):
                return super()._failure(command, done)
            return CniError(code, error.string("msg"), error.string("details", ""))
        except CniError:
            return super()._failure(command, done)

    def _name(self) -> str:
        return f"ipam.type {self.program.rpartition('/')[2]}"
