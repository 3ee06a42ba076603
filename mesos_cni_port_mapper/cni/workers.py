"""A plugin's program as processes that stay: each answers one request after another.

To start an interpreter and import takes several times as long as most requests do afterwards. So
whoever asks often starts the program once, as the process that workers are forked from, with a
channel (a SEQPACKET socket) by its number; it ends when nobody can ask it any more.

A message there, ``.``, brings two descriptors: the channel of a worker to be, and the end of a pipe
with which the worker is killed, its process group and all, when the other end closes. It is not
answered: where there could be no worker its channel is at its end.

A message on a worker's channel is the name of a plugin, and brings four: a memory file with the
variables of the plugin's environment as a JSON object, and the plugin's stdin, stdout and stderr.
The answer is the plugin's exit status and ``more`` or ``last``: a worker takes no other request
when it has failed, or kept anything open, so that whatever went wrong has gone with it.
"""

from __future__ import annotations

import _signal as signal
import _socket
import gc
import os
import select

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.cni.skeleton import serve
from mesos_cni_port_mapper.linux import signals
from mesos_cni_port_mapper.linux.descriptors import kill_at_end, receive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from mesos_cni_port_mapper.cni.skeleton import Plugin

    Maker = Callable[[str], Plugin]

FORK = b"."
NAME_LIMIT = 256
ANSWER_LIMIT = 32
MORE, LAST = b"more", b"last"


def fork_workers(number: int, make: Maker, program: str) -> NoReturn:
    """Fork a worker whenever one is asked for on channel ``number``.

    What is imported by now no worker has to import. ``make`` returns a plugin by its name, and
    ``program`` is whose bug an unexpected exception is.
    """
    channel = _socket.socket(fileno=number)
    # Not in the terminal's foreground, whose Ctrl-C is for whoever asks.
    os.setsid()
    # The kernel collects workers, as nobody here waits for them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # What a collection would write to, workers could not share.
    gc.freeze()
    while True:
        message, descriptors = receive(channel, len(FORK), 2)
        if not message:
            os._exit(0)
        try:
            pid = os.fork()
        except OSError:
            pid = -1  # Whoever asked finds the channel at its end.
        if pid == 0:
            channel.close()
            _become_worker(descriptors, make, program)
        for descriptor in descriptors:
            os.close(descriptor)


def _become_worker(descriptors: list[int], make: Maker, program: str) -> NoReturn:
    try:
        _work(descriptors, make, program)
    finally:
        # Whatever happens, a child must never return into its parent's code.
        os._exit(1)


def _work(descriptors: list[int], make: Maker, program: str) -> None:
    number, pipe = descriptors
    os.setpgid(0, 0)
    kill_at_end(pipe, os.getpid())
    if select.select([pipe], (), (), 0)[0]:
        return  # It was closed before the kernel knew what to do then.
    channel = _socket.socket(fileno=number)
    while _answer(channel, make, program):
        pass


def _answer(channel: _socket.socket, make: Maker, program: str) -> bool:
    """Answer the next request; false when none is to follow."""
    signals.reset()
    before = _open_descriptors()
    name, descriptors = receive(channel, NAME_LIMIT, 4)
    if not name:
        return False
    file, stdin, stdout, stderr = descriptors
    environment = codec.decode(os.pread(file, os.fstat(file).st_size, 0))
    os.dup2(stderr, 2)
    status = serve(lambda: make(name.decode()), environment, stdin, stdout, program)
    for descriptor in descriptors:
        os.close(descriptor)
    goes_on = status == 0 and _open_descriptors() == before
    channel.send(b"%d %b" % (status, MORE if goes_on else LAST))
    return goes_on


def _open_descriptors() -> list[str]:
    return os.listdir("/proc/self/fd")
