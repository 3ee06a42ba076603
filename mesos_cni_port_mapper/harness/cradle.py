"""The program that inits are forked from, so that a busy process need not be copied for each.

It is executed and not forked, imports what an init needs and little else, and does nothing besides:
what is copied is small and hardly ever written to by either side. It serves any number of channels
and ends with the last of them; inits survive that, as they survive any parent.

A question is a word and a number, its answer ``ok`` or ``failed`` and a number or a reason::

    fork FLAGS    and an init's descriptors: fork it; its PID
    reap PID      of an init that has ended: its wait status
    join 0        and a descriptor: one more channel to serve
"""

from __future__ import annotations

import gc
import os
import select
import socket
import sys

from mesos_cni_port_mapper.harness.init import HELD, Birth, become_init
from mesos_cni_port_mapper.harness.orders import decode_orders
from mesos_cni_port_mapper.linux import signals, syscalls
from mesos_cni_port_mapper.linux.descriptors import receive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

QUESTION_LIMIT = 1 << 8
_MOST_DESCRIPTORS = 16
_A_WHILE = 1000
"""Milliseconds between looks for children whose monitor was killed: nobody will ask for them."""
_PROGRAM = """\
import sys
sys.path[:] = sys.argv[2:]
from mesos_cni_port_mapper.harness.cradle import main
main(int(sys.argv[1]))
"""


def arguments(channel: int) -> list[str]:
    """Return the command line of a cradle with a first channel to serve."""
    if getattr(sys, "frozen", False):
        return [sys.executable, "--cradle", str(channel)]
    return [sys.executable, "-I", "-S", "-c", _PROGRAM, str(channel), *sys.path]


def main(channel: int) -> None:
    """Be a cradle for as long as there is a channel."""
    os.setsid()
    syscalls.set_process_name("mesos-cni-crad")
    syscalls.set_command_line("mesos-cni: cradle of containers")
    gc.freeze()
    poll = select.poll()
    channels: dict[int, socket.socket] = {}
    children: dict[int, set[int]] = {}
    orphans: set[int] = set()

    def serve(number: int) -> None:
        channels[number], children[number] = socket.socket(fileno=number), set()
        poll.register(number, select.POLLIN)

    serve(channel)
    while channels:
        for number, _ in poll.poll(_A_WHILE if orphans else None):
            if not _answer(channels[number], serve, children[number]):
                poll.unregister(number)
                channels.pop(number).close()
                orphans |= children.pop(number)
        orphans = {pid for pid in orphans if os.waitpid(pid, os.WNOHANG)[0] == 0}


def _answer(channel: socket.socket, serve: Callable[[int], None], children: set[int]) -> bool:
    """Answer the next question; false when there are no more.

    ``children`` are those of the one who asks, as long as they are.
    """
    question, descriptors = receive(channel, QUESTION_LIMIT, _MOST_DESCRIPTORS)
    if not question:
        return False
    verb, _, number = question.decode().partition(" ")
    if verb == "join":
        serve(*descriptors)
        return True
    try:
        if verb == "reap":
            result = os.waitpid(int(number), 0)[1]
            children.discard(int(number))
        else:
            result = fork_here(lambda: _be_born(int(number), descriptors))
            children.add(result)
        channel.send(f"ok {result}".encode())
    except OSError as error:
        channel.send(f"failed {error.strerror}".encode())
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    return True


def _be_born(unshare: int, descriptors: list[int]) -> NoReturn:
    file, channel, stdin, stdout, stderr, status, *enter = descriptors
    become_init(
        Birth(
            orders=decode_orders(os.pread(file, os.fstat(file).st_size, 0)),
            unshare=unshare,
            enter=enter,
            channel=channel,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            status=status,
        )
    )


def fork_here(init: Callable[[], NoReturn]) -> int:
    """Fork a child that is the first of a PID namespace; ``HELD`` signals are blocked in it."""
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    mask = signals.block(HELD)
    try:
        syscalls.unshare(syscalls.CLONE_NEWPID)
        pid = os.fork()
        if pid == 0:
            init()
    finally:
        # Or what is started next would be in the container's PID namespace.
        syscalls.setns(own, syscalls.CLONE_NEWPID)
        signals.set_mask(mask)
        os.close(own)
    return pid
