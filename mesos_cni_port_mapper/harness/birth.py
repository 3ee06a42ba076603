"""Fork a container's init, and speak with it until its command runs."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Protocol

from mesos_cni_port_mapper.harness import containers, state
from mesos_cni_port_mapper.harness.cradle import QUESTION_LIMIT, fork_here
from mesos_cni_port_mapper.harness.errors import HarnessError
from mesos_cni_port_mapper.harness.identity import (
    encode_identity,
    has_ended,
    identify,
    open_running,
)
from mesos_cni_port_mapper.harness.init import (
    MESSAGE_LIMIT,
    Birth,
    become_init,
    decode_message,
)
from mesos_cni_port_mapper.harness.mounts import plan_mounts
from mesos_cni_port_mapper.harness.orders import Orders, encode_orders
from mesos_cni_port_mapper.harness.spec import Spec
from mesos_cni_port_mapper.harness.state import Directory
from mesos_cni_port_mapper.isolator.records import Preparation
from mesos_cni_port_mapper.isolator.waiting import readable
from mesos_cni_port_mapper.linux import files, syscalls
from mesos_cni_port_mapper.linux.descriptors import receive

_NAMESPACES = {
    "net": syscalls.CLONE_NEWNET,
    "mnt": syscalls.CLONE_NEWNS,
    "uts": syscalls.CLONE_NEWUTS,
}
_ALWAYS = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWIPC
_ENTERED = ("net", "uts")


def flags_of(preparation: Preparation) -> int:
    """Return the namespaces to make; a PID namespace besides is made by forking."""
    flags = _ALWAYS
    for name in preparation.namespaces:
        flags |= _NAMESPACES[name]
    # Nobody's hostname is changed, but a container on the host's network could change it itself.
    return flags if preparation.joins else flags | syscalls.CLONE_NEWUTS


class Parent(Protocol):
    """The process that inits are children of."""

    def fork(self, birth: Birth) -> int:
        """Fork an init into a PID namespace of its own and return its PID."""
        ...

    def reap(self, pid: int) -> int:
        """Return the wait status of an init that has ended."""
        ...


class Here:
    """Has inits be children of this process, which must have no other threads."""

    def fork(self, birth: Birth) -> int:
        """Fork an init."""
        return fork_here(lambda: become_init(birth))

    def reap(self, pid: int) -> int:
        """Return an init's wait status."""
        return os.waitpid(pid, 0)[1]


class Cradle:
    """Has inits be children of a process of its own, that is asked on a channel.

    It answers within a fork's time.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    def fileno(self) -> int:
        """Return a descriptor that is at its end when the process is gone."""
        return self._channel.fileno()

    def fork(self, birth: Birth) -> int:
        """Have an init forked."""
        orders = os.memfd_create("orders")
        try:
            files.write_all(orders, encode_orders(birth.orders))
            streams = (birth.stdin, birth.stdout, birth.stderr, birth.status)
            descriptors = [orders, birth.channel, *streams, *birth.enter]
            return self._ask(f"fork {birth.unshare}", descriptors)
        finally:
            os.close(orders)

    def reap(self, pid: int) -> int:
        """Return an init's wait status."""
        return self._ask(f"reap {pid}", [])

    def _ask(self, question: str, descriptors: list[int]) -> int:
        try:
            socket.send_fds(self._channel, [question.encode()], descriptors)
            answer = self._channel.recv(QUESTION_LIMIT)
        except OSError:
            answer = b""
        if not answer:
            raise HarnessError("the process that forks inits is gone")
        word, _, rest = answer.decode().partition(" ")
        if word != "ok":
            raise HarnessError(f"cannot fork an init: {rest}")
        return int(rest)


def fork_init(
    parent: Parent, directory: Directory, spec: Spec, stdin: int, preparation: Preparation
) -> tuple[int, socket.socket]:
    """Have init forked into its PID namespace; it makes or enters the others itself.

    Returns its PID and the channel on which it says that its namespaces are there, waits for the
    word to go on, and says that the command runs.
    """
    flags = flags_of(preparation)
    own_network = bool(flags & syscalls.CLONE_NEWNET or preparation.joins)
    with contextlib.ExitStack() as lent, contextlib.ExitStack() as undo:
        # What is lent is init's by the end, or nobody's: a keeper goes on, and is left with none.
        lent.callback(os.close, stdin)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        lent.callback(theirs.close)
        undo.callback(ours.close)
        stdout, stderr, status = (
            _lend(lent, directory.create(name))
            for name in (state.STDOUT, state.STDERR, state.INIT_STATUS)
        )
        birth = Birth(
            orders=Orders(
                container_id=spec.container_id,
                rootfs=spec.rootfs,
                mounts=plan_mounts(spec, own_network=own_network),
                command=spec.command,
            ),
            unshare=flags,
            enter=_open_namespaces(lent, directory, preparation.joins),
            channel=theirs.fileno(),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            status=status,
        )
        init = parent.fork(birth)
        directory.write(state.INIT, encode_identity(identify(init)))
        undo.pop_all()
    return init, ours


def _lend(lent: contextlib.ExitStack, descriptor: int) -> int:
    """Have a descriptor closed when it has served its purpose."""
    lent.callback(os.close, descriptor)
    return descriptor


async def expect(channel: socket.socket, word: str) -> int:
    """Wait for a word of init; return the descriptor that came with it, or -1."""
    await readable(channel.fileno())
    data, descriptors = receive(channel, MESSAGE_LIMIT, 1)
    message = decode_message(data)
    if "error" in message:
        raise HarnessError(message["error"], message["status"])
    if word not in message:
        raise HarnessError("the container's init ended before its command ran")
    return descriptors[0] if descriptors else -1


def _open_namespaces(
    lent: contextlib.ExitStack, directory: Directory, container_id: str | None
) -> list[int]:
    """Open the namespaces of another container that this one is to enter."""
    if container_id is None:
        return []
    joined = containers.glance_at(Directory(directory.path.with_name(container_id)))
    pidfd = open_running(joined.init) if joined.init else None
    if pidfd is None or joined.init is None:
        raise HarnessError(f"container {container_id!r} has ended")
    try:
        return [
            _lend(lent, os.open(f"/proc/{joined.init.pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC))
            for name in _ENTERED
        ]
    finally:
        # Were it to end while the two were opened, they would be another's, or none.
        ended = has_ended(pidfd)
        os.close(pidfd)
        if ended:
            raise HarnessError(f"container {container_id!r} has ended")
