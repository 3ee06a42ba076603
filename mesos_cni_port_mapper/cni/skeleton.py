"""The frame around every plugin: read the request, call the plugin, print the answer.

A plugin is a function of (environment, stdin) to (stdout, exit status), all four of them given.
This is the only place that prints, and the only one that catches everything, because here a bug
must still become a document the runtime can read. VERSION is answered before anything else is
imported: runtimes ask it before every other command.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Protocol

    from mesos_cni_port_mapper.cni.errors import CniError
    from mesos_cni_port_mapper.cni.request import Request

    class Plugin(Protocol):
        """What answers requests; each method raises ``CniError`` when it cannot."""

        def add(self, request: Request) -> dict[str, Any]:
            """Attach the container and return the result, in the request's version."""

        def delete(self, request: Request) -> None:
            """Detach the container; nothing left to detach is success."""

        def check(self, request: Request) -> None:
            """Raise unless the container is attached as ADD left it."""

        def gc(self, request: Request) -> None:
            """Remove what is left of attachments that are not valid any more."""

        def status(self, request: Request) -> None:
            """Raise if no container could be attached."""


VERSION_ANSWER = (
    b'{"cniVersion":"1.1.0",'
    b'"supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}\n'
)
_COMMANDS = {"ADD": "add", "DEL": "delete", "CHECK": "check", "GC": "gc", "STATUS": "status"}


def serve(
    make_plugin: Callable[[], Plugin],
    environ: Mapping[str, str],
    stdin: int,
    stdout: int,
    program: str = "mesos-cni-port-mapper",
) -> int:
    """Answer one request and return the exit status.

    ``stdin`` and ``stdout`` are file descriptors; ``make_plugin`` is called only for commands that
    need the plugin; ``program`` is whose bug an unexpected exception is.
    """
    command = environ.get("CNI_COMMAND", "")
    if command == "VERSION":
        return _print(stdout, VERSION_ANSWER, 0)

    from mesos_cni_port_mapper.cni import codec, version
    from mesos_cni_port_mapper.cni.errors import CniError
    from mesos_cni_port_mapper.linux.signals import Interrupted

    answered_in = [version.NEWEST]
    try:
        result = _answer(make_plugin, command, environ, stdin, answered_in)
    except CniError as error:
        failure = error
    except Interrupted as interruption:
        failure = _interruption(interruption)
    except Exception as bug:  # noqa: BLE001 - the edge: a bug is a document too
        failure = _bug(bug, program)
    else:
        return _print(stdout, codec.encode(result) + b"\n" if result is not None else b"", 0)
    document = encode_error(failure, answered_in[0])
    return _print(stdout, codec.encode(document) + b"\n", 1)


def _answer(
    make_plugin: Callable[[], Plugin],
    command: str,
    environ: Mapping[str, str],
    stdin: int,
    answered_in: list[str],
) -> dict[str, Any] | None:
    from mesos_cni_port_mapper.cni import request
    from mesos_cni_port_mapper.cni.errors import INVALID_ENVIRONMENT, UNKNOWN_COMMAND, CniError
    from mesos_cni_port_mapper.cni.fields import shown

    if not command:
        raise CniError(INVALID_ENVIRONMENT, "CNI_COMMAND is missing")
    if command not in _COMMANDS:
        known = ", ".join([*_COMMANDS, "VERSION"])
        raise CniError(UNKNOWN_COMMAND, f"CNI_COMMAND {shown(command)} is none of {known}")
    request.parse_environment(command, environ)
    netconf = request.read_netconf(stdin)
    answered_in[0] = request.parse_version(command, netconf)
    asked = request.make_request(command, environ, netconf, answered_in[0])
    method: Callable[[Request], dict[str, Any] | None]
    method = getattr(make_plugin(), _COMMANDS[command])
    return method(asked)


def encode_error(error: CniError, version: str) -> dict[str, Any]:
    """Return the error document of the specification."""
    document = {"cniVersion": version, "code": error.code, "msg": error.msg}
    if error.details:
        document["details"] = error.details
    return document


def _interruption(interruption: BaseException) -> CniError:
    from mesos_cni_port_mapper.cni.errors import TRY_AGAIN, CniError

    return CniError(TRY_AGAIN, str(interruption))


def _bug(bug: Exception, program: str) -> CniError:
    import sys

    from mesos_cni_port_mapper.cni.errors import BUG, CniError

    # The interpreter's own way to show an exception, which needs no module.
    sys.__excepthook__(type(bug), bug, bug.__traceback__)
    return CniError(BUG, f"this is a bug in {program}", repr(bug))


def _print(stdout: int, data: bytes, status: int) -> int:
    """Write the answer; a runtime that no longer listens makes the command a failure."""
    try:
        while data:
            data = data[os.write(stdout, data) :]
    except OSError:
        return 1
    return status
