"""Live inside a throwaway host as its first process and start things there on request.

The test process holds the other end of a socket. When that end closes, for whatever reason, this
process leaves, and as it is process 1 of a PID namespace the kernel ends everything else with it.
Started with ``python -I -S``, so only the standard library is here.
"""

import array
import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from tests.support import packets

TOOLS = "/run/tools"
NAMESPACES = "/run/netns"
OUTSIDE = "/run/outside"

MESSAGE_LIMIT = 1 << 18
XTABLES = tuple(
    family + suffix for family in ("iptables", "ip6tables") for suffix in ("", "-save", "-restore")
)

_CLONE_NEWNET = 0x40000000
_MS_BIND = 0x1000
_MNT_DETACH = 2
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_ulong, ctypes.c_char_p]


def receive(channel: socket.socket, size: int, count: int) -> tuple[bytes, list[int]]:
    """Receive one message with its descriptors, which no program started from here inherits."""
    message, descriptors, _, _ = socket.recv_fds(channel, size, count)
    # Not by MSG_CMSG_CLOEXEC: Python 3.11 drops the flags that recv_fds is given.
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return message, descriptors


def _checked(result: int, subject: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), subject)


def _mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    words = [os.fsencode(word) for word in (source, target, kind)]
    _checked(_libc.mount(*words, flags, data.encode()), target)


def _enter(netns: str) -> None:
    descriptor = os.open(netns, os.O_RDONLY)
    _checked(_libc.setns(descriptor, _CLONE_NEWNET), netns)
    os.close(descriptor)


def _bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = array.array("b", struct.pack("16sH22x", b"lo", 0))
        fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request)
        flags = struct.unpack_from("H", request, 16)[0] | _IFF_UP
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags))


def _set(sysctl: str, value: str) -> None:
    # A kernel without IPv6 has no such file, and then nothing to set.
    with contextlib.suppress(FileNotFoundError):
        Path("/proc/sys", sysctl).write_text(value)


def prepare(xtables: str) -> None:
    """Make the new namespaces a host: private state, its own sysfs, forwarding, chosen tools."""
    _mount("tmpfs", "/run", "tmpfs", data="mode=0755")
    if Path("/var/lib/cni").is_dir():
        _mount("tmpfs", "/var/lib/cni", "tmpfs", data="mode=0755")
    else:
        # Creating the directory would create it on the machine, so its parent is covered.
        _mount("tmpfs", "/var/lib", "tmpfs", data="mode=0755")
        Path("/var/lib/cni").mkdir()
    _mount("sysfs", "/sys", "sysfs")
    for directory in (NAMESPACES, OUTSIDE, TOOLS):
        Path(directory).mkdir()
    for name in XTABLES:
        Path(TOOLS, name).symlink_to(xtables)
    _bring_loopback_up()
    _set("net/ipv4/ip_forward", "1")
    _set("net/ipv6/conf/all/forwarding", "1")
    _set("net/ipv6/conf/default/accept_dad", "0")


def create_namespace(path: str, *, detect_duplicates: bool) -> None:
    """Create a network namespace that lives as long as the bind mount at ``path``."""
    _checked(_libc.unshare(_CLONE_NEWNET), "unshare")
    _bring_loopback_up()
    if not detect_duplicates:
        _set("net/ipv6/conf/default/accept_dad", "0")
    Path(path).touch(exist_ok=False)
    _mount("/proc/self/ns/net", path, "none", _MS_BIND)


def forget_namespace(path: str) -> None:
    """Let go of a namespace, as a reboot or the runtime does, and remove its path."""
    _checked(_libc.umount2(os.fsencode(path), _MNT_DETACH), path)
    Path(path).unlink()


def hide(path: str) -> None:
    """Cover a program so that it cannot be executed, or a directory so that it is empty."""
    if Path(path).is_dir():
        _mount("tmpfs", path, "tmpfs")
    else:
        _mount("/dev/null", path, "none", _MS_BIND)


FUNCTIONS: dict[str, Callable[..., None]] = {
    function.__name__: function
    for function in (
        create_namespace,
        forget_namespace,
        hide,
        packets.serve,
        packets.connect,
        packets.hammer,
    )
}


class Agent:
    """Answer requests from the test process: each one forks a child and tells its PID."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._waiting: dict[int, int] = {}

    def serve(self) -> None:
        """Work until the other end of the channel closes."""
        wake, waker = os.pipe()
        os.set_blocking(waker, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker)
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.register(wake, select.POLLIN)
        while True:
            for ready, _ in poll.poll():
                if ready == wake:
                    os.read(wake, 4096)
                    self._reap()
                elif not self._answer():
                    return

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                # Process 1 inherits orphans too; nobody waits for those.
                report = self._waiting.pop(pid, None)
                if report is not None:
                    # The test may have stopped listening.
                    with contextlib.suppress(BrokenPipeError):
                        os.write(report, str(os.waitstatus_to_exitcode(status)).encode())
                    os.close(report)

    def _answer(self) -> bool:
        message, descriptors = receive(self._channel, MESSAGE_LIMIT, 4)
        if not message:
            return False
        *streams, report = descriptors
        trouble, troubled = os.pipe()
        pid = os.fork()
        if pid == 0:
            _become(json.loads(message), streams, troubled)
        for descriptor in (*streams, troubled):
            os.close(descriptor)
        self._waiting[pid] = report
        # At most one short message, and the end of the pipe when the child is on its way.
        error = json.loads(os.read(trouble, 4096) or b"null")
        os.close(trouble)
        pidfd = os.pidfd_open(pid)
        reply = json.dumps({"pid": pid, "error": error}).encode()
        socket.send_fds(self._channel, [reply], [pidfd])
        os.close(pidfd)
        return True


def _become(request: dict[str, Any], streams: Sequence[int], troubled: int) -> NoReturn:
    """Turn this forked child into what was asked for; until it is, trouble goes to the pipe."""
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        if request["netns"] is not None:
            _enter(request["netns"])
        for target, stream in enumerate(streams):
            os.dup2(stream, target)
        if "argv" in request:
            os.chdir("/")
            os.execvpe(request["argv"][0], request["argv"], request["env"])
    except OSError as error:
        os.write(troubled, json.dumps([error.errno, error.strerror]).encode())
        os._exit(127)
    try:
        # Everything of the agent's, the pipe of trouble included.
        os.closerange(3, 1024)
        FUNCTIONS[request["call"]](**request["arguments"])
    except BaseException:  # noqa: BLE001 - a child must never return into the agent's loop
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def main() -> None:
    """Prepare the host, say so on the channel and serve it."""
    descriptor, xtables = sys.argv[-2:]
    channel = socket.socket(fileno=int(descriptor))
    channel.set_inheritable(False)
    prepare(xtables)
    pidfd = os.pidfd_open(os.getpid())
    socket.send_fds(channel, [b"ready"], [pidfd])
    os.close(pidfd)
    Agent(channel).serve()
