"""The process that forks monitors for the agent, and the agent's side of it.

A monitor is a fork that goes on without an exec, and must not come from a process with threads and
an event loop. So the agent forks this one before it has either: it has one thread, knows how to
launch, and ends when the agent does, however that ends. Whatever it is asked it leaves to a keeper
or to a fork, which reports on a pipe. A request is a memory file with JSON, an answer JSON and the
pipe.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NoReturn

from mesos_cni_port_mapper.harness import containers, recovery, state
from mesos_cni_port_mapper.harness.agent.keepers import Keepers
from mesos_cni_port_mapper.harness.ending import FAILURES
from mesos_cni_port_mapper.harness.errors import HarnessError, UnknownContainerError, one_line
from mesos_cni_port_mapper.harness.isolation import Options, decode_options
from mesos_cni_port_mapper.harness.launch import (
    Launch,
    become_launched,
    fork_away,
    succeed,
)
from mesos_cni_port_mapper.harness.spec import Spec, decode_spec, encode_spec
from mesos_cni_port_mapper.harness.state import Directory
from mesos_cni_port_mapper.linux import files, syscalls
from mesos_cni_port_mapper.linux.descriptors import close_all_but, receive

_LIMIT = 1 << 12
# Who is to do what is asked for: a process forked for it, or one that keeps many containers.
_OWN, _KEPT = b"o", b"k"


@dataclass(slots=True)
class Launcher:
    """The agent's side. One request at a time: whoever has threads sees to that."""

    runtime_dir: str
    pid: int
    pidfd: int
    channel: socket.socket

    def launch(self, spec: Spec) -> Launch:
        """Start a monitor that launches a container."""
        # A terminal is attended by a monitor that has nobody else to attend to.
        word = _OWN if spec.tty else _KEPT
        report = self._ask({"do": "launch", "spec": encode_spec(spec)}, word)
        root = state.containers_root(self.runtime_dir)
        return Launch(Directory(root / spec.container_id), report)

    def recover(self) -> int:
        """Start a recovery of everything; return the pipe on which its report comes."""
        return self._ask({"do": "recover"})

    def tend(self, container_id: str) -> int:
        """Start to help a container that has no monitor; return the pipe of the report."""
        return self._ask({"do": "tend", "container": container_id})

    def close(self) -> None:
        """Let the launcher go."""
        self.channel.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        os.close(self.pidfd)

    def _ask(self, request: Mapping[str, Any], word: bytes = _OWN) -> int:
        file = os.memfd_create("request")
        try:
            files.write_all(file, json.dumps(request).encode())
            socket.send_fds(self.channel, [word], [file])
            data, descriptors = receive(self.channel, _LIMIT, 1)
        except OSError as error:
            raise HarnessError("the agent's launcher is gone") from error
        finally:
            os.close(file)
        if not data:
            raise HarnessError("the agent's launcher is gone")
        answer = json.loads(data)
        if "error" in answer:
            raise HarnessError(answer["error"])
        return descriptors[0]


def start_launcher(options: Options) -> Launcher:
    """Fork the launcher. The caller must have neither threads nor an event loop yet."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        _be_launcher(theirs, options)
    theirs.close()
    return Launcher(options.runtime_dir, pid, os.pidfd_open(pid), ours)


def _be_launcher(channel: socket.socket, options: Options) -> NoReturn:
    try:
        _prepare_fork()
        _serve(channel, options)
    except BaseException:  # noqa: BLE001 - a forked child must not return
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _serve(channel: socket.socket, options: Options) -> None:
    # Not in the terminal's foreground, whose Ctrl-C is for the agent.
    os.setsid()
    syscalls.set_process_name("mesos-cni-launc")
    syscalls.set_command_line("mesos-cni: launcher of the agent")
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    # What a collection would write to, monitors could not share with us.
    gc.freeze()
    # The kernel reaps monitors, which then need not be forked twice to be nobody's children.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # Whatever else the agent was started with is its own.
    close_all_but((0, 1, 2, channel.fileno()))
    keepers = Keepers(options)
    while True:
        word, descriptors = receive(channel, 1, 1)
        if not descriptors:
            return
        try:
            if word == _KEPT:
                pipe = keepers.launch(descriptors[0])
            else:
                pipe = fork_away(partial(_answer, descriptors[0], options))
        except OSError as error:
            channel.send(json.dumps({"error": f"cannot fork: {error.strerror}"}).encode())
        else:
            socket.send_fds(channel, [b"{}"], [pipe])
            os.close(pipe)
        finally:
            os.close(descriptors[0])


def _answer(file: int, options: Options, report: int) -> NoReturn:
    """Do what is asked for, in a fork that nobody waits for; not a page is touched before it."""
    try:
        request = json.loads(os.pread(file, os.fstat(file).st_size, 0))
        match request["do"]:
            case "launch":
                become_launched(decode_spec(request["spec"]), options, report)
            case "tend":
                _prepare_fork()
                _write_report(lambda: _tend(request["container"], options), report)
            case _:
                _prepare_fork()
                _write_report(lambda: recovery.recover(options), report)
    except BaseException:  # noqa: BLE001 - a forked child must not return
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _tend(container_id: str, options: Options) -> recovery.Recovered:
    report = recovery.Recovered()
    try:
        _tend_one(container_id, options, report)
    except UnknownContainerError:
        pass  # It was removed since somebody saw it.
    except FAILURES as error:
        report.problems.append(f"{container_id}: {one_line(error)}")
    return report


def _tend_one(container_id: str, options: Options, report: recovery.Recovered) -> None:
    directory = state.directory_of(options.runtime_dir, container_id)
    container = containers.look_at(directory)
    own = decode_options(container.settings, options)
    if container.state != containers.RUNNING:
        if recovery.finish(directory, own):
            report.finished.append(container_id)
        return
    started = succeed(directory, own)
    if started is None:
        return
    try:
        started.result()
    finally:
        started.close()
    report.monitored.append(container_id)


def _write_report(work: Callable[[], recovery.Recovered], reported: int) -> None:
    try:
        outcome = work()
    except FAILURES as error:
        outcome = recovery.Recovered(problems=[one_line(error)])
    # The agent may have died meanwhile.
    with contextlib.suppress(BrokenPipeError):
        files.write_all(reported, json.dumps(asdict(outcome)).encode())


def _prepare_fork() -> None:
    """Hear signals as any program does; a monitor settles for handlers of its own."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
