"""Running a plugin as Mesos runs it: its environment and nothing else, and never for ever."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.cni.errors import os_reason
from mesos_cni_port_mapper.isolator import children
from mesos_cni_port_mapper.isolator.errors import IsolatorError
from mesos_cni_port_mapper.isolator.lifeline import Tied
from mesos_cni_port_mapper.isolator.workers import LostError, NoWorkerError, Workers
from mesos_cni_port_mapper.linux.files import write_all

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_EXCERPT = 4000


@dataclass(frozen=True, slots=True)
class Invocation:
    """What one call of a plugin is about. Without ``netns`` the namespace is gone."""

    program: str
    command: str
    container_id: str
    network: str
    ifname: str
    cni_path: str
    netns: Path | None

    def environment(self, own: Mapping[str, str]) -> dict[str, str]:
        """Return exactly the variables that the plugin gets; ``own`` lends its PATH."""
        environment = {
            "CNI_COMMAND": self.command,
            "CNI_CONTAINERID": self.container_id,
            "CNI_IFNAME": self.ifname,
            "CNI_PATH": self.cni_path,
            "PATH": own.get("PATH") or _DEFAULT_PATH,
        }
        if self.netns is not None:
            environment["CNI_NETNS"] = os.fspath(self.netns)
        return environment

    def described(self) -> str:
        """Return how an error message speaks of this call."""
        name = os.path.basename(self.program)
        return (
            f"plugin {name} on {self.command} of network {self.network!r} "
            f"for container {self.container_id}"
        )


async def run(
    invocation: Invocation, stdin: bytes, seconds: float, workers: Workers | None = None
) -> bytes:
    """Run a plugin to its end and return what it printed; ``IsolatorError`` when it fails.

    One that is served by ``workers`` is asked there.
    """
    environment = invocation.environment(os.environ)
    streams = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
    try:
        write_all(streams[0], stdin)
        os.lseek(streams[0], 0, os.SEEK_SET)
        try:
            status = await _finish(invocation, environment, streams, seconds, workers)
            failure = _words_of(status)
        except LostError:
            failure = "its process is gone"
        except TimeoutError:
            raise IsolatorError(
                f"{invocation.described()} did not finish in {seconds:g} s and was killed"
            ) from None
        stdout, stderr = map(children.content_of, streams[1:])
    finally:
        for stream in streams:
            os.close(stream)
    if failure:
        raise IsolatorError(
            f"{invocation.described()} failed ({failure})", failure_words(stdout, stderr)
        )
    return stdout


def _words_of(status: int) -> str:
    """Return what to say of an exit status, or of minus a signal; nothing of success."""
    if status == 0:
        return ""
    return f"exit status {status}" if status > 0 else f"signal {-status}"


async def _finish(
    invocation: Invocation,
    environment: dict[str, str],
    streams: list[int],
    seconds: float,
    workers: Workers | None,
) -> int:
    if workers is not None and workers.know(invocation.program):
        try:
            return await workers.run(invocation.program, environment, streams, seconds)
        except NoWorkerError:
            pass
    tied = _start(invocation, environment, streams)
    try:
        return await children.finish(tied.pid, seconds)
    finally:
        tied.cut()


def _start(invocation: Invocation, environment: dict[str, str], streams: list[int]) -> Tied:
    try:
        return Tied(invocation.program, environment, streams)
    except OSError as error:
        raise IsolatorError(f"cannot run {invocation.described()}", os_reason(error)) from error


def failure_words(stdout: bytes, stderr: bytes) -> str:
    """Return what a failed plugin said: its error's message and details, else all it printed."""
    try:
        document = codec.decode(stdout)
    except ValueError:
        document = None
    if isinstance(document, dict) and isinstance(document.get("msg"), str):
        parts = [document["msg"], document.get("details")]
        return ": ".join(part for part in parts if isinstance(part, str) and part)
    return "; ".join(words for words in map(_excerpt, (stdout, stderr)) if words)


def _excerpt(data: bytes) -> str:
    text = data.decode(errors="replace").strip()
    half = _EXCERPT // 2
    return text if len(text) <= _EXCERPT else f"{text[:half]} [...] {text[-half:]}"
