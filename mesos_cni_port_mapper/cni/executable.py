"""Asking another plugin: an executable found in CNI_PATH, run with a deadline."""

from __future__ import annotations

import os

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.cni.errors import (
    DELEGATE_FAILED,
    INCOMPATIBLE_VERSION,
    INVALID_ENVIRONMENT,
    TRY_AGAIN,
    UNAVAILABLE,
    UNAVAILABLE_AND_IMPAIRED,
    UNKNOWN_COMMAND,
    UNKNOWN_CONTAINER,
    CniError,
    os_reason,
)
from mesos_cni_port_mapper.cni.result import MalformedResultError, Result, decode_result
from mesos_cni_port_mapper.linux import process, stderr
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

BUILTIN_DIRECTORY = ".mesos-cni-delegates"
"""Where the built-in delegates are, beside the frozen program."""

LATE = ("GC", "STATUS")
UNKNOWN = (UNKNOWN_CONTAINER, INVALID_ENVIRONMENT, UNKNOWN_COMMAND)
"""How plugins from before such a command answer it: they miss a container, or the command."""

_PASSED_ON = (TRY_AGAIN, UNAVAILABLE, UNAVAILABLE_AND_IMPAIRED)


class VersionRefusedError(CniError):
    """The plugin does not speak the version it was asked in."""


class CommandUnknownError(CniError):
    """The plugin does not know what it was asked to do."""


def find_plugin(plugin_type: str, path: Sequence[str]) -> str:
    """Return the executable for a plugin type, or raise ``CniError`` naming where it was sought.

    ``CNI_PATH`` comes first; what is not in there is perhaps built in.
    """
    program = process.find_program(plugin_type, path)
    if program:
        return program
    builtin = f"{own_directory()}/{BUILTIN_DIRECTORY}"
    program = process.find_program(plugin_type, [builtin])
    if not program:
        raise CniError(
            DELEGATE_FAILED,
            f"delegate.type: no plugin {plugin_type!r} in CNI_PATH, and none of ours",
            f"looked in: {', '.join([*path, builtin])}",
        )
    return program


def own_directory() -> str:
    """Return the directory of the program that runs, links to it followed."""
    return os.path.dirname(os.path.realpath("/proc/self/exe"))


class Executable(Value):
    """A plugin to be run as a program of its own.

    ``environ`` is what it gets besides ``CNI_COMMAND``. ``keep`` are file descriptors it inherits:
    a lock among them outlives a caller that was killed, for as long as the plugin still runs. One
    that is ``tied`` does not run on then: a delegate's own, as who killed the delegate knows of it
    alone.
    """

    program: str
    environ: Mapping[str, str]
    seconds: float
    keep: tuple[int, ...] = ()
    tied: bool = False

    def add(self, netconf: dict[str, Any], version: str) -> Result:
        """Ask for ADD; ``version`` is what an answer without ``cniVersion`` is taken to be in."""
        document = self._ask("ADD", netconf)
        try:
            return decode_result(document, version)
        except MalformedResultError as error:
            raise CniError(
                DELEGATE_FAILED, f"{self._name()} returned no usable result for ADD", str(error)
            ) from error

    def command(self, command: str, netconf: dict[str, Any]) -> None:
        """Ask for a command that has no result."""
        self._run(command, netconf)

    def ask_about_network(self, command: str, netconf: dict[str, Any]) -> None:
        """Ask for GC or STATUS; one from before such commands has nothing to say."""
        try:
            self._run(command, netconf)
        except (VersionRefusedError, CommandUnknownError):
            return

    def supported_versions(self) -> list[str]:
        """Ask which versions the plugin speaks."""
        document = self._ask("VERSION", {"cniVersion": "1.0.0"})
        offered = document.get("supportedVersions") if isinstance(document, dict) else None
        return offered if isinstance(offered, list) else []

    def _ask(self, command: str, netconf: dict[str, Any]) -> Any:
        answer = self._run(command, netconf)
        if not answer.strip():
            raise CniError(DELEGATE_FAILED, f"{self._name()} printed nothing on {command}")
        try:
            return codec.decode(answer)
        except ValueError as error:
            raise CniError(
                DELEGATE_FAILED,
                f"{self._name()} did not print JSON on {command}: {error}",
                _excerpt(answer),
            ) from error

    def _run(self, command: str, netconf: dict[str, Any]) -> bytes:
        try:
            done = process.run(
                [self.program],
                {**self.environ, "CNI_COMMAND": command},
                codec.encode(netconf),
                self.seconds,
                self.keep,
                tied=self.tied,
            )
        except OSError as error:
            raise CniError(
                DELEGATE_FAILED, f"cannot run the delegate {self.program}", os_reason(error)
            ) from error
        except process.DeadlineError as error:
            raise CniError(
                DELEGATE_FAILED,
                f"{self._name()} did not finish {command} in {self.seconds:g} s and was killed",
            ) from error
        if done.stderr:
            # The specification leaves stderr to a plugin's log, which the runtime may keep.
            stderr.write(done.stderr)
        if done.status != 0:
            raise self._failure(command, done)
        return done.stdout

    def _failure(self, command: str, done: process.Finished) -> CniError:
        ending = f"exit status {done.status}" if done.status > 0 else f"signal {-done.status}"
        words = _excerpt(done.stdout) or _excerpt(done.stderr)
        code = 0
        try:
            document = codec.decode(done.stdout)
        except ValueError:
            document = None
        if isinstance(document, dict) and isinstance(document.get("msg"), str):
            code = document.get("code", 0)
            parts = [document["msg"], document.get("details")]
            words = ": ".join([part for part in parts if isinstance(part, str) and part])
        msg = f"{self._name()} failed on {command} ({f'code {code}' if code else ending})"
        if code == INCOMPATIBLE_VERSION:
            return VersionRefusedError(DELEGATE_FAILED, msg, words)
        if code in UNKNOWN and command in LATE:
            return CommandUnknownError(DELEGATE_FAILED, msg, words)
        return CniError(code if code in _PASSED_ON else DELEGATE_FAILED, msg, words)

    def _name(self) -> str:
        return f"delegate {self.program.rpartition('/')[2]}"


def _excerpt(data: bytes) -> str:
    text = data.decode(errors="replace").strip()
    return text if len(text) <= 4000 else f"{text[:2000]} [...] {text[-2000:]}"
