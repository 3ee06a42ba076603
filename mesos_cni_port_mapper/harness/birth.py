"""Fork a container's init, and speak with it until its command runs."""

from __future__ import annotations

import os
import socket

from mesos_cni_port_mapper.harness import containers, state
from mesos_cni_port_mapper.harness.errors import HarnessError
from mesos_cni_port_mapper.harness.identity import (
    encode_identity,
    has_ended,
    identify,
    open_running,
)
from mesos_cni_port_mapper.harness.init import (
    HELD,
    MESSAGE_LIMIT,
    Birth,
    become_init,
    decode_message,
)
from mesos_cni_port_mapper.harness.spec import Spec
from mesos_cni_port_mapper.harness.state import Directory
from mesos_cni_port_mapper.isolator.records import Preparation
from mesos_cni_port_mapper.linux import signals, syscalls

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


def fork_init(
    directory: Directory, spec: Spec, stdin: int, preparation: Preparation
) -> tuple[int, socket.socket]:
    """Fork init into its PID namespace; it makes or enters the others itself.

    Returns its PID and the channel on which it says that its namespaces are there, waits for the
    word to go on, and says that the command runs.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    streams = [directory.create(name) for name in (state.STDOUT, state.STDERR)]
    birth = Birth(
        spec=spec,
        unshare=flags_of(preparation),
        enter=_open_namespaces(directory, preparation.joins),
        channel=theirs,
        stdin=stdin,
        stdout=streams[0],
        stderr=streams[1],
        status=directory.create(state.INIT_STATUS),
    )
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    mask = signals.block(HELD)
    syscalls.unshare(syscalls.CLONE_NEWPID)
    init = os.fork()
    if init == 0:
        become_init(birth)
    # Or the plugins would be started in the container's PID namespace.
    syscalls.setns(own, syscalls.CLONE_NEWPID)
    signals.set_mask(mask)
    theirs.close()
    for descriptor in (own, birth.stdin, birth.status, *streams, *birth.enter):
        os.close(descriptor)
    directory.write(state.INIT, encode_identity(identify(init)))
    return init, ours


def expect(channel: socket.socket, word: str) -> int:
    """Wait for a word of init; return the descriptor that came with it, or -1."""
    data, descriptors, _, _ = socket.recv_fds(channel, MESSAGE_LIMIT, 1)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    message = decode_message(data)
    if "error" in message:
        raise HarnessError(message["error"], message["status"])
    if word not in message:
        raise HarnessError("the container's init ended before its command ran")
    return descriptors[0] if descriptors else -1


def _open_namespaces(directory: Directory, container_id: str | None) -> list[int]:
    """Open the namespaces of another container that this one is to enter."""
    if container_id is None:
        return []
    joined = containers.look_at(Directory(directory.path.with_name(container_id)))
    pidfd = open_running(joined.init) if joined.init else None
    if pidfd is None or joined.init is None:
        raise HarnessError(f"container {container_id!r} has ended")
    try:
        return [
            os.open(f"/proc/{joined.init.pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
            for name in _ENTERED
        ]
    finally:
        # Were it to end while the two were opened, they would be another's, or none.
        ended = has_ended(pidfd)
        os.close(pidfd)
        if ended:
            raise HarnessError(f"container {container_id!r} has ended")
